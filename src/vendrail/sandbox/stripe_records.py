"""What an emulated Stripe remembers: accounts, their objects, replies by key, notices."""

import secrets
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from vendrail.sandbox.journal import Journal
from vendrail.sandbox.records import Notice, NoticeEnd

_LETTERS = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ0123456789"


class Seller(msgspec.Struct, tag="seller"):
    """An account at Stripe; one that has a platform is connected to it."""

    id: str
    name: str
    secret_key: str
    publishable_key: str
    opening_minor: int  # Of each currency, so that refunds and transfers have a source.
    platform: str = ""


class Endpoint(msgspec.Struct, tag="endpoint"):
    """Where an account's webhooks go, and what signs them."""

    id: str
    account: str
    url: str
    secret: str
    events: list[str]  # `*`: all.


class Thing(msgspec.Struct, tag="thing"):
    """One object of the API, as it is shown, and what nobody is shown."""

    id: str
    account: str
    at: datetime
    shown: dict[str, Any]
    parent: str = ""  # The object it belongs to: a refund's payment, a payment's session.
    hidden: dict[str, str] = {}

    @property
    def kind(self) -> str:
        """Give what it is."""
        kind: str = self.shown["object"]
        return kind


class Replay(msgspec.Struct, tag="replay"):
    """What was answered under an idempotency key."""

    account: str
    key: str
    digest: str  # Of what was asked.
    status: int
    body: str
    at: datetime


_MOVING = ("checkout.session", "refund", "reporting.report_run")
_NUMBERED = ("checkout.session", "payment_intent")

Kept = Seller | Endpoint | Thing | Replay | Notice | NoticeEnd


class StripeStore:
    """All of it in memory, found by what names it, and in a journal."""

    def __init__(self, journal: Path, compact_bytes: int) -> None:
        self.sellers: dict[str, Seller] = {}
        self.endpoints: dict[str, Endpoint] = {}
        self.notices: dict[str, Notice] = {}
        self.replays: dict[tuple[str, str], Replay] = {}
        self.pending: dict[str, Thing] = {}  # What goes on by itself.
        self._keys: dict[str, str] = {}
        self._things: dict[str, Thing] = {}
        self._lists: dict[tuple[str, str], dict[str, Thing]] = defaultdict(dict)
        self._children: dict[str, dict[str, Thing]] = defaultdict(dict)
        self._tokens: dict[str, str] = {}
        self._numbers: dict[tuple[str, str], dict[str, Thing]] = defaultdict(dict)
        self._journal: Journal[Kept] = Journal(journal, Kept, compact_bytes, self._records)
        for record in self._journal.read():
            self._index(record)
        self._journal.open()

    def _records(self) -> Iterator[Kept]:
        yield from self.sellers.values()
        yield from self.endpoints.values()
        yield from self._things.values()
        yield from self.replays.values()
        yield from self.notices.values()

    def _index(self, record: Kept) -> None:
        match record:
            case Seller():
                self.sellers[record.id] = record
                self._keys[record.secret_key] = record.id
                self._keys[record.publishable_key] = record.id
            case Endpoint():
                self.endpoints[record.id] = record
            case Thing():
                self._index_thing(record)
            case Replay():
                self.replays[record.account, record.key] = record
            case Notice():
                self.notices[record.notify_id] = record
            case NoticeEnd():
                self.notices.pop(record.notify_id, None)

    def _index_thing(self, thing: Thing) -> None:
        self._things[thing.id] = thing
        self._lists[thing.account, thing.kind][thing.id] = thing
        if thing.parent:
            self._children[thing.parent][thing.id] = thing
        if token := thing.hidden.get("token"):
            self._tokens[token] = thing.id
        if thing.kind in _MOVING:
            if thing.shown["status"] in {"open", "pending"}:
                self.pending[thing.id] = thing
            else:
                self.pending.pop(thing.id, None)
        if thing.kind in _NUMBERED and (number := thing.shown["metadata"].get("out_trade_no")):
            self._numbers[thing.account, number][thing.id] = thing

    def numbered(self, account: str, number: str, kind: str) -> list[Thing]:
        """List the pages or payments of one of the merchant's numbers, newest first."""
        found = self._numbers.get((account, number), {}).values()
        return [each for each in reversed(found) if each.kind == kind]

    def save(self, *records: Kept) -> None:
        """Keep new or changed records, in the journal before returning."""
        for record in records:
            self._index(record)
        self._journal.append(records)

    def close(self) -> None:
        """Let go of the journal."""
        self._journal.close()

    def seller_by_key(self, key: str) -> Seller | None:
        """Find the account that a key opens."""
        return self.sellers.get(self._keys.get(key, ""))

    def thing(self, account: str, id: str, kind: str) -> Thing | None:
        """Find an object of an account."""
        found = self._things.get(id)
        is_it = found is not None and (found.account, found.kind) == (account, kind)
        return found if is_it else None

    def any_thing(self, id: str) -> Thing | None:
        """Find an object of whatever account."""
        return self._things.get(id)

    def by_token(self, token: str) -> Thing | None:
        """Find the object of a page."""
        return self._things.get(self._tokens.get(token, ""))

    def all(self, account: str, kind: str) -> list[Thing]:
        """List an account's objects of a kind, newest first."""
        return list(reversed(self._lists[account, kind].values()))

    def children(self, parent: str, kind: str) -> list[Thing]:
        """List the objects of a kind that belong to another, newest first."""
        found = self._children.get(parent, {}).values()
        return [each for each in reversed(found) if each.kind == kind]

    def add(
        self,
        account: str,
        prefix: str,
        now: datetime,
        shown: Mapping[str, Any],
        *,
        parent: str = "",
        hidden: Mapping[str, str] | None = None,
    ) -> Thing:
        """Keep a new object; what it is comes first, then its id."""
        id = make_id(prefix)
        kind = shown["object"]
        rest = {name: value for name, value in shown.items() if name != "object"}
        common = {"id": id, "object": kind, "created": int(now.timestamp()), "livemode": False}
        thing = Thing(id, account, now, {**common, **rest}, parent, dict(hidden or {}))
        self.save(thing)
        return thing


def make_id(prefix: str) -> str:
    """Make an id as Stripe does: what it is, then letters that nobody can guess."""
    return f"{prefix}_{make_token(24)}"


def make_token(length: int = 32) -> str:
    """Make letters that nobody can guess."""
    return "".join(secrets.choice(_LETTERS) for _ in range(length))
