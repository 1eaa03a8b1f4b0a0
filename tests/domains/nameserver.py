"""A name server on loopback that answers real queries: TXT records as a test has set them."""

import asyncio

import dns.flags
import dns.message
import dns.rcode
import dns.rrset


class NameServer(asyncio.DatagramProtocol):
    """Answers over UDP for what is in `texts`; all else does not exist."""

    def __init__(self) -> None:
        self.texts: dict[str, list[str]] = {}
        self.asked: list[str] = []
        self.is_silent = False
        self.is_broken = False
        self.address = ""

    def connection_made(self, transport) -> None:
        """Note where it listens."""
        self.transport = transport
        host, port = transport.get_extra_info("sockname")[:2]
        self.address = f"{host}:{port}"

    def datagram_received(self, data, addr) -> None:
        """Answer one query."""
        query = dns.message.from_wire(data)
        name = query.question[0].name.to_text(omit_final_dot=True)
        self.asked.append(name)
        if self.is_silent:
            return
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA | dns.flags.RA
        texts = self.texts.get(name)
        if self.is_broken:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif texts is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif texts:
            quoted = [f'"{each}"' for each in texts]
            answer.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", "TXT", *quoted))
        self.transport.sendto(answer.to_wire(), addr)

    def prove(self, domain) -> None:
        """Set the record of a domain, beside what is there."""
        self.texts.setdefault(domain.record_name, []).append(domain.record_text)

    def disprove(self, domain) -> None:
        """Take its record away."""
        self.texts[domain.record_name].remove(domain.record_text)


async def open_server() -> NameServer:
    """Listen on a free port."""
    loop = asyncio.get_running_loop()
    _, server = await loop.create_datagram_endpoint(NameServer, local_addr=("127.0.0.1", 0))
    return server
