"""Agreements: buyers agree once, on a provider's page, that we charge them for what they order.

Our number of an agreement is written before its page is given, one for a buyer and account at a
time: however often the page is opened, one agreement comes of it. Whether it was signed is asked of
the provider, and nothing else counts. A number soon goes stale: nobody signs today a page that was
opened for another account yesterday.
"""

from collections.abc import Sequence
from datetime import timedelta

from vendrail.api.payments import ActionKind
from vendrail.api.payments.saved import (
    AgreementOffer,
    AgreementOpened,
    AgreementOpening,
    AgreementStatus,
    SavedQuery,
)
from vendrail.kernel.clock import Clock
from vendrail.kernel.ids import new_id
from vendrail.payments.accounts import Accounts
from vendrail.payments.channels.saving import AgreeingChannel, AgreementAsk
from vendrail.payments.hearing import LOOK_UNTIL
from vendrail.payments.saving import SIGNED_WITHIN, SavedWays
from vendrail.payments.settings import PaymentsSettings
from vendrail.payments.store import saved as ways
from vendrail.payments.store.base import Store

_FIRST_LOOK = timedelta(seconds=5)
_HANDED_OUT = SIGNED_WITHIN - timedelta(minutes=5)  # Who opens a page has time to sign.


class Agreements:
    """Opens agreements; what came of them is a saved way like any other."""

    def __init__(
        self,
        store: Store,
        accounts: Accounts,
        clock: Clock,
        settings: PaymentsSettings,
        saved_ways: SavedWays,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._clock = clock
        self._settings = settings
        self._saved_ways = saved_ways

    async def offer(self, queries: Sequence[SavedQuery]) -> list[list[AgreementOffer]]:
        """List the ways that each buyer can agree to be charged by, and has not yet."""
        granted = {
            method.method: AgreementOffer(method.method, method.title)
            for account in reversed((await self._accounts.all()).values())
            for method in self._accounts.methods_of(account)
            if method.method == account.agreed_method
        }
        if not granted:
            return [[] for _ in queries]
        known = await self._saved_ways.list_ways(queries)
        return [
            [each for each in granted.values() if each.method not in {way.method for way in ways_}]
            for ways_ in known
        ]

    async def open(self, openings: Sequence[AgreementOpening]) -> list[AgreementOpened]:
        """Say where buyers agree; few and each its own."""
        return [await self._open(each) for each in openings]

    async def _open(self, opening: AgreementOpening) -> AgreementOpened:
        account = next(
            (
                account
                for account in (await self._accounts.all()).values()
                for method in self._accounts.methods_of(account)
                if method.method == account.agreed_method == opening.method
            ),
            None,
        )
        if account is None or not isinstance(account.channel, AgreeingChannel):
            return AgreementOpened(AgreementStatus.NOT_OFFERED)
        [known] = await self._saved_ways.list_ways([SavedQuery(opening.buyer, is_fresh=True)])
        if any(way.method == opening.method for way in known):
            return AgreementOpened(AgreementStatus.SAVED)
        now = self._clock.now()
        async with self._store.transaction() as tx:
            number = await ways.keep_agreement(
                tx,
                opening.buyer,
                account.row.id,
                new_id(now).hex,
                now,
                now + _FIRST_LOOK,
                now + LOOK_UNTIL,
                now - _HANDED_OUT,
            )
        if number is None:  # The buyer is being forgotten.
            return AgreementOpened(AgreementStatus.NOT_OFFERED)
        ask = AgreementAsk(
            number,
            f"{self._settings.public_url.rstrip('/')}/callbacks/{account.row.id}",
            opening.return_url,
            opening.device,
            opening.shown_name,
        )
        action = await account.channel.open_agreement(ask, account.account, now)
        is_there = action.kind is not ActionKind.NONE
        status = AgreementStatus.OPENED if is_there else AgreementStatus.PROVIDER_AWAY
        return AgreementOpened(status, action)
