"""The rig: payments over a real database, with one account of the channel that is on the bench."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from vendrail.api.payments import (
    Attempt,
    Callback,
    CallbackAnswer,
    Capture,
    ChannelAccount,
    ChannelId,
    Device,
    PaymentAction,
    PaymentCaptured,
    PaymentEvent,
    PresentRequest,
)
from vendrail.channelkit.bench import Bench, Message, Sale, Twist
from vendrail.kernel.db import Database, connect_once
from vendrail.kernel.ids import derive, new_id
from vendrail.kernel.migrate import migrate, role_name
from vendrail.kernel.outbox import Cursor, Wakeups
from vendrail.kernel.telemetry import Metrics
from vendrail.kernel.vault import Vault
from vendrail.payments.attempts import out_trade_no
from vendrail.payments.channels.base import Account, Channel, check_settings, registry
from vendrail.payments.channels.line import Switchboard
from vendrail.payments.service import PaymentsService
from vendrail.payments.settings import PaymentsSettings

MERCHANT = UUID("018f0000-0000-7000-8000-00000000beef")


class MovableClock:
    """The machine's clock, moved on by tests; waiting is real."""

    def __init__(self, moved: Callable[[float], None] | None = None) -> None:
        self._offset = timedelta(0)
        self._moved = moved

    def now(self) -> datetime:
        """Give the present moment and what was added to it."""
        return datetime.now(UTC) + self._offset

    def advance(self, delay_s: float) -> None:
        """Move time on."""
        self._offset += timedelta(seconds=delay_s)
        if self._moved is not None:
            self._moved(self._offset.total_seconds())

    async def sleep(self, delay_s: float) -> None:
        """Wait for so many seconds."""
        await asyncio.sleep(delay_s)


class Rig:
    """A marketplace with one account: makes orders, shows them, hears callbacks."""

    def __init__(self, bench: Bench, database_url: str, vault: Vault) -> None:
        self.bench = bench
        self.clock = MovableClock(bench.move_time)
        self.channel: Channel[Any] = registry()[bench.kind]
        self.database_url = database_url
        self._vault = vault
        self._opened: list[tuple[PaymentsService, Database]] = []
        self._switchboard = Switchboard(self.clock, PaymentsSettings(), lambda: None)
        self.owner: Any = None  # The owner's connection, to look and to break things.
        self.service: PaymentsService
        self.account: ChannelAccount

    @classmethod
    @asynccontextmanager
    async def over(cls, bench: Bench, database_url: str, vault: Vault) -> AsyncIterator["Rig"]:
        """Give payments with one account of the channel, at a provider without trouble."""
        made = cls(bench, database_url, vault)
        await bench.calm()
        await made._start()
        try:
            yield made
        finally:
            await bench.calm()
            await made._stop()

    async def _start(self) -> None:
        """Make the database's tables, and write the bench's account."""
        await migrate(self.database_url, ["payments"])
        self.owner = await connect_once(self.database_url)
        self.service = await self.make_service()
        self.account = await self.add_account(self.bench.kind, await self.bench.settings())

    async def make_service(self, **settings: Any) -> PaymentsService:
        """Make payments with other settings, over the same database."""
        database = Database(self.database_url, "payments", role=role_name("payments"))
        service = PaymentsService(
            database,
            self._vault,
            self.clock,
            Wakeups(),
            PaymentsSettings(**settings),
            Metrics(),
        )
        self._opened.append((service, database))
        return service

    async def _stop(self) -> None:
        """Let go of all of it."""
        await self._switchboard.close()
        for service, database in self._opened:
            await service.close()
            await database.close()
        await self.owner.close()

    async def add_account(self, name: str, settings: dict[str, str]) -> ChannelAccount:
        """Write an account of the channel."""
        account = ChannelAccount(
            id=ChannelId(new_id(self.clock.now())),
            name=name,
            kind=self.bench.kind,
            title=name,
            currencies=[self.bench.currency],
            settings=settings,
        )
        assert ["created"] == await self.service.put_channels([account])
        return account

    async def opened_account(self) -> Account[Any]:
        """Give the bench's account as the channel itself sees it."""
        settings = check_settings(self.channel, await self.bench.settings())
        return Account(
            self.account.id, self.account.name, settings, self._switchboard.line(self.account.id)
        )

    # Sales.

    async def methods(self) -> list[str]:
        """Name the ways to pay that the account offers."""
        offered = await self.service.list_methods(self.bench.currency)
        return [method.method for method in offered if method.channel == self.account.id]

    async def attempt(self, method: str = "", **changes: Any) -> Attempt:
        """Open an attempt of a new order, or as told, over the bench's account."""
        order = changes.pop("order", None) or new_id(self.clock.now(), 7)
        number = changes.pop("number", 1)
        given = {
            "id": derive(order, f"attempt:{number}"),
            "order": order,
            "number": number,
            "merchant": MERCHANT,
            "method": method or (await self.methods())[0],
            "amount_minor": self.bench.amount_minor,
            "currency": self.bench.currency,
            "title": "月卡 monthly",
            "expires_at": self.clock.now() + timedelta(minutes=45),
            "channel": self.account.id,
            **changes,
        }
        attempt = Attempt(**given)
        assert ["opened"] == await self.service.open_attempts([attempt])
        return attempt

    async def present(self, attempt: Attempt, device: Device = Device.DESKTOP) -> PaymentAction:
        """Ask for the way to pay."""
        request = PresentRequest(
            attempt.id,
            device,
            "https://shop.example/orders/1",
            "https://shop.example/",
            "203.0.113.9",
        )
        (action,) = await self.service.present_attempts([request])
        return action

    async def sale(self, method: str = "", **changes: Any) -> tuple[Attempt, Sale]:
        """Open an attempt and show the way to pay it; the buyer has not moved yet."""
        attempt = await self.attempt(method, **changes)
        action = await self.present(attempt)
        assert not action.problem
        return attempt, Sale(
            number_of(attempt), attempt.amount_minor, attempt.currency, attempt.method, action
        )

    async def captured(self, **changes: Any) -> tuple[Sale, Capture]:
        """Let a sale be paid and found by asking; give its capture."""
        attempt, sale = await self.sale(**changes)
        await self.bench.pay(sale)
        assert ["captured"] == await self.service.query_attempts([attempt.id])
        ((capture,),) = await self.service.read_captures([attempt.order])
        return sale, capture

    async def message(self, sale: Sale, twist: Twist = Twist.NONE) -> Message:
        """Give the provider's callback for a paid sale, where it sends such a one."""
        message = await self.bench.paid(sale, twist) if self.bench.has_callbacks else None
        if message is None:
            pytest.skip(f"{self.channel.name} never sends a callback like that ({twist}).")
        return message

    # Callbacks.

    async def hear(self, *messages: Message, at: UUID | None = None) -> list[CallbackAnswer]:
        """Send callbacks in one batch, and nothing more."""
        return await self.service.take_callbacks(
            [callback_of(message, at or self.account.id) for message in messages]
        )

    async def tell(self, *messages: Message, at: UUID | None = None) -> list[CallbackAnswer]:
        """Send callbacks in one batch, and let what they claim be asked about."""
        answers = await self.hear(*messages, at=at)
        await self.service.confirm_captures()
        return answers

    async def events(self) -> list[PaymentEvent]:
        """Read all events so far."""
        (page,) = await self.service.read_events([Cursor()])
        assert not page.is_more
        return [
            event
            for batch in page.batches
            for event in msgspec.json.decode(batch, type=list[PaymentEvent])
        ]

    async def captures(self) -> list[PaymentCaptured]:
        """Read all events so far; there must be none but captures."""
        events = await self.events()
        assert all(isinstance(event, PaymentCaptured) for event in events)
        return [event for event in events if isinstance(event, PaymentCaptured)]

    async def state(self, attempt: Attempt) -> str:
        """Say where an attempt stands."""
        (views,) = await self.service.read_attempts([attempt.order])
        return next(str(view.state) for view in views if view.attempt.id == attempt.id)


def number_of(attempt: Attempt) -> str:
    """Give the number an attempt carries at the provider."""
    return out_trade_no(attempt.order, attempt.number)


def callback_of(message: Message, channel: UUID) -> Callback:
    """Address a message to an account."""
    headers = dict(message.headers)
    return Callback(ChannelId(channel), message.method, headers, message.query, message.body)
