"""The ledger against a model written apart from it: naive, slow, and without a counter of its own.

The model keeps a list of facts and sums them up whenever it wants to know something. Decisions
(pure) and the service over PostgreSQL must give the same answers and the same sums, whatever is
thrown at them: items that depend on earlier ones, one account many times, one id twice, chains,
reservations.
"""

import itertools
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vendrail.api.ledger import (
    Account,
    AccountLimit,
    Transfer,
    TransferCode,
    TransferId,
    TransferKind,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import derive, new_id
from vendrail.kernel.money import AMOUNT_MINOR_MAX
from vendrail.ledger import decide, plain
from vendrail.ledger.books import Books, Counters, Terms, free_minor

_worlds = itertools.count()
COUNTERS = ("debits_pending", "debits_posted", "credits_pending", "credits_posted")
LIMITS = {
    "bank": AccountLimit.NONE,
    "held": AccountLimit.NONE,
    "shop": AccountLimit.DEBITS_WITHIN_CREDITS,
    "till": AccountLimit.DEBITS_WITHIN_CREDITS,
    "card": AccountLimit.CREDITS_WITHIN_DEBITS,
}


def make_accounts(suffix: str = "") -> dict[str, Account]:
    """A small world: free and limited accounts, one in dollars, one that is never opened."""
    chart = {name: Account(name + suffix, "CNY", limit) for name, limit in LIMITS.items()}
    chart["dollar"] = Account("dollar" + suffix, "USD")
    chart["nowhere"] = Account("nowhere" + suffix, "CNY")
    return chart


class Model:
    """Facts, summed up at need; every answer is worked out from all that happened before."""

    def __init__(self, accounts: Sequence[Account]) -> None:
        self.accounts = {account.id: account for account in accounts}
        self.facts: list[tuple[UUID, str, int]] = []  # Account, counter, amount.
        self.answers: dict[UUID, tuple[Transfer, str, int]] = {}
        self.times: dict[UUID, object] = {}
        self.ended: dict[UUID, TransferKind] = {}

    def sums(self, account: UUID) -> tuple[int, ...]:
        return tuple(
            sum(amount for owner, name, amount in self.facts if (owner, name) == (account, counter))
            for counter in COUNTERS
        )

    def room(self, new: Transfer) -> int:
        rooms = [10**30]
        if self.accounts[new.debit].limit is AccountLimit.DEBITS_WITHIN_CREDITS:
            pending, posted, _, income = self.sums(new.debit)
            rooms.append(income - posted - pending)
        if self.accounts[new.credit].limit is AccountLimit.CREDITS_WITHIN_DEBITS:
            _, income, pending, posted = self.sums(new.credit)
            rooms.append(income - posted - pending)
        return min(rooms)

    def is_due(self, id: UUID, now) -> bool:
        timeout_s = self.answers[id][0].timeout_s
        return bool(timeout_s) and self.times[id] + timedelta(seconds=timeout_s) <= now

    def refusal(self, new: Transfer, now) -> str | None:
        ends = new.kind not in (TransferKind.SINGLE, TransferKind.PENDING)
        old, how, reserved = self.answers.get(new.pending, (None, "", 0))
        known = self.accounts.keys()
        is_open = old is not None and old.kind == "pending" and how == "created"
        ladder = (
            ("amount_not_positive", lambda: new.amount_minor < (0 if ends else 1)),
            ("amount_too_large", lambda: new.amount_minor > AMOUNT_MINOR_MAX),
            ("accounts_equal", lambda: new.debit == new.credit),
            ("account_not_found", lambda: not {new.debit, new.credit} <= known),
            (
                "currencies_differ",
                lambda: self.accounts[new.debit].currency != self.accounts[new.credit].currency,
            ),
            ("pending_not_found", lambda: ends and not is_open),
            (
                "pending_different",
                lambda: (
                    ends
                    and (
                        (old.debit, old.credit) != (new.debit, new.credit)
                        or (new.kind == "void" and 0 < new.amount_minor < reserved)
                    )
                ),
            ),
            (
                "pending_resolved",
                lambda: ends and self.ended.get(new.pending, "expire") != "expire",
            ),
            ("pending_expired", lambda: ends and self.ended.get(new.pending) == "expire"),
            ("pending_expired", lambda: ends and self.is_due(new.pending, now)),
            (
                "pending_too_small",
                lambda: ends and new.amount_minor > reserved and not new.is_balancing,
            ),
            (
                "balance_too_low",
                lambda: not ends and self.room(new) < (1 if new.is_balancing else new.amount_minor),
            ),
        )
        return next((status for status, applies in ladder if applies()), None)

    def record(self, new: Transfer, now) -> int:
        """Add the facts of a transfer that may be; give what moved."""
        self.times[new.id] = now
        if new.kind in ("single", "pending"):
            moved = min(new.amount_minor, self.room(new)) if new.is_balancing else new.amount_minor
            self.note(new, "posted" if new.kind == "single" else "pending", moved)
            return moved
        reserved = self.answers[new.pending][2]
        self.ended[new.pending] = new.kind
        self.note(new, "pending", -reserved)
        moved = min(new.amount_minor or reserved, reserved) if new.kind == "post" else 0
        self.note(new, "posted", moved)
        return moved

    def note(self, new: Transfer, phase: str, amount: int) -> None:
        self.facts += [(new.debit, f"debits_{phase}", amount)]
        self.facts += [(new.credit, f"credits_{phase}", amount)]

    def answer_again(self, new: Transfer) -> tuple[str, int]:
        old, status, amount = self.answers[new.id]
        if replace(old, is_linked=False) != replace(new, is_linked=False):
            return ("exists_different", 0)
        return ("exists", amount) if status == "created" else (status, 0)

    def try_chain(self, chain: Sequence[Transfer], now) -> tuple[int, str] | None:
        """Do a chain; give where it broke and why."""
        for place, new in enumerate(chain):
            if new.id in self.answers:
                status, _ = self.answer_again(new)
                if status != "exists":
                    return (place, status)
                continue
            status = self.refusal(new, now)
            if new.is_linked and new is chain[-1]:
                status = "chain_open"
            if status:
                return (place, status)
            self.answers[new.id] = (new, "created", self.record(new, now))
        return None

    def post_chain(self, chain: Sequence[Transfer], now) -> list[tuple[str, int]]:
        kept = list(self.facts), dict(self.answers), dict(self.times), dict(self.ended)
        broken = self.try_chain(chain, now)
        is_new = [
            new.id not in kept[1] and new.id not in {other.id for other in chain[:place]}
            for place, new in enumerate(chain)
        ]
        if broken is None:
            return [
                ("created", self.answers[new.id][2]) if fresh else self.answer_again(new)
                for new, fresh in zip(chain, is_new, strict=True)
            ]
        self.facts, self.answers, self.times, self.ended = kept
        results = []
        for place, new in enumerate(chain):
            if new.id not in self.answers:
                status = broken[1] if place == broken[0] else "linked_failed"
                self.answers[new.id] = (new, status, 0)
            results.append(self.answer_again(new))
        return results

    def post(self, batch: Sequence[Transfer], now) -> list[tuple[str, int]]:
        results, chain = [], []
        for new in batch:
            chain.append(new)
            if not new.is_linked:
                results += self.post_chain(chain, now)
                chain = []
        return results + (self.post_chain(chain, now) if chain else [])

    def expire(self, now) -> None:
        for id, (old, status, _) in list(self.answers.items()):
            if (
                old.kind == "pending"
                and status == "created"
                and id not in self.ended
                and self.is_due(id, now)
            ):
                expiry = replace(
                    old, kind=TransferKind.EXPIRE, pending=id, amount_minor=0, timeout_s=0
                )
                self.record(replace(expiry, id=TransferId(derive(id, "expire"))), now)


AMOUNTS = st.sampled_from([1, 2, 3, 5, 8, 8, 20, 100, 0, -1, AMOUNT_MINOR_MAX + 1])
NAMES = st.sampled_from(["bank", "bank", "held", "shop", "shop", "till", "card"])
RARE_NAMES = st.sampled_from(["bank", "shop", "dollar", "nowhere"])


@st.composite
def orders(draw):
    """One order to the ledger, in numbers and names: ids come from a small pool, so they repeat."""
    kind = draw(st.sampled_from(["single"] * 3 + ["pending"] * 3 + ["post"] * 3 + ["void"]))
    ends = kind in ("post", "void")
    names = RARE_NAMES if draw(st.integers(0, 19)) == 0 else NAMES
    return {
        "id": draw(st.integers(0, 24)),
        "debit": draw(names),
        "credit": draw(names),
        "amount_minor": draw(AMOUNTS if not ends else st.sampled_from([0, 0, 0, 1, 3, 8, -1])),
        "kind": kind,
        "pending": draw(st.integers(0, 24)) if ends else None,
        "timeout_s": draw(st.sampled_from([0, 5])) if kind == "pending" else 0,
        "is_linked": draw(st.integers(0, 2)) == 0,
        "is_balancing": kind != "void" and draw(st.integers(0, 4)) == 0,
        "memo": draw(st.sampled_from(["", "", "", "note"])),
    }


@st.composite
def plain_orders(draw):
    """One order under an id of its own that nothing but an empty account can refuse."""
    debit, credit = draw(
        st.sampled_from(list(itertools.permutations(["bank", "held", "shop", "till", "card"], 2)))
    )
    return {
        "id": None,
        "debit": debit,
        "credit": credit,
        "amount_minor": draw(st.sampled_from([1, 2, 3, 5, 8, 20])),
        "kind": "single",
        "pending": None,
        "timeout_s": 0,
        "is_linked": draw(st.integers(0, 4)) == 0,
        "is_balancing": False,
        "memo": "",
    }


STEPS = st.lists(
    st.one_of(
        st.lists(orders(), min_size=1, max_size=12),
        st.lists(plain_orders(), min_size=1, max_size=12),
        st.sampled_from([3, 10]),  # Seconds that pass.
        st.just("expire"),
        st.just("roll_up"),
    ),
    min_size=1,
    max_size=8,
)


class World:
    """Turns drawn orders into transfers of one world of accounts."""

    def __init__(self, now, suffix: str = "") -> None:
        self.chart = make_accounts(suffix)
        self.opened = [account for name, account in self.chart.items() if name != "nowhere"]
        self.now = now
        self.ids = [self.fresh_id() for _ in range(25)]
        self.sent: dict[UUID, Transfer] = {}

    def fresh_id(self) -> TransferId:
        return TransferId(new_id(self.now))

    def choose_pending(self, number: int | None) -> TransferId | None:
        """Mostly one that was sent as pending, the newest first; sometimes anything."""
        if number is None:
            return None
        sent = [id for id, old in self.sent.items() if old.kind is TransferKind.PENDING]
        return sent[-1 - number % len(sent)] if sent and number < 20 else self.ids[number]

    def transfer(self, order: dict) -> Transfer:
        pending = self.choose_pending(order["pending"])
        debit, credit = self.chart[order["debit"]].id, self.chart[order["credit"]].id
        old = self.sent.get(pending)
        if old is not None and order["debit"] != "held":
            debit, credit = old.debit, old.credit  # Mostly the right accounts, sometimes not.
        new = Transfer(
            id=self.ids[order["id"]] if order["id"] is not None else self.fresh_id(),
            debit=debit,
            credit=credit,
            amount_minor=order["amount_minor"],
            code=TransferCode.ADJUSTMENT,
            subject=self.ids[0],
            kind=TransferKind(order["kind"]),
            pending=pending,
            timeout_s=order["timeout_s"],
            is_linked=order["is_linked"],
            is_balancing=order["is_balancing"],
            memo=order["memo"],
        )
        self.sent.setdefault(new.id, new)
        return new


def load_books(world: World, now) -> Books:
    """The books of a world where nothing has happened yet."""
    accounts: dict[int, Terms] = {}
    counters: dict[int, Counters] = {}
    for number, account in enumerate(world.opened, start=1):
        accounts[account.id.int] = Terms(
            id=account.id,
            number=number,
            name=account.name,
            currency=account.currency,
            limit=account.limit,
            are_debits_limited=account.limit is AccountLimit.DEBITS_WITHIN_CREDITS,
            are_credits_limited=account.limit is AccountLimit.CREDITS_WITHIN_DEBITS,
            is_limited=account.limit is not AccountLimit.NONE,
            is_listed=True,
            opened_at=now,
        )
        if account.limit is not AccountLimit.NONE:
            counters[number] = Counters()
    return Books(now=now, accounts=accounts, counters=counters)


def apply(books: Books, batch: Sequence[Transfer]) -> list[tuple[str, int]]:
    return [(str(one.status), one.amount_minor) for one in decide.post(books, batch)]


def sums_of(books: Books, account: Account) -> tuple[int, ...]:
    counters = books.changes.get(books.accounts[account.id.int].number, Counters())
    return tuple(getattr(counters, name) for name in COUNTERS)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_decisions_agree_with_the_model(steps, clock):
    """Every batch gets the model's answers, and the counters are the sums of the model's facts."""
    world = World(clock.now())
    books, model = load_books(world, clock.now()), Model(world.opened)
    for step in steps:
        if isinstance(step, int):
            clock.advance(step)
            books.now = clock.now()
        elif isinstance(step, list):
            batch = [world.transfer(order) for order in step]

            assert model.post(batch, clock.now()) == apply(books, batch)
    for account in world.opened:
        assert model.sums(account.id) == sums_of(books, account)
        number = books.accounts[account.id.int].number
        if number in books.counters:
            assert books.counters[number] == books.changes.get(number, Counters())


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(batch=st.lists(orders(), min_size=1, max_size=30))
def test_a_batch_is_its_items_one_by_one(batch, clock):
    """Posting a batch is the same as posting its chains one after another."""
    world = World(clock.now())
    transfers = [world.transfer(order) for order in batch]
    together, apart = load_books(world, clock.now()), load_books(world, clock.now())
    results, chain = [], []
    for transfer in transfers:
        chain.append(transfer)
        if not transfer.is_linked or transfer is transfers[-1]:
            results += apply(apart, chain)
            chain = []

    assert results == apply(together, transfers)
    assert apart.counters == together.counters
    assert apart.made == together.made


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(batch=st.lists(orders(), min_size=1, max_size=30))
def test_a_replay_changes_nothing(batch, clock):
    """Posting a batch again gives kept outcomes and leaves every counter as it was."""
    world = World(clock.now())
    transfers = [world.transfer(order) for order in batch]
    books = load_books(world, clock.now())
    first = apply(books, transfers)
    before = {account.id: sums_of(books, account) for account in world.opened}
    again = apply(books, transfers)

    assert before == {account.id: sums_of(books, account) for account in world.opened}
    assert "created" not in {status for status, _ in again}
    for (was, amount), now in zip(first, again, strict=True):
        assert (("exists", amount) if was == "created" else (was, amount)) == now


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(income=st.lists(plain_orders()), batch=st.lists(plain_orders(), min_size=1, max_size=15))
def test_deciding_what_is_short_is_enough(income, batch, clock):
    """Of a plain batch only what involves a short account need be decided: the rest is created."""
    world = World(clock.now())
    earlier = [replace(world.transfer(order), is_linked=False) for order in income]
    before, whole, part = (load_books(world, clock.now()) for _ in range(3))
    for books in (before, whole, part):
        apply(books, earlier)
    transfers = [world.transfer(order) for order in batch]
    found = plain.gather(transfers, whole.accounts, clock.now())
    assert (found is None) == transfers[-1].is_linked
    if found is None:
        return
    limits = {terms.number: terms for terms in whole.accounts.values()}
    for number, _, debits, _, credits in found.sums.limited:
        terms, counters = limits[number], part.counters[number]
        if free_minor(terms, counters) >= (debits if terms.are_debits_limited else credits):
            del part.counters[number]
    results = apply(whole, transfers)
    apply(part, plain.involved(transfers, part.accounts, part.counters))
    refused = {id for id, made in part.made.items() if made.refusal}
    sums = plain.add_up_kept(transfers, part.accounts, refused)

    assert [status != "created" for status, _ in results] == [
        one.id in refused for one in transfers
    ]
    assert all(made == whole.made[id] for id, made in part.made.items())
    for number, *moves in (*sums.limited, *sums.others):
        was, now = before.changes.get(number, Counters()), whole.changes[number]
        assert moves == [getattr(now, name) - getattr(was, name) for name in COUNTERS]


async def assert_same(ledger, database, world: World, model: Model) -> None:
    """Counters, journal and model agree on every account."""
    ids = [account.id for account in world.opened]
    async with database.reading() as tx:
        rows = await tx.fetch(
            """
            select a.id, sum(e.debits_pending)::bigint, sum(e.debits_posted)::bigint,
                   sum(e.credits_pending)::bigint, sum(e.credits_posted)::bigint
              from ledger.entry e join ledger.account a on a.number = e.account
             where a.id = any($1) group by a.id
            """,
            ids,
        )
    entries = {id: tuple(sums) for id, *sums in rows}
    for account, balance in zip(world.opened, await ledger.read_balances(ids), strict=True):
        counters = tuple(getattr(balance, name) for name in COUNTERS)

        assert model.sums(account.id) == counters
        assert entries.get(account.id, (0, 0, 0, 0)) == counters


@pytest.mark.slow
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
async def test_the_service_agrees_with_the_model(steps, service, books_database, clock):
    """The same over PostgreSQL, with time, expiry and roll-ups; and the journal explains it all."""
    world = World(clock.now(), f":{next(_worlds)}")
    model = Model(world.opened)
    await service.open_accounts(world.opened)
    for step in steps:
        if isinstance(step, int):
            clock.advance(step)
        elif step == "roll_up":
            await service.roll_up()
        elif step == "expire":
            await service.expire_transfers()
            model.expire(clock.now())
        else:
            batch = [world.transfer(order) for order in step]
            expected = model.post(batch, clock.now())
            results = await service.post_transfers(batch)

            assert expected == [(str(one.status), one.amount_minor) for one in results]
    await assert_same(service, books_database, world, model)
