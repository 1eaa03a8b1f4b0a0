"""Probing: a harmless, signed question that shows whether network, account and keys are right."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from time import perf_counter
from typing import Any
from uuid import UUID

from vendrail.api.payments import ChannelId, ChannelProbe, ProbeStatus
from vendrail.kernel.clock import Clock
from vendrail.kernel.ids import new_id
from vendrail.payments.accounts import Accounts, OpenAccount
from vendrail.payments.attempts import out_trade_no
from vendrail.payments.channels.base import Ask, Doubt, QueryOutcome
from vendrail.payments.channels.line import Switchboard

_MEANS: Mapping[Doubt, ProbeStatus] = {
    Doubt.CREDENTIALS: ProbeStatus.CREDENTIALS_REFUSED,
    Doubt.SIGNATURE: ProbeStatus.SIGNATURE_REFUSED,
    Doubt.REPLY: ProbeStatus.REPLY_UNPROVEN,
    Doubt.OTHER: ProbeStatus.UNCLEAR,
}


class Probing:
    """Asks about payments that do not exist, past the breaker: a person wants to know now."""

    def __init__(self, accounts: Accounts, lines: Switchboard, clock: Clock) -> None:
        self._accounts = accounts
        self._lines = lines
        self._clock = clock

    async def probe(self, ids: Sequence[ChannelId]) -> list[ChannelProbe]:
        """Ask each account's provider once, all at the same time."""
        usable = await self._accounts.all()
        known = {account.id for account in await self._accounts.read()}

        async def one(id: ChannelId) -> ChannelProbe:
            if id in usable:
                return await self._ask(usable[id])
            is_known = id in known
            return ChannelProbe(ProbeStatus.UNUSABLE if is_known else ProbeStatus.CHANNEL_NOT_FOUND)

        return list(await asyncio.gather(*map(one, ids)))

    async def try_again(self, ids: Sequence[UUID]) -> None:
        """Ask providers that are left alone, over their own lines: an answer brings them back.

        So no buyer is sent there to find out.
        """
        usable = await self._accounts.all()
        waiting = [usable[id] for id in ids if id in usable and usable[id].row.is_active]
        able = [each for each in waiting if each.account.line.breaker.is_admitting]
        now = self._clock.now()
        await asyncio.gather(
            *(each.channel.query(self._unknown(each, now), each.account, now) for each in able)
        )

    def _unknown(self, account: OpenAccount, now: datetime) -> Ask:
        """Give a question about a payment that nobody has made."""
        return Ask(
            out_trade_no=out_trade_no(new_id(now), 1),
            method=account.offers[0].method if account.offers else "",
            amount_minor=1,
            currency=account.row.currencies[0],
            title="",
            opened_at=now,
            expires_at=now + timedelta(minutes=5),
        )

    async def _ask(self, account: OpenAccount) -> ChannelProbe:
        now = self._clock.now()
        ask = self._unknown(account, now)
        line = self._lines.line_for_once()
        begun = perf_counter()
        answer = await account.channel.query(ask, replace(account.account, line=line), now)
        latency_ms = round((perf_counter() - begun) * 1_000)
        said = _without_secrets(answer.problem, account)
        if answer.outcome is QueryOutcome.NOT_FOUND:
            return ChannelProbe(ProbeStatus.WORKS, said, latency_ms)
        if not line.is_answered:
            return ChannelProbe(ProbeStatus.NETWORK_FAILED, said, latency_ms)
        doubt = account.channel.doubt(answer.problem)
        is_unknown = answer.outcome is QueryOutcome.UNKNOWN
        status = _MEANS[doubt] if is_unknown else ProbeStatus.UNCLEAR
        return ChannelProbe(status, said or answer.outcome.value, latency_ms)


def _without_secrets(text: str, account: OpenAccount) -> str:
    """Give a provider's words, should it have put one of our secrets into them."""
    table: Any = account.channel.settings_table
    for setting in table:
        value = account.row.settings.get(setting.name, "")
        if setting.is_secret and value:
            text = text.replace(value, "********")
    return text[:300]
