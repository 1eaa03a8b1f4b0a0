"""Claims, proofs in real DNS, loss and takeover, through the service's api."""

import asyncio

import pytest

from vendrail.api.domains import DomainName, Domains, DomainState, Finding
from vendrail.app.wiring import House
from vendrail.domains import decide
from vendrail.domains.proving import Prover
from vendrail.kernel.codec import replace
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import to_serial


async def test_a_record_proves_a_host(zone):
    """A host shows its shop from when its record is found in DNS, and not before."""
    north = await zone.open("north")
    added = await zone.add(north)
    before, early = await zone.hosts(), await zone.check(added.domain)
    zone.server.prove(added.domain)
    checked = await zone.check(added.domain)

    assert ("added", "waiting") == (added.status, added.domain.state)
    assert ({}, Finding.NO_RECORD) == (before, early.domain.finding)
    assert ("checked", DomainState.ACTIVE) == (checked.status, checked.domain.state)
    assert {"keys.example": "north"} == await zone.hosts()
    assert {"_vendrail.keys.example"} == set(zone.server.asked)


async def test_a_text_of_somebody_else_proves_nothing(zone):
    """Only the whole text of the claim counts: neither another token nor a part of it does."""
    north, south = await zone.open("north"), await zone.open("south")
    mine, other = (await zone.add(north)).domain, (await zone.add(south)).domain
    zone.server.texts[mine.record_name] = [mine.token, mine.record_text[:-1], other.record_text]
    checked = await zone.check(mine)

    assert (DomainState.WAITING, Finding.OTHER_RECORD) == (
        checked.domain.state,
        checked.domain.finding,
    )
    assert {} == await zone.hosts()


@pytest.mark.parametrize(
    "typed, host",
    [
        ("Keys.Example", "keys.example"),
        (" https://keys.example/ ", "keys.example"),
        ("keys.example.", "keys.example"),
        ("keys.example..", "keys.example"),
        ("例え.jp", "xn--r8jz45g.jp"),
        ("Bücher.example", "xn--bcher-kva.example"),
    ],
)
async def test_a_host_is_kept_as_dns_writes_it(zone, typed, host):
    """Case, scheme, dots and letters of any script are brought to the one form that is compared."""
    assert host == (await zone.add(await zone.open("north"), typed)).domain.host


@pytest.mark.parametrize(
    "typed, status",
    [
        ("", "host_malformed"),
        ("keys", "host_malformed"),
        ("keys.example:8443", "host_malformed"),
        ("keys.example/shop", "host_malformed"),
        ("*.keys.example", "host_malformed"),
        ("user@keys.example", "host_malformed"),
        ("203.0.113.7", "host_malformed"),
        ("127.1", "host_malformed"),
        ("0x7f.0x1", "host_malformed"),
        ("[2001:db8::1]", "host_malformed"),
        ("localhost", "host_malformed"),
        ("db.internal", "host_malformed"),
        ("a_b.example", "host_malformed"),
        (f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 60}", "host_malformed"),
        ("x" * 100_000, "host_malformed"),
        ("pay.vendrail.example", "host_own"),
        ("shop.pay.vendrail.example", "host_own"),
        ("a.vendrail.test", "host_own"),
        ("Bücher.test", "host_own"),
        ("a.xn--bcher-kva.test", "host_own"),
    ],
)
async def test_what_is_no_name_of_a_merchants_own_is_refused(zone, typed, status):
    """Addresses, ports, paths, local names and the platform's own hosts cannot be claimed."""
    assert status == (await zone.add(await zone.open("north"), typed)).status


async def test_a_shop_has_as_many_domains_as_may_be(zone):
    """The sixth domain is refused, also of many at once; the same one again is no other."""
    north = await zone.open("north")
    hosts = [f"k{number}.example" for number in range(8)]
    added = await asyncio.gather(*(zone.add(north, host) for host in hosts))
    known = next(each.domain for each in added if each.domain)
    again = await zone.add(north, known.host)

    assert (5, 3) == tuple(
        [each.status for each in added].count(wanted) for wanted in ("added", "too_many")
    )
    assert ("exists", known) == (again.status, again.domain)


async def test_a_merchant_adds_so_many_domains_a_day(zone):
    """The twenty-first within a day is refused, removed ones counted; a day later it is not."""
    north, other = await zone.open("north"), await zone.open("south")
    added = []
    for number in range(22):
        each = await zone.add(north, f"k{number}.example")
        added.append(each.status)
        if each.domain is not None:
            name = DomainName(each.domain.id, north.merchant)
            await zone.domains.remove_domains([name])
    others = await zone.add(other)
    zone.clock.advance(86_401)
    later = await zone.add(north, "k99.example")

    assert ["added"] * 20 + ["too_many_today"] * 2 == added
    assert ("added", "added") == (others.status, later.status)


async def test_what_a_look_finds_by_itself_is_in_the_log(zone):
    """Proven or lost by the daily look: once each, under the name of the service that looked."""
    north = await zone.open("north")
    domain = (await zone.add(north)).domain
    zone.server.prove(domain)
    await zone.days(1)
    await zone.tell()
    zone.server.disprove(domain)
    await zone.days(6)
    await zone.tell()
    await zone.tell()
    acts = await zone.acts(north)

    assert ["domain.lost", "domain.proven"] == [each.act for each in acts]
    assert [("system", "domains")] * 2 == [(each.by.kind, each.by.name) for each in acts]
    assert ({"host": "keys.example"}, f"shop:{to_serial(north.id)}") == (
        acts[1].after,
        acts[1].subject,
    )


async def test_what_a_person_has_looked_for_is_not_logged_twice(zone):
    """A look that somebody asked for is in the log with them: the page writes it, not the loop."""
    north = await zone.open("north")
    await zone.proven(north)
    await zone.tell()

    assert [] == await zone.acts(north)


@pytest.mark.parametrize("host", ["a b.example", "*.keys.example", "keys.example/x"])
def test_a_reserved_host_that_is_none_stops_the_start(host):
    """A host that would keep nobody away is refused when the service is built, with advice."""
    with pytest.raises(Malformed, match="VENDRAIL_DOMAINS_RESERVED_HOSTS"):
        decide.read_own("pay.example", ["good.example", host])


async def test_a_host_that_the_platform_takes_for_itself_is_no_shops_any_more(zone, vault):
    """A platform that moves to a proven host, or reserves it, has it, with all that is below."""
    north = await zone.open("north")
    for host in ("keys.example", "eu.keys.example", "good.example"):
        await zone.proven(north, host)
    moved = replace(zone.house.platform, public_url="https://keys.example")
    asked = {"VENDRAIL_DOMAINS_RESERVED_HOSTS": "keys.example"}
    houses = [
        House(moved, {}, zone.clock, vault),
        House(zone.house.platform, asked, zone.clock, vault),
    ]
    found = [{each.host for each in await house.api(Domains).list_hosts()} for house in houses]
    for house in houses:
        await house.stop()

    assert [{"good.example"}] * 2 == found
    assert 3 == len(await zone.hosts())


async def test_only_a_merchants_own_shop_takes_a_domain(zone):
    """A merchant claims nothing for another's shop, and touches none of their domains."""
    north, south = await zone.open("north"), await zone.open("south")
    stolen = await zone.add(north.__class__(south.id, north.merchant, "", "", ""), "a.example")
    domain = (await zone.add(north)).domain
    name = DomainName(domain.id, south.merchant)
    [checked] = await zone.domains.check_domains([name])

    assert ("shop_not_found", "not_found") == (stolen.status, checked.status)
    assert [False] == await zone.domains.remove_domains([name])
    assert domain == await zone.read(domain)


async def test_looks_are_not_asked_for_at_will(zone):
    """A second look within half a minute asks nobody."""
    domain = (await zone.add(await zone.open("north"))).domain
    await zone.check(domain)
    asked = len(zone.server.asked)
    [again] = await zone.domains.check_domains([DomainName(domain.id, domain.merchant)])

    assert ("too_soon", asked) == (again.status, len(zone.server.asked))


async def test_a_claim_keeps_nobody_from_proving(zone):
    """Whoever claims a host first has nothing of it: whoever proves it does."""
    north, south = await zone.open("north"), await zone.open("south")
    await zone.add(north)
    await zone.proven(south)

    assert {"keys.example": "south"} == await zone.hosts()


async def test_a_host_goes_over_when_its_shop_has_lost_it(zone):
    """Another's proof takes nothing away; it counts once the first proof was away for days."""
    north, south = await zone.open("north"), await zone.open("south")
    first = await zone.proven(north)
    second = await zone.proven(south)
    held = await zone.hosts()
    await zone.days(5)
    still = await zone.hosts()
    zone.server.disprove(first)
    await zone.days(2)
    early = await zone.hosts()
    await zone.days(3)

    assert (DomainState.WAITING, True) == (second.state, second.is_taken)
    assert {"keys.example": "north"} == held == still == early
    assert {"keys.example": "south"} == await zone.hosts()
    assert DomainState.LOST is (await zone.read(first)).state


async def test_two_who_prove_at_once_share_nothing(zone):
    """Of two shops that prove a host at the same moment one has it."""
    shops = [await zone.open(slug) for slug in ("north", "south")]
    domains = [(await zone.add(shop)).domain for shop in shops]
    for each in domains:
        zone.server.prove(each)
    checked = await asyncio.gather(*map(zone.check, domains))

    assert ["active", "waiting"] == sorted(each.domain.state for each in checked)
    assert 1 == len(await zone.hosts())


async def test_a_proof_that_stays_away_loses_the_host(zone):
    """One missed look loses nothing; after three days of them the host is served no more."""
    domain = await zone.proven(await zone.open("north"))
    zone.server.texts.clear()
    await zone.days(2)
    failing, served = await zone.read(domain), await zone.hosts()
    await zone.days(3)
    lost = await zone.read(domain)

    assert (DomainState.ACTIVE, True) == (failing.state, failing.failing_since is not None)
    assert ({"keys.example": "north"}, {}) == (served, await zone.hosts())
    assert (DomainState.LOST, True) == (lost.state, lost.lost_at is not None)


async def test_a_proof_that_comes_back_is_as_before(zone):
    """A record that was missing for a day counts again by itself, also after the host was lost."""
    domain = await zone.proven(await zone.open("north"))
    zone.server.disprove(domain)
    await zone.days(2)
    zone.server.prove(domain)
    await zone.days(1)
    healed = await zone.read(domain)
    zone.server.disprove(domain)
    await zone.days(6)
    lost = await zone.hosts()
    zone.server.prove(domain)
    await zone.days(1)

    assert (DomainState.ACTIVE, None) == (healed.state, healed.failing_since)
    assert ({}, {"keys.example": "north"}) == (lost, await zone.hosts())


@pytest.mark.parametrize("fault", ["is_silent", "is_broken"])
async def test_name_servers_that_do_not_answer_lose_nobody_a_host(zone, fault):
    """Silence says nothing of a record: a host is kept, and its proof looked for again."""
    domain = await zone.proven(await zone.open("north"))
    setattr(zone.server, fault, True)
    zone.clock.advance(86_400)
    for _ in range(5):
        await zone.check(domain)
        zone.clock.advance(86_400)
    silent = await zone.read(domain)
    setattr(zone.server, fault, False)
    await zone.check(domain)

    assert (DomainState.ACTIVE, Finding.UNANSWERED) == (silent.state, silent.finding)
    assert None is silent.failing_since
    assert {"keys.example": "north"} == await zone.hosts()


async def test_a_removed_domain_is_free_at_once(zone):
    """Who proves a host that somebody removes has it with the next look, without asking."""
    north, south = await zone.open("north"), await zone.open("south")
    first = await zone.proven(north)
    await zone.proven(south)
    removed = await zone.domains.remove_domains([DomainName(first.id, first.merchant)] * 2)
    gone = await zone.hosts()
    await zone.service.check_due()

    assert ([True, False], {}) == (removed, gone)
    assert {"keys.example": "south"} == await zone.hosts()


async def test_claims_that_nobody_proves_are_looked_for_ever_less(zone):
    """A claim is looked for often in its first hour, and after two weeks not at all."""
    domain = (await zone.add(await zone.open("north"))).domain
    await zone.days(15)
    asked = len(zone.server.asked)
    await zone.days(5)
    zone.server.prove(domain)
    checked = await zone.check(domain)

    assert 10 < asked < 60
    assert asked + 1 == len(zone.server.asked)
    assert DomainState.ACTIVE is checked.domain.state


@pytest.mark.parametrize("text", ["dns.example", "127.0.0.1:dns", "https://dns.example", "1.2.3"])
def test_a_resolver_is_an_address(text):
    """What is set as a resolver and is none is refused when the service is built."""
    with pytest.raises(Malformed, match="A resolver is an address"):
        Prover([text], 1.0)


def test_resolvers_may_have_a_port():
    """A port is read off, also behind an address of six."""
    servers = Prover(["9.9.9.9", "127.0.0.1:5353", "2001:db8::1", "[2001:db8::1]:54"], 1.0)._servers

    assert [53, 5353, 53, 54] == [each.port for each in servers]
