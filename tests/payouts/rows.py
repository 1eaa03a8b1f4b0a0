"""Payees and payouts in every state, written as rows: for pages that must show all of them."""

from uuid import UUID

from vendrail.api.payouts import PayoutState
from vendrail.app.wiring import House
from vendrail.kernel.ids import new_id, to_serial

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


_BANK = (
    "insert into payouts.bank (id, name, title, kind, currencies, holder, account, bic, is_open,"
    " made_at, made_by) values ($1, $2, $3, $4, '{CNY,EUR}', $5, $6, $7, $8, $9, 'ops@a.example')"
)
_FILE = (
    "insert into payouts.bank_file (id, bank, currency, lines, sum_minor, holder, account, bic,"
    " made_at, made_by, carried_at, carried_by)"
    " values ($1, $2, 'CNY', $3, 123456789000, '', '', '', $4, $5, $6, $5)"
)
_ANSWER = (
    "insert into payouts.bank_answer (id, file, read_at, read_by, noted_at, noted_by)"
    " values ($1, $2, $3, $4, $5, $4)"
)
_ANSWERED = (
    "insert into payouts.bank_answer_line (answer, line, number, result, problem, amount,"
    " currency, status) values ($1, $2, $3, $4, $5, $6, 'CNY', $7)"
)


async def write_files(house: House, payouts: list[UUID]) -> tuple[UUID, UUID, UUID]:
    """Lay payouts into a bank's file that is answered in every way; give file, answers, bank."""
    now = house.clock.now()
    bank, file, noted, fresh = (new_id(now) for _ in range(4))
    long = "somebody-with-a-long-address@operators.example.com"
    async with house.databases["payouts"].transaction() as tx:
        title, holder = "The Bank of All Accounts That Are Long " * 2, "Vendrail " * 12
        for id, kind, account in (
            (bank, "iban", "DE89370400440532013000"),
            (new_id(now), "cn_bank", "1" * 30),
        ):
            is_open, name = id == bank, f"bank.{kind.replace('_', '-')}"
            await tx.execute(_BANK, id, name, title, kind, holder, account, "", is_open, now)
        await tx.execute(_FILE, file, bank, len(payouts), now, long, None)
        await tx.execute(_FILE, new_id(now), bank, 1, now, long, now)
        for place, id in enumerate(payouts):
            result = ("", "succeeded", "failed", "returned")[place % 4]
            await tx.execute(
                "insert into payouts.bank_line (payout, file, line, result) values ($1, $2, $3,"
                " $4)", id, file, place + 1, result,
            )  # fmt: skip
        await tx.execute(
            "update payouts.payout set is_filed = true, channel = $2, channel_name = 'bank.iban'"
            " where id = any($1::uuid[]) and state in ('reserved', 'sent')",
            payouts,
            bank,
        )
        statuses = ("noted", "known", "unknown", "not_in_file", "amount_wrong", "different")
        for answer, noted_at in ((noted, now), (fresh, None)):
            await tx.execute(_ANSWER, answer, file, now, long, noted_at)
            for place, status in enumerate(statuses):
                number = to_serial(payouts[place]) if place != 3 else "no number at all " * 3
                problem = "AC04 the account that is named was closed a long time ago " * 2
                told = status if noted_at else ""
                await tx.execute(
                    _ANSWERED, answer, place + 1, number, "failed", problem, "1234567.89", told
                )
    return file, fresh, bank
