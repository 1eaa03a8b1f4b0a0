"""All that pays out now: channels whose provider does, and banks that take files."""

from vendrail.api.payments import Payments
from vendrail.api.payouts import PayoutChannel
from vendrail.payouts.store import Database
from vendrail.payouts.store import banks as banks_store


class Ways:
    """Channels first, then banks that are open."""

    def __init__(self, db: Database, payments: Payments) -> None:
        self._db = db
        self._payments = payments

    async def list_all(self, *, has_closed: bool = False) -> list[PayoutChannel]:
        """List them, as payees are named there; closed banks too, where money may lie yet."""
        channels = [
            PayoutChannel(
                way.channel,
                way.channel_name,
                way.title,
                list(way.payee_kinds),
                list(way.currencies),
            )
            for way in await self._payments.list_payout_ways()
        ]
        async with self._db.reading() as tx:
            banks = await banks_store.list_banks(tx)
        return channels + [
            PayoutChannel(bank.id, bank.name, bank.title, [bank.kind.value], bank.currencies)
            for bank in banks
            if bank.is_open or has_closed
        ]
