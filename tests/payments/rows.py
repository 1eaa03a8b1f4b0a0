"""Money on a chain whose worth nobody knows, written as rows: for pages, without a chain."""

from uuid import UUID

from tests.chain.node import CHAIN_ID, xpub_of

from vendrail.api.payments import ChannelAccount, Payments
from vendrail.app.wiring import House
from vendrail.kernel.ids import derive, new_id, to_serial

TOKEN = "0x" + "c0" * 20  # It is on no list.
SENDER = "0x" + "5e" * 20
_SETTINGS = {
    "url": "http://127.0.0.1:9",
    "chain_id": str(CHAIN_ID),
    "network": "Anvil",
    "tokens": f"USDT 0x{'da' * 20} 6",
    "treasury": "0x" + "7e" * 20,
    "allows_http": "yes",
}
_MARK = (
    "insert into payments.watch_mark (channel, block, hash, final, latest, confirmations,"
    " looked_at, due_at) values ($1, 20, '0x', 10, 20, 3, $2, 'infinity')"
)
_DEPOSIT = (
    "insert into payments.deposit (attempt_id, channel, book, place, address, asset, units,"
    " out_trade_no, amount_minor, currency, expires_at)"
    " values ($1, $2, 'rows', 0, $3, $4, 10000000, $5, 1000, 'USD', $6)"
)
_SIGHTING = (
    "insert into payments.sighting (channel, number, attempt_id, block, block_hash, at, asset,"
    " source, target, units) values ($1, $2, $3, $4, '0x', $5, $6, $7, $8, $9)"
)


async def write_arrivals(house: House, order: UUID) -> list[str]:
    """Let tokens and coins that nobody knows the worth of come for an order; give their pages.

    The first is final, the second is not.
    """
    now = house.clock.now()
    account = new_id(now)
    payments: Payments = house.api(Payments)
    settings = {**_SETTINGS, "xpub": xpub_of(0)}
    channel = ChannelAccount(account, "chain", "evm", "Crypto", ["USD"], settings)
    assert ["created"] == await payments.put_channels([channel])
    attempt, target = derive(order, "attempt:9"), "0x" + "ad" * 20
    numbers = [f"0x{'1' * 64}:0", f"0x{'2' * 64}:12"]
    async with house.databases["payments"].transaction() as tx:
        await tx.execute(_MARK, account, now)
        number = f"{to_serial(order)}09"
        await tx.execute(_DEPOSIT, attempt, account, target, "0x" + "da" * 20, number, now)
        for each, asset, block in zip(numbers, (TOKEN, "native"), (9, 15), strict=True):
            units = 5 * 10**18
            await tx.execute(
                _SIGHTING, account, each, attempt, block, now, asset, SENDER, target, units
            )
    return [f"/operator/unpriced/{to_serial(account)}/{each}" for each in numbers]
