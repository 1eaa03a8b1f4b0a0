"""Channel accounts: written whole, secrets sealed, opened for use, fresh within a second."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from vendrail.api.payments import (
    ChannelAccount,
    ChannelCheck,
    ChannelKind,
    ChannelStatus,
    Method,
    SettingView,
)
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import decode, encode, replace
from vendrail.kernel.errors import Unavailable
from vendrail.kernel.money import AMOUNT_MINOR_MAX
from vendrail.kernel.outbox import Wakeups
from vendrail.kernel.vault import Vault
from vendrail.payments.channels.base import (
    Account,
    Channel,
    MethodOffer,
    SettingProblem,
    check_settings,
    registry,
)
from vendrail.payments.channels.line import Switchboard
from vendrail.payments.channels.saving import AgreeingChannel
from vendrail.payments.channels.words import settings_said
from vendrail.payments.store import channels
from vendrail.payments.store.base import Row, Store

MASK = "********"  # What is shown instead of a secret; written back, it keeps the secret.
_TOPIC = "channels"
_PURPOSE = "payments.channel"
_FRESH = timedelta(seconds=1)
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class OpenAccount:
    """A channel account with its channel, ready for use; secrets are inside, keep it in here."""

    row: ChannelAccount
    text: str  # Its id, written once.
    version: int
    channel: Channel[Any]
    account: Account[Any]
    offers: list[MethodOffer]
    agreed_method: str = ""  # The way that buyers can agree to be charged by.


class Accounts:
    """All channel accounts, read once a second, and at once when a process has written some."""

    def __init__(
        self, store: Store, vault: Vault, clock: Clock, lines: Switchboard, wakeups: Wakeups
    ) -> None:
        self._store = store
        self._vault = vault
        self._clock = clock
        self._lines = lines
        self._open: dict[UUID, OpenAccount] = {}
        self._read_at: datetime | None = None
        self._offers: dict[str, list[Method]] = {}
        self._offers_of: object = None
        self._wakeups = wakeups
        self._changed = wakeups.subscribe(_TOPIC)

    async def all(self) -> dict[UUID, OpenAccount]:
        """Give every account that can be used, by id, inactive ones too."""
        now = self._clock.now()
        is_changed = self._read_at is None or self._changed.is_set()
        if is_changed or not timedelta(0) <= now - self._read_at < _FRESH:  # type: ignore[operator]
            self._changed.clear()
            async with self._store.reading() as tx:
                rows = await channels.read_channels(tx)
            known = self._open
            found = [self._open_account(row, known.get(row["id"])) for row in rows]
            self._open = {account.row.id: account for account in found if account is not None}
            self._read_at = now
        return self._open

    def _open_account(self, row: Row, known: OpenAccount | None) -> OpenAccount | None:
        if known is not None and known.version == row["version"]:
            return known
        channel = registry().get(row["kind"])
        if channel is None:
            _log.warning("channel.kind_unknown", channel=row["name"], kind=row["kind"])
            return None
        account = self._unseal(row)
        try:
            settings = check_settings(channel, account.settings)
        except SettingProblem as problem:
            # It was checked when it was written; a newer program may ask for more.
            _log.error("channel.unusable", channel=account.name, problem=str(problem))
            return None
        opened = Account(account.id, account.name, settings, self._lines.line(account.id))
        agreed = channel.agreed_method(settings) if isinstance(channel, AgreeingChannel) else ""
        return OpenAccount(
            account,
            str(account.id),
            row["version"],
            channel,
            opened,
            channel.offers(settings),
            agreed,
        )

    def _unseal(self, row: Row) -> ChannelAccount:
        data_key = self._vault.load_data_key(row["data_key"], row["sealed_key"])
        secrets = self._vault.unseal(data_key, _PURPOSE, row["id"], row["sealed"])
        public = decode(row["settings"], dict[str, str])
        return ChannelAccount(
            id=row["id"],
            name=row["name"],
            kind=row["kind"],
            title=row["title"],
            currencies=row["currencies"],
            settings=public | decode(secrets, dict[str, str]),
            is_active=row["is_active"],
            confirm_above_minor=row["confirm_above_minor"],
            amount_minor_min=row["amount_minor_min"],
            amount_minor_max=row["amount_minor_max"],
        )

    async def put(self, accounts: Sequence[ChannelAccount]) -> list[ChannelStatus]:
        """Write accounts whole, by id; an empty secret keeps the one that is there."""
        statuses = []
        now = self._clock.now()
        async with self._store.transaction() as tx:
            await channels.lock_channels(tx)
            known = {row["id"]: self._unseal(row) for row in await channels.read_channels(tx)}
            written: list[ChannelAccount] = []
            for account in accounts:
                merged = _keep_secrets(account, known.get(account.id))
                status = _checked(merged, known).status
                statuses.append(status)
                if status in {ChannelStatus.CREATED, ChannelStatus.CHANGED}:
                    known[merged.id] = merged
                    written = [other for other in written if other.id != merged.id] + [merged]
            if written:
                data_key = self._vault.new_data_key()
                await channels.insert_data_key(tx, data_key.id, data_key.sealed, now)
                rows = [self._seal(account, data_key) for account in written]
                await channels.write_channels(tx, rows, now)
        self._read_at = None
        if written:
            self._wakeups.wake(_TOPIC)
        return statuses

    async def check(self, accounts: Sequence[ChannelAccount]) -> list[ChannelCheck]:
        """Say how writing each account would end, and what is the matter; write nothing."""
        async with self._store.reading() as tx:
            known = {row["id"]: self._unseal(row) for row in await channels.read_channels(tx)}
        return [_checked(_keep_secrets(each, known.get(each.id)), known) for each in accounts]

    def _seal(self, account: ChannelAccount, data_key: Any) -> tuple[object, ...]:
        secret_names = _secret_names(registry()[account.kind])
        secrets = {name: value for name, value in account.settings.items() if name in secret_names}
        public = {name: value for name, value in account.settings.items() if name not in secrets}
        return (
            account.id,
            account.name,
            account.kind,
            account.title,
            ",".join(account.currencies),
            encode(public).decode(),
            self._vault.seal(data_key, _PURPOSE, account.id, encode(secrets)),
            data_key.id,
            account.is_active,
            account.confirm_above_minor,
            account.amount_minor_min,
            account.amount_minor_max,
        )

    async def read(self) -> list[ChannelAccount]:
        """List accounts, secrets masked."""
        async with self._store.reading() as tx:
            rows = await channels.read_channels(tx)
        listed = []
        for row in rows:
            account = self._unseal(row)
            channel = registry().get(account.kind)
            secret_names = _secret_names(channel) if channel else set(account.settings)
            shown = {
                name: MASK if name in secret_names and value else value
                for name, value in account.settings.items()
            }
            listed.append(replace(account, settings=shown))
        return listed

    async def offers(self) -> dict[str, list[Method]]:
        """Give what active accounts offer, by method, in the order of their names."""
        accounts = await self.all()
        if self._offers_of is not accounts:
            offers: dict[str, list[Method]] = {}
            for account in accounts.values():
                for method in self.methods_of(account):
                    offers.setdefault(method.method, []).append(method)
            self._offers, self._offers_of = offers, accounts
        return self._offers

    async def methods(self, currency: str) -> list[Method]:
        """List the ways to pay that active accounts offer in a currency.

        A way that several accounts offer is that of the first: there an attempt would go. Others
        are listed where those before have bounds, and they may take what the others do not.
        """
        found: list[Method] = []
        settled: set[str] = set()
        for account in (await self.all()).values():
            for method in self.methods_of(account):
                if currency in method.currencies and method.method not in settled:
                    found.append(method)
                    if not (method.amount_minor_min or method.amount_minor_max):
                        settled.add(method.method)
        return found

    @staticmethod
    def kinds() -> list[ChannelKind]:
        """List the kinds that are installed, with what their accounts ask for."""
        return [
            ChannelKind(
                kind,
                channel.name,
                list(channel.currencies),
                [
                    SettingView(
                        each.name,
                        each.label,
                        each.help,
                        settings_said(channel, each),
                        each.is_secret,
                        each.is_required,
                        each.is_multiline,
                        each.default,
                    )
                    for each in channel.settings_table
                ],
            )
            for kind, channel in sorted(registry().items())
        ]

    def methods_of(self, account: OpenAccount) -> list[Method]:
        """List what one account offers; an inactive one offers nothing."""
        if not account.row.is_active:
            return []
        taken = account.row.currencies
        agreed = {each.agreed_method for each in self._open.values() if each.row.is_active}
        currencies = {
            offer.method: [
                each for each in taken if not offer.currencies or each in offer.currencies
            ]
            for offer in account.offers
        }
        return [
            Method(
                method=offer.method,
                channel=account.row.id,
                channel_name=account.row.name,
                title=offer.title or account.row.title,
                currencies=currencies[offer.method],
                shows=offer.shows,
                amount_minor_min=account.row.amount_minor_min,
                amount_minor_max=account.row.amount_minor_max,
                devices=list(offer.devices),
                is_saving=offer.is_saving,
                is_agreeing=offer.method in agreed,
            )
            for offer in account.offers
            if currencies[offer.method]
        ]

    async def need(self, id: UUID) -> OpenAccount:
        """Give one account that an attempt or capture was made with."""
        account = (await self.all()).get(id)
        if account is None:
            raise Unavailable(f"Channel {id} cannot be used now; see the log.", retry_after_s=60.0)
        return account


def _secret_names(channel: Channel[Any]) -> set[str]:
    return {setting.name for setting in channel.settings_table if setting.is_secret}


def _keep_secrets(account: ChannelAccount, known: ChannelAccount | None) -> ChannelAccount:
    channel = registry().get(account.kind)
    if channel is None:
        return account
    settings = {name: text for name, value in account.settings.items() if (text := value.strip())}
    for name in _secret_names(channel):
        if settings.get(name, MASK) == MASK:
            settings.pop(name, None)
            if known is not None and known.settings.get(name):
                settings[name] = known.settings[name]
    return replace(account, settings=settings)


def _checked(account: ChannelAccount, known: dict[UUID, ChannelAccount]) -> ChannelCheck:
    """Say how writing an account would end, and what is the matter; never what a field holds."""
    channel = registry().get(account.kind)
    before = known.get(account.id)
    if channel is None:
        return ChannelCheck(ChannelStatus.KIND_UNKNOWN, "kind")
    if any(other.name == account.name and other.id != account.id for other in known.values()):
        return ChannelCheck(ChannelStatus.NAME_TAKEN, "name")
    try:
        _check(account, before, channel)
    except SettingProblem as problem:
        _log.warning("channel.refused", channel=account.name, problem=str(problem))
        is_missing = problem.is_missing
        status = ChannelStatus.SETTING_MISSING if is_missing else ChannelStatus.SETTING_MALFORMED
        return ChannelCheck(status, problem.name, problem.message)
    if before is None:
        return ChannelCheck(ChannelStatus.CREATED)
    trimmed = {name: value.strip() for name, value in before.settings.items()}
    is_same = replace(before, settings=trimmed) == account
    return ChannelCheck(ChannelStatus.UNCHANGED if is_same else ChannelStatus.CHANGED)


def _check(account: ChannelAccount, before: ChannelAccount | None, channel: Channel[Any]) -> None:
    """Raise `SettingProblem` with the first thing that is wrong."""
    if before is not None and (before.name, before.kind) != (account.name, account.kind):
        raise SettingProblem("name", "and kind never change: the ledger's books carry them.")
    if not _NAME.fullmatch(account.name):
        raise SettingProblem("name", "has letters a-z, digits and hyphens, at most 40.")
    unknown = set(account.currencies) - set(channel.currencies)
    if not account.currencies or unknown:
        raise SettingProblem("currencies", f"may be any of {', '.join(channel.currencies)}.")
    for name in ("confirm_above_minor", "amount_minor_min", "amount_minor_max"):
        if not 0 <= getattr(account, name) <= AMOUNT_MINOR_MAX:
            raise SettingProblem(name, "is 0 or more.")
    if 0 < account.amount_minor_max < account.amount_minor_min:
        raise SettingProblem("amount_minor_max", "is not below the least.")
    check_settings(channel, account.settings)
