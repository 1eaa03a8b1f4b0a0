"""Payees and payouts in every state, written as rows: for pages that must show all of them."""

from uuid import UUID

from vendrail.api.payouts import PayoutState
from vendrail.app.wiring import House
from vendrail.kernel.ids import new_id

_KEY = "insert into payouts.data_key (id, sealed, made_at) values ($1, $2, $3)"
_PAYEE = (
    "insert into payouts.payee (id, merchant, channel, channel_name, kind, shown, name, digest,"
    " sealed, data_key, state, currencies, added_at, added_by, usable_at, test, tests, told_at)"
    " values ($1, $2, $1, $3, 'logon_id', $4, '张**', $5, $5, $6, $7, $8, $9, 'owner@a.example',"
    " $9, $1, 1, $9)"
)
_PAYOUT = (
    "insert into payouts.payout (id, merchant, payee, channel, channel_name, currency,"
    " amount_minor, fee_minor, origin, state, asked_at, asked_by, problem, provider_number,"
    " confirm_url, confirm_package)"
    " values ($1, $2, $3, $3, 'alipay', 'CNY', $4, 30, 'manual', $5, $6, 'owner@a.example', $7,"
    " $8, $9, $10)"
)


_REMITTANCE = (
    "insert into payouts.remittance (id, channel_name, number, currency, gross_minor, fee_minor,"
    " target, paid_on, reason, by, at, booked_at)"
    " values ($1, 'alipay', $2, 'CNY', 123456789000, 740740734, $3, $4, $5, $6, $7, $8)"
)


async def write_remittances(house: House) -> None:
    """Write settlements of a provider, one of them with a long number and not booked yet."""
    now = house.clock.now()
    async with house.databases["payouts"].transaction() as tx:
        for number, target, booked_at in (
            ("20261128-1", "reserve", now),
            ("20261128" * 10, "bank", None),
        ):
            await tx.execute(
                _REMITTANCE,
                new_id(now),
                number,
                target,
                now.date(),
                "statement of Monday " * 10,
                "somebody-with-a-long-address@operators.example.com, approved by another",
                now,
                booked_at,
            )


async def write_rows(house: House, merchant: UUID) -> list[UUID]:
    """Give a merchant two payees and a payout in each state; give the payouts' ids."""
    now = house.clock.now()
    key, payees = new_id(now), [new_id(now), new_id(now)]
    sealed = house.vault.new_data_key()
    made = []
    async with house.databases["payouts"].transaction() as tx:
        await tx.execute(_KEY, key, sealed.sealed, now)
        for id, state in zip(payees, ("verified", "unverified"), strict=True):
            shown = f"{state[:2]}***@a-rather-long-name-of-a-mail-server.example.com"
            await tx.execute(
                _PAYEE, id, merchant, "alipay", shown, id.bytes, key, state, ["CNY"], now
            )
        for number, state in enumerate(PayoutState):
            made.append(new_id(now))
            is_out = state is PayoutState.SENT
            await tx.execute(
                _PAYOUT,
                made[-1],
                merchant,
                payees[0],
                123_456_789_00 + number,
                state.value,
                now,
                "reserve_too_low" if state is PayoutState.READY else "",
                "20261129" * 4 if is_out else "",
                "https://provider.example/confirm/" + "a" * 60 if is_out else "",
                "AB" * 60 if is_out else "",
            )
            await tx.execute(
                "insert into payouts.step (payout, at, state, note, by) values"
                " ($1, $2, 'requested', '', ''), ($1, $2, $3, 'a long note of why it is so', $4)",
                made[-1],
                now,
                state.value,
                "somebody-with-a-long-address@operators.example.com",
            )
    return made
