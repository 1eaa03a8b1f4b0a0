"""Key files by API: read as they come, taken in piece by piece, each line told of."""

import codecs
from collections import Counter
from collections.abc import AsyncIterator

from vendrail.api.catalog import Catalog, KeyIntake, KeyLine
from vendrail.gateway.exchange import Answer, Exchange, Refusal, said
from vendrail.gateway.merchant import problems
from vendrail.gateway.merchant.bodies import IntakeBody, RejectBody
from vendrail.gateway.merchant.keyring import Keyring, Program, idempotency_key
from vendrail.gateway.problems import BODY_TOO_LARGE
from vendrail.kernel.codec import encode
from vendrail.kernel.ids import derive, to_serial

_LINES_AT_ONCE = 2_000
_CHARACTERS_AT_ONCE = 300_000
_LINE_LENGTH_MAX = 1 << 16
_REJECTS_MAX = 10_000


class KeyRoom:
    """Takes merchants' keys in."""

    def __init__(self, catalog: Catalog, keyring: Keyring, bytes_max: int) -> None:
        self._catalog = catalog
        self._keyring = keyring
        self._bytes_max = bytes_max

    async def add_keys(self, exchange: Exchange, program: Program, sku: str) -> Answer:
        """Take in a key a line; the same lines under the same key are taken once."""
        key = idempotency_key(exchange)
        kind = exchange.header(b"content-type").partition(";")[0].strip().lower()
        if kind != "text/plain":
            raise Refusal(problems.TEXT_WANTED)
        (offer,) = await self._catalog.read_offers([sku[:64]])
        if offer is None or offer.merchant != program.merchant:
            raise Refusal(problems.SKU_NOT_FOUND)
        intake = derive(program.merchant, f"intake:{sku}:{key}")
        await self._keyring.record(
            program,
            "keys.added",
            f"sku:{sku}",
            once=intake.hex,
            after={"intake": to_serial(intake)},
        )
        lines = added = 0
        rejected: Counter[str] = Counter()
        rejects: list[RejectBody] = []
        async for piece in _pieces(exchange, self._bytes_max):
            (result,) = await self._catalog.add_keys([KeyIntake(sku, intake, piece)])
            if not result.sku_found:
                raise Refusal(problems.SKU_NOT_FOUND)
            lines += len(piece)
            added += result.added_count
            rejected.update(reject.reason for reject in result.rejects)
            room = max(0, _REJECTS_MAX - len(rejects))
            rejects += [RejectBody(r.number, r.reason) for r in result.rejects[:room]]
        body = IntakeBody(to_serial(intake), sku, lines, added, dict(rejected), rejects)
        return said(200, encode(body))


async def _pieces(exchange: Exchange, bytes_max: int) -> AsyncIterator[list[KeyLine]]:
    """Give the lines of a body as it comes, some at a time; never more of it is in memory."""
    piece: list[KeyLine] = []
    number = size = 0
    async for line in _lines(exchange, bytes_max):
        number += 1
        piece.append(KeyLine(number, line))
        size += len(line)
        if len(piece) == _LINES_AT_ONCE or size >= _CHARACTERS_AT_ONCE:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece


async def _lines(exchange: Exchange, bytes_max: int) -> AsyncIterator[str]:
    """Part what comes at its line breaks; what is no UTF-8 becomes a line that is rejected."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
    rest, total, is_more = "", 0, True
    while is_more:
        event = await exchange.receive()
        if event["type"] != "http.request":
            raise ConnectionResetError
        is_more = event["more_body"]
        total += len(event["body"])
        if total > bytes_max:
            raise Refusal(BODY_TOO_LARGE, f"At most {bytes_max} bytes are taken in at once.")
        rest += decoder.decode(event["body"], final=not is_more)
        *whole, rest = rest.split("\n")
        for line in whole:
            yield line
        # Far beyond any key: what follows would be thrown away with it.
        rest = rest[:_LINE_LENGTH_MAX]
    if rest:
        yield rest
