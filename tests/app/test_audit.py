"""The audit finds what is planted, by its id, in the one right check; and nothing else."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from vendrail.api.catalog import KeyIntake, KeyLine
from vendrail.api.orders import RefundOrder
from vendrail.app.audit import CHECKS, Report, audit
from vendrail.kernel.db import connect_once

Plant = Callable[[Any, dict[str, UUID]], Awaitable[str]]

_PLANTS: dict[str, tuple[str, Plant]] = {}


def plants(check: str) -> Callable[[Plant], Plant]:
    """Say which check must find what a function plants."""

    def add(plant: Plant) -> Plant:
        _PLANTS[plant.__name__] = (check, plant)
        return plant

    return add


async def _account(owner: Any, name: str) -> Any:
    """Read an account of the chart by the begin of its name."""
    return await owner.fetchrow(
        "select * from ledger.account where name like $1 and currency = 'CNY'", f"{name}%"
    )


async def _move(owner: Any, debit: int, credit: int, amount_minor: int, code: str) -> UUID:
    """Post a transfer as the ledger would, both counters too."""
    id = await _write(owner, debit, credit, amount_minor, code)
    await owner.execute(
        "insert into ledger.delta values ($1, 0, $3, 0, 0), ($2, 0, 0, 0, $3)",
        debit,
        credit,
        amount_minor,
    )
    return id


async def _write(
    owner: Any, debit: int | None, credit: int | None, amount_minor: int, code: str
) -> UUID:
    """Write a row of the journal, and nothing else."""
    id = uuid4()
    await owner.execute(
        "insert into ledger.transfer (id, subject, at, amount_minor, debit, credit, code)"
        " values ($1, $2, now(), $3, $4, $5, $6)",
        id,
        uuid4(),
        amount_minor,
        debit,
        credit,
        code,
    )
    return id


@plants("balances_are_sums")
async def balance_off_by_one(owner: Any, orders: dict[str, UUID]) -> str:
    """A merchant has one fen more than was ever given."""
    account = await _account(owner, "merchant:%:available")
    await owner.execute(
        "update ledger.balance set credits_posted = credits_posted + 1 where account = $1",
        account["number"],
    )
    return str(account["id"])


@plants("transfers_have_two_sides")
async def one_sided_transfer(owner: Any, orders: dict[str, UUID]) -> str:
    """Value appears from nowhere."""
    await owner.execute("alter table ledger.transfer drop constraint transfer_has_two_sides")
    fee = await _account(owner, "platform:fee")
    return str(await _write(owner, None, fee["number"], 100, "release"))


@plants("transfers_have_two_sides")
async def transfer_to_nobody(owner: Any, orders: dict[str, UUID]) -> str:
    """Value goes to an account that is not there."""
    fee = await _account(owner, "platform:fee")
    return str(await _write(owner, fee["number"], 999_999, 100, "release"))


@plants("keys_are_sold_once")
async def key_sold_twice(owner: Any, orders: dict[str, UUID]) -> str:
    """Two orders were given one key."""
    await owner.execute("drop index catalog.allocation_key")
    key = await owner.fetchval(
        'select key from catalog.allocation where "order" = $1', orders["sold"]
    )
    await owner.execute(
        'update catalog.allocation set key = $1 where "order" = $2', key, orders["sold_too"]
    )
    return str(key)


@plants("keys_are_sold_once")
async def sold_key_still_for_sale(owner: Any, orders: dict[str, UUID]) -> str:
    """A key that a buyer has is in the pool again."""
    row = await owner.fetchrow(
        'select variant, key from catalog.allocation where "order" = $1', orders["sold"]
    )
    await owner.execute("insert into catalog.free_key values ($1, $2)", *row.values())
    await owner.execute("update catalog.stock set free = free + 1 where variant = $1", row[0])
    return str(row["key"])


@plants("captures_have_a_fate")
async def capture_without_fate(owner: Any, orders: dict[str, UUID]) -> str:
    """Money came for an order that ended unpaid, and nobody took it up."""
    return str(
        await owner.fetchval(
            "insert into payments.capture (id, channel, provider_number, attempt_id, order_id,"
            " merchant, method, amount_minor, currency, fit, source, out_trade_no, paid_at, at,"
            " trace_id) select gen_random_uuid(), channel, 'lost', id, order_id, merchant, method,"
            " amount_minor, currency, 'fits', 'callback', '', now(), now(), ''"
            " from payments.attempt where order_id = $1 returning id",
            orders["expired"],
        )
    )


@plants("captures_have_a_fate")
async def second_payment_kept(owner: Any, orders: dict[str, UUID]) -> str:
    """An order was paid twice, and the second payment was not given back."""
    return str(
        await owner.fetchval(
            "insert into payments.capture select (jsonb_populate_record(c, jsonb_build_object("
            " 'id', gen_random_uuid(), 'provider_number', 'twice'))).*"
            " from payments.capture c where order_id = $1 returning id",
            orders["sold"],
        )
    )


@plants("captures_are_booked")
async def capture_not_booked(owner: Any, orders: dict[str, UUID]) -> str:
    """What was booked for a payment belongs to another order."""
    await owner.execute(
        "update ledger.transfer set subject = gen_random_uuid()"
        " where subject = $1 and code = 'capture'",
        orders["sold"],
    )
    return str(
        await owner.fetchval("select id from payments.capture where order_id = $1", orders["sold"])
    )


@plants("worths_said_are_captured")
async def worth_that_was_recorded_otherwise(owner: Any, orders: dict[str, UUID]) -> str:
    """A person said what money on a chain is worth, and less was recorded."""
    number: str = await owner.fetchval(
        "insert into payments.sighting (channel, number, attempt_id, block, block_hash, at, asset,"
        " source, target, units, counted_as, priced_minor)"
        " select channel, provider_number, attempt_id, 1, '0x', now(), 'native', '0x', '0x', 1,"
        " provider_number, amount_minor + 1 from payments.capture where order_id = $1"
        " returning number",
        orders["sold"],
    )
    return number


@plants("refunds_are_within_captures")
async def over_refund(owner: Any, orders: dict[str, UUID]) -> str:
    """More went back than was paid."""
    capture = await owner.fetchval(
        "select id from payments.capture where order_id = $1", orders["refunded"]
    )
    await owner.execute(
        "insert into payments.refund (id, capture_id, amount_minor, reason, state, tries, due_at,"
        " asked_at) values (gen_random_uuid(), $1, 1, '', 'succeeded', 1, now(), now())",
        capture,
    )
    return str(capture)


@plants("refunds_are_within_captures")
async def refund_not_told(owner: Any, orders: dict[str, UUID]) -> str:
    """An order says that less went back than did."""
    await owner.execute(
        'update orders."order" set refunded_minor = refunded_minor - 1 where id = $1',
        orders["part"],
    )
    return str(orders["part"])


@plants("suspended_merchants_sell_nothing")
async def sold_while_suspended(owner: Any, orders: dict[str, UUID]) -> str:
    """An order was placed more than a minute after its merchant's sales were stopped."""
    last = await owner.fetchrow('select * from orders."order" order by placed_at desc limit 1')
    await owner.execute(
        "insert into catalog.suspension values ($1, 'stolen keys', $2::timestamptz"
        " - interval '1 minute 1 microsecond')",
        last["merchant"],
        last["placed_at"],
    )
    return str(last["id"])


@plants("clearing_is_explained")
async def stale_clearing_account(owner: Any, orders: dict[str, UUID]) -> str:
    """Money lies in clearing, and no refund is under way."""
    fee, clearing = await _account(owner, "platform:fee"), await _account(owner, "refund:clearing")
    await _move(owner, fee["number"], clearing["number"], 100, "refund_fee")
    return str(clearing["id"])


@plants("clearing_is_explained")
async def suspense_without_a_case(owner: Any, orders: dict[str, UUID]) -> str:
    """Money lies in suspense, and nothing on the desk speaks of it."""
    fee = await _account(owner, "platform:fee")
    suspense = await _account(owner, "suspense:unmatched")
    await _move(owner, fee["number"], suspense["number"], 100, "release")
    return str(suspense["id"])


@plants("kept_shares_are_released")
async def share_in_a_closed_bucket(owner: Any, orders: dict[str, UUID]) -> str:
    """A merchant's money lies where nobody will ever release it."""
    fee = await _account(owner, "platform:fee")
    merchant = await owner.fetchval(
        'select merchant from orders."order" where id = $1', orders["sold"]
    )
    id = uuid4()
    await owner.execute(
        "insert into ledger.account values ($1, -999999, $2, 'CNY', 'none', now())",
        id,
        f"merchant:{merchant}:pending:20261124T10",
    )
    await _move(owner, fee["number"], -999_999, 100, "release")
    return str(id)


@plants("shares_wait_by_the_terms")
async def share_that_did_not_wait(owner: Any, orders: dict[str, UUID]) -> str:
    """Terms of the order's moment say a day, and the share was available at once."""
    await owner.execute(
        "insert into settlement.hold_terms (merchant, pending_hours, reserve_basis_points,"
        " reserve_days, valid_from, made_at)"
        " select merchant, hours, 0, 0, placed_at + after, now()"
        " from orders.\"order\", (values (24, interval '0'), (0, interval '1 microsecond'))"
        " as v (hours, after) where id = $1",
        orders["sold"],
    )
    return str(orders["sold"])


@plants("allocations_have_a_saga")
async def allocated_key_without_saga(owner: Any, orders: dict[str, UUID]) -> str:
    """A key was picked for an order that nobody carries on."""
    variant, key = await owner.fetchrow(
        "delete from catalog.free_key where (variant, key) = (select variant, key"
        " from catalog.free_key limit 1) returning variant, key"
    )
    await owner.execute(
        "update catalog.stock set free = free - 1, allocated = allocated + 1 where variant = $1",
        variant,
    )
    return str(
        await owner.fetchval(
            'insert into catalog.allocation (id, "order", variant, key, quantity, position, state)'
            " values (gen_random_uuid(), $1, $2, $3, 1, 0, 'allocated') returning id",
            orders["expired"],
            variant,
            key,
        )
    )


@plants("deliveries_have_a_capture")
async def delivered_order_without_capture(owner: Any, orders: dict[str, UUID]) -> str:
    """A buyer has a key, and no money ever came."""
    await owner.execute("delete from payments.capture where order_id = $1", orders["sold"])
    return str(orders["sold"])


@plants("deliveries_have_a_capture")
async def delivered_order_with_a_strange_capture(owner: Any, orders: dict[str, UUID]) -> str:
    """An order says that a payment filled it that is not there."""
    await owner.execute(
        'update orders."order" set capture = gen_random_uuid() where id = $1', orders["sold"]
    )
    return str(orders["sold"])


@plants("cursors_are_behind_events")
async def event_cursor_ahead(owner: Any, orders: dict[str, UUID]) -> str:
    """Orders believe to have read what payments never wrote."""
    await owner.execute(
        "update orders.cursor set xid = '9000000000', id = 9000000000 where source = 'payments'"
    )
    return "payments"


@plants("outcomes_are_kept")
async def stored_outcome_missing(owner: Any, orders: dict[str, UUID]) -> str:
    """Nobody can say why an order was delivered."""
    await owner.execute("delete from risk.assessment where order_id = $1", orders["sold"])
    return str(orders["sold"])


@plants("outcomes_are_kept")
async def kept_keys_missing(owner: Any, orders: dict[str, UUID]) -> str:
    """Nobody can say which keys an order was given."""
    await owner.execute('delete from catalog.allocation where "order" = $1', orders["other"])
    return str(orders["other"])


@plants("currencies_are_apart")
async def currency_mixed(owner: Any, orders: dict[str, UUID]) -> str:
    """Yuan become dollars, one for one."""
    fee = await _account(owner, "platform:fee")
    await owner.execute(
        "insert into ledger.account values (gen_random_uuid(), 99, 'platform:fee', 'USD', 'none',"
        " now())"
    )
    return str(await _write(owner, fee["number"], 99, 100, "release"))


@plants("frozen_is_disputed")
async def freeze_without_money(owner: Any, orders: dict[str, UUID]) -> str:
    """A dispute says that it keeps money back, and nothing lies there."""
    return str(
        await owner.fetchval(
            "insert into settlement.freeze (id, subject, merchant, currency, asked_minor,"
            " wanted_minor, frozen_minor, state, asked_at)"
            " select gen_random_uuid(), id, merchant, currency, 100, 100, 100, 'frozen', now()"
            ' from orders."order" where id = $1 returning merchant',
            orders["sold"],
        )
    )


@plants("chargebacks_are_open")
async def dispute_without_money(owner: Any, orders: dict[str, UUID]) -> str:
    """A dispute is open, and no channel has taken anything back."""
    return str(
        await owner.fetchval(
            "insert into disputes.dispute (id, capture, channel, channel_name, case_number,"
            " provider_number, order_id, merchant, amount_minor, captured_minor, currency, reason,"
            " outcome, step, opened_at, due_at)"
            " select gen_random_uuid(), capture, gen_random_uuid(), 'stripe', 'du_1', 'pi_1', id,"
            " merchant, 100, 100, currency, 'fraudulent', 'open', 'frozen', now(), now()"
            ' from orders."order" where id = $1 returning channel_name',
            orders["sold"],
        )
    )


async def _open_wallet(owner: Any, number: int) -> UUID:
    """Open the wallet of a buyer whom nobody knows."""
    id: UUID = await owner.fetchval(
        "insert into ledger.account values (gen_random_uuid(), $1,"
        " 'buyer:01900000-0000-7000-8000-000000000001:wallet', 'CNY', 'debits_within_credits',"
        " now()) returning id",
        number,
    )
    await owner.execute(
        "insert into ledger.balance (account, are_debits_limited, are_credits_limited)"
        " values ($1, true, false)",
        number,
    )
    return id


@plants("wallets_are_explained")
async def gift_to_a_wallet(owner: Any, orders: dict[str, UUID]) -> str:
    """A wallet grows, and nobody has paid into it."""
    fee = await _account(owner, "platform:fee")
    await _open_wallet(owner, 97)
    return str(await _move(owner, fee["number"], 97, 100, "release"))


@plants("reservations_have_an_order")
async def reservation_that_is_not_there(owner: Any, orders: dict[str, UUID]) -> str:
    """An order counts on a part of a wallet, and nothing of it is reserved."""
    id = await _open_wallet(owner, 96)
    await owner.execute(
        'insert into orders.wallet_part ("order", buyer, number, amount_minor, state, at)'
        " values ($1, '01900000-0000-7000-8000-000000000001', 1, 100, 'held', now())",
        orders["sold"],
    )
    return str(id)


@plants("gone_wallets_are_empty")
async def money_of_nobody(owner: Any, orders: dict[str, UUID]) -> str:
    """An account was deleted, and something is left in its wallet."""
    id = await _open_wallet(owner, 95)
    fee, clearing = await _account(owner, "platform:fee"), await _account(owner, "refund:clearing")
    await _move(owner, fee["number"], clearing["number"], 100, "refund_fee")
    await _move(owner, clearing["number"], 95, 100, "refund_paid")
    wallet = UUID("01900000-0000-7000-8000-000000000001")
    await owner.execute("insert into orders.gone_buyer values ($1, now())", wallet)
    return str(id)


async def _save_way(owner: Any, order: UUID, *, is_anybodys: bool = True) -> tuple[UUID, UUID]:
    """Have a way saved for a buyer, and the order paid with it; give the way and the attempt."""
    buyer, way = uuid4(), uuid4()
    if is_anybodys:
        await owner.execute("insert into buyers.data_key values ($1, '', now())", buyer)
        await owner.execute(
            "insert into buyers.buyer values ($1, $2, '', $1, 'en', now(), now())",
            buyer,
            buyer.bytes,
        )
    attempt, channel = await owner.fetchrow(
        "select id, channel from payments.attempt where order_id = $1", order
    )
    await owner.execute('update orders."order" set buyer = $2 where id = $1', order, buyer)
    await owner.execute(
        "insert into payments.saved values"
        " ($1, $2, $3, 'alipay', 'pm_1', 'cus_1', '•••• 4242', '', now())",
        way,
        buyer,
        channel,
    )
    await owner.execute("insert into payments.saved_payment values ($1, $2, now())", attempt, way)
    return way, attempt


@plants("saved_ways_are_their_buyers")
async def saved_way_of_nobody(owner: Any, orders: dict[str, UUID]) -> str:
    """A card can still be charged, and its buyer's account is gone."""
    way, _ = await _save_way(owner, orders["sold"], is_anybodys=False)
    return str(way)


@plants("saved_ways_are_their_buyers")
async def saved_way_paid_for_somebody_else(owner: Any, orders: dict[str, UUID]) -> str:
    """A buyer's card has paid for an order that another has placed."""
    _, attempt = await _save_way(owner, orders["sold"])
    await owner.execute(
        'update orders."order" set buyer = gen_random_uuid() where id = $1', orders["sold"]
    )
    return str(attempt)


@plants("saved_ways_are_their_buyers")
async def removed_way_charged(owner: Any, orders: dict[str, UUID]) -> str:
    """A card was charged after its buyer had removed it."""
    way, attempt = await _save_way(owner, orders["sold"])
    await owner.execute(
        "update payments.saved set forgotten_at = now() - interval '1 minute' where id = $1", way
    )
    return str(attempt)


async def _add_coupon(owner: Any, held: int, used: int) -> str:
    """Write a coupon with counters of so much."""
    id = uuid4()
    await owner.execute(
        "insert into promotions.coupon (id, merchant, title, currency, amount_minor, permyriad,"
        " cap_minor, order_minor_min, uses_per_code, products, categories, is_on, word,"
        " held_count, used_count, used_minor)"
        " values ($1, $1, 'C', 'CNY', 1, 0, 0, 0, 1, '{}', '{}', true, '', $2::int, $3::int,"
        " $3::int)",
        id,
        held,
        used,
    )
    return str(id)


@plants("coupons_are_counted")
async def coupon_without_its_hold(owner: Any, orders: dict[str, UUID]) -> str:
    """A coupon says that an order holds it, and none does."""
    return await _add_coupon(owner, 1, 0)


@plants("coupons_have_their_order")
async def coupon_of_an_order_that_paid_its_price(owner: Any, orders: dict[str, UUID]) -> str:
    """A coupon was used by an order that nothing was taken off."""
    coupon = await _add_coupon(owner, 0, 1)
    await owner.execute(
        'insert into promotions.use ("order", coupon, code, contact, discount_minor, currency,'
        " state, held_at) values ($1, $2, '', '', 1, 'CNY', 'used', now())",
        orders["sold"],
        UUID(coupon),
    )
    return str(orders["sold"])


@plants("warranties_keep_their_limits")
async def claim_beyond_a_warranty(owner: Any, orders: dict[str, UUID]) -> str:
    """Two keys were replaced without asking where one may be."""
    order = uuid4()
    await owner.execute(
        'insert into support.claim (complaint, "order", merchant, buyer, keys, keys_max, at)'
        " values ($1, $2, $3, 'b', 1, 1, now()), ($3, $2, $3, 'b', 1, 1, now())",
        uuid4(),
        order,
        uuid4(),
    )
    return str(order)


@plants("warranties_keep_their_limits")
async def key_replaced_without_a_claim(owner: Any, orders: dict[str, UUID]) -> str:
    """A key was replaced in a warranty's name that nobody has claimed."""
    order = uuid4()
    await owner.execute(
        'insert into orders.replacement (id, "order", positions, reason, person, asked_at,'
        " settled_at) values ($1, $2, '{1}', 'complaint', 'the warranty', now(), now())",
        uuid4(),
        order,
    )
    return str(order)


@plants("known_merchants_are_paid")
async def payout_of_nobody_known(owner: Any, orders: dict[str, UUID]) -> str:
    """Merchants are asked who they are, and one who never said it was paid out."""
    await owner.execute(
        "insert into compliance.terms values (1, true, 'CNY', '[{},{},{}]',"
        " now() - interval '1 hour', 'op', 'why')"
    )
    id = uuid4()
    await owner.execute(
        "insert into payouts.payout (id, merchant, payee, channel, channel_name, currency,"
        " amount_minor, fee_minor, origin, state, asked_at, asked_by)"
        " values ($1, $1, $1, $1, 'c', 'CNY', 1, 0, 'manual', 'declined', now(), 'lin')",
        id,
    )
    await owner.execute("update payouts.payout set state = 'failed' where id = $1", id)
    return str(id)


@plants("dossiers_are_erased")
async def document_of_an_erased_dossier(owner: Any, orders: dict[str, UUID]) -> str:
    """A dossier's content was deleted, and a document of it stayed."""
    id = uuid4()
    await owner.execute(
        "insert into compliance.dossier (id, merchant, tier, country, state, made_at, touched_at)"
        " values ($1, $1, 1, 'CN', 'refused', now(), now())",
        id,
    )
    await owner.execute(
        "insert into compliance.document values"
        " ($1, $1, 'identity', 'image/png', 1, '', $1, now())",
        id,
    )
    return str(id)


@plants("ended_complaints_let_go")
async def freeze_of_an_ended_complaint(owner: Any, orders: dict[str, UUID]) -> str:
    """A complaint has ended, and what it froze was forgotten."""
    id = await owner.fetchval(
        'insert into support.complaint (id, "order", merchant, title, kind, positions, can_replace,'
        " state, amount_minor, currency, opened_at, outcome)"
        " select gen_random_uuid(), id, merchant,"
        " '', 'other', '{}', false, 'closed', 1, currency, now(), 'rejected'"
        ' from orders."order" where id = $1 returning id',
        orders["sold"],
    )
    await owner.execute(
        "insert into settlement.freeze (id, subject, merchant, currency, asked_minor,"
        " wanted_minor, state, asked_at) select id, \"order\", merchant, currency, 1, 0, 'frozen',"
        " now() from support.complaint where id = $1",
        id,
    )
    return str(id)


@plants("exchanges_are_kept")
async def exchange_of_no_order(owner: Any, orders: dict[str, UUID]) -> str:
    """The platform's position grows, and no order was paid in another currency."""
    fee = await _account(owner, "platform:fee")
    await owner.execute(
        "insert into ledger.account values (gen_random_uuid(), 98, 'fx:USD', 'CNY', 'none', now())"
    )
    await owner.execute(
        "insert into ledger.balance (account, are_debits_limited, are_credits_limited)"
        " values (98, false, false)"
    )
    id = await _move(owner, fee["number"], 98, 100, "exchange")
    subject = await owner.fetchval("select subject from ledger.transfer where id = $1", id)
    return str(subject)


@plants("fees_are_right")
async def fee_off_by_one(owner: Any, orders: dict[str, UUID]) -> str:
    """A merchant was given one fen of the platform's fee."""
    for code, change in (("sale", 1), ("fee", -1)):
        await owner.execute(
            "with changed as (update ledger.transfer set amount_minor = amount_minor + $3"
            " where subject = $1 and code = $2 returning credit)"
            " insert into ledger.delta select credit, 0, 0, 0, $3 from changed",
            orders["sold"],
            code,
            change,
        )
    return str(orders["sold"])


@plants("fees_are_right")
async def fee_of_other_terms(owner: Any, orders: dict[str, UUID]) -> str:
    """A sale was charged by terms that were not valid when it was placed."""
    version = await owner.fetchval(
        "insert into settlement.fee_terms (merchant, currency, basis_points, fixed_minor,"
        " fee_minor_min, is_fee_refunded, valid_from, made_at) select merchant, currency,"
        " basis_points, fixed_minor, fee_minor_min, is_fee_refunded, now() + interval '9 days',"
        " now() from settlement.fee_terms where basis_points = 250 returning version"
    )
    await owner.execute(
        "update ledger.transfer set memo = $2 where subject = $1 and code in ('sale', 'fee')",
        orders["sold"],
        f"fee:{version}",
    )
    return str(orders["sold"])


async def _rule(owner: Any, order: UUID, rule: str, valid_from: str) -> str:
    """Say that a sale was charged by the only rule of a schedule."""
    version = await owner.fetchval(
        "insert into settlement.fee_schedule (id, rules, valid_from, person, reason, made_at)"
        " values (gen_random_uuid(), $1::text::jsonb, now() + $2::text::interval, '', '', now())"
        " returning version",
        rule,
        valid_from,
    )
    await owner.execute(
        "update ledger.transfer set memo = $2 where subject = $1 and code in ('sale', 'fee')",
        order,
        f"fee:{version}.1",
    )
    return str(order)


@plants("fees_are_right")
async def fee_of_a_rule_not_begun(owner: Any, orders: dict[str, UUID]) -> str:
    """A sale was charged by a rule of a schedule that begins in nine days."""
    return await _rule(owner, orders["sold"], '[{"basis_points": 250}]', "9 days")


@plants("fees_are_right")
async def fee_of_a_rule_in_place_of_terms(owner: Any, orders: dict[str, UUID]) -> str:
    """A merchant with terms of its own was charged by the schedule, which says the same."""
    rule = '[{"basis_points": 250, "fixed_minor": 10, "fee_minor_min": 20, "currency": "CNY"}]'
    return await _rule(owner, orders["sold"], rule, "-9 days")


@plants("sold_keys_are_delivered")
async def key_sold_beside_its_order(owner: Any, orders: dict[str, UUID]) -> str:
    """A key was given to an order and is not part of its delivery."""
    return str(
        await owner.fetchval(
            'insert into catalog.allocation (id, "order", variant, key, quantity, position, state)'
            " select gen_random_uuid(), \"order\", variant, gen_random_uuid(), 1, 0, 'sold'"
            ' from catalog.allocation where "order" = $1 returning id',
            orders["sold"],
        )
    )


@plants("sold_keys_are_delivered")
async def replaced_key_still_sold(owner: Any, orders: dict[str, UUID]) -> str:
    """A key was replaced, by another order's, and is not void."""
    return str(
        await owner.fetchval(
            "insert into catalog.replacement"
            " select gen_random_uuid(), 0, a.id, 0, a.key, b.key, 'dud', now()"
            " from catalog.allocation a, catalog.allocation b"
            ' where a."order" = $1 and b."order" = $2 returning id',
            orders["sold"],
            orders["sold_too"],
        )
    )


@plants("stock_is_counted")
async def stock_miscounted(owner: Any, orders: dict[str, UUID]) -> str:
    """One more is offered than there are keys."""
    return str(
        await owner.fetchval(
            "update catalog.stock set free = free + 1 where variant = (select variant"
            " from catalog.stock order by variant limit 1) returning variant"
        )
    )


async def _payout(owner: Any, state: str) -> UUID:
    """Write a payout that the books know nothing of."""
    id = uuid4()
    await owner.execute(
        "insert into payouts.payout (id, merchant, payee, channel, channel_name, currency,"
        " amount_minor, fee_minor, origin, state, asked_at, asked_by)"
        " values ($1, $1, $1, $1, 'alipay', 'CNY', 500, 0, 'manual', $2, now(), '')",
        id,
        state,
    )
    return id


async def _reserve(owner: Any, name: str) -> tuple[UUID, int, int]:
    """Open an account of payouts as the ledger would; give its id, its number, and the fee's."""
    fee = await _account(owner, "platform:fee")
    id, number = uuid4(), 97
    await owner.execute(
        "insert into ledger.account values ($1, $2, $3, 'CNY', 'none', now())", id, number, name
    )
    await owner.execute(
        "insert into ledger.balance (account, are_debits_limited, are_credits_limited)"
        " values ($1, false, false)",
        number,
    )
    return id, number, fee["number"]


@plants("payouts_are_booked")
async def payout_never_booked(owner: Any, orders: dict[str, UUID]) -> str:
    """A payout says that it succeeded, and no money has moved."""
    return str(await _payout(owner, "succeeded"))


@plants("payouts_are_booked")
async def payout_of_nobody(owner: Any, orders: dict[str, UUID]) -> str:
    """A fee was taken for a payout that nobody asked for."""
    _, number, fee = await _reserve(owner, "capital:owner")
    id = await _move(owner, number, fee, 30, "payout_fee")
    return str(await owner.fetchval("select subject from ledger.transfer where id = $1", id))


@plants("remittances_are_booked")
async def settlement_never_booked(owner: Any, orders: dict[str, UUID]) -> str:
    """A provider's settlement says that it is booked, and nothing came into the reserve."""
    return str(
        await owner.fetchval(
            "insert into payouts.remittance (id, channel_name, number, currency, gross_minor,"
            " fee_minor, target, paid_on, reason, by, at, booked_at) values (gen_random_uuid(),"
            " 'alipay', 'S1', 'CNY', 500, 3, 'reserve', '2026-11-29', '', '', now(), now())"
            " returning id"
        )
    )


@plants("blocked_goods_have_reasons")
async def blocked_for_nothing(owner: Any, orders: dict[str, UUID]) -> str:
    """A product is blocked, and no case says why."""
    return str(
        await owner.fetchval(
            "update catalog.product set is_blocked = true where id = (select id"
            " from catalog.product order by id limit 1) returning id"
        )
    )


@plants("deposits_fit_their_moves")
async def deposit_never_paid(owner: Any, orders: dict[str, UUID]) -> str:
    """A return is written down as done, and the books know nothing of it."""
    return str(
        await owner.fetchval(
            "insert into settlement.deposit_move (id, merchant, currency, kind, asked_minor,"
            " amount_minor, moved_minor, state, asked_at, due_at) values (gen_random_uuid(),"
            " gen_random_uuid(), 'CNY', 'paid', 5, 5, 0, 'done', now(), now()) returning id"
        )
    )


@plants("supplied_sales_have_three_parts")
async def supplier_who_got_nothing(owner: Any, orders: dict[str, UUID]) -> str:
    """A part of a sale is written down as a supplier's, and the split gave it none."""
    await owner.execute(
        'insert into settlement.supply ("order", id, agent, supplier, amount_minor, currency,'
        " price_minor) select id, gen_random_uuid(), merchant, gen_random_uuid(), 100, currency,"
        ' amount_minor from orders."order" where id = $1',
        orders["sold"],
    )
    return str(orders["sold"])


@plants("fees_follow_as_told")
async def fee_changed_without_terms(owner: Any, orders: dict[str, UUID]) -> str:
    """A merchant was told of another percentage, and its terms do not say so."""
    return str(
        await owner.fetchval(
            "insert into settlement.fee_adjustment (id, merchant, currency, before_basis_points,"
            " basis_points, parts, made_at, valid_from, told_at) values (gen_random_uuid(),"
            " gen_random_uuid(), 'CNY', 250, 220, '[]', now(), now() + interval '7 days', now())"
            " returning id"
        )
    )


@plants("fees_follow_as_told")
async def fee_changed_untold(owner: Any, orders: dict[str, UUID]) -> str:
    """A percentage has followed by itself, and nobody was ever told."""
    return str(
        await owner.fetchval(
            "with t as (insert into settlement.fee_terms (merchant, currency, basis_points,"
            " fixed_minor, fee_minor_min, is_fee_refunded, valid_from, made_at) values"
            " (gen_random_uuid(), 'CNY', 220, 0, 0, true, now() - interval '1 day',"
            " now() - interval '9 days') returning merchant, valid_from)"
            " insert into settlement.fee_adjustment (id, merchant, currency, before_basis_points,"
            " basis_points, parts, made_at, valid_from) select gen_random_uuid(), merchant, 'CNY',"
            " 250, 220, '[]', now() - interval '9 days', valid_from from t returning id"
        )
    )


@plants("payout_marks_fit")
async def mark_of_nothing(owner: Any, orders: dict[str, UUID]) -> str:
    """A mark says how much was earned before a transfer that is not in the books."""
    payout = uuid4()
    await owner.execute(
        "insert into payouts.mark (payout, merchant, currency, at, transfer, amount_minor,"
        " credits_minor, debits_minor) values ($1, $1, 'CNY', now(), $1, 1, 1, 0)",
        payout,
    )
    return str(payout)


@plants("payouts_in_transit_fit")
async def transit_kept_something(owner: Any, orders: dict[str, UUID]) -> str:
    """Money lies in transit, and no payout is under way."""
    id, number, fee = await _reserve(owner, "payout:in_transit:alipay")
    await _move(owner, fee, number, 100, "release")
    return str(id)


async def _close(owner: Any, day: str) -> None:
    """Write the close of a day as the ledger would that has booked nothing."""
    await owner.execute(
        "insert into ledger.close values ($1::text::date, 'UTC', null, now() - interval '9 days',"
        " 0, 0, '', '', '', '', 'nobody', now())",
        day,
    )


@plants("corrections_are_told")
async def corrected_by_nobody(owner: Any, orders: dict[str, UUID]) -> str:
    """Somebody has moved the platform's money, and nobody was told."""
    fee = await _account(owner, "platform:fee")
    provider = await _account(owner, "provider:alipay")
    return str(await _move(owner, fee["number"], provider["number"], 100, "adjustment"))


@plants("closed_days_stand")
async def booked_in_a_closed_day(owner: Any, orders: dict[str, UUID]) -> str:
    """A transfer is dated before the cut of a day, and was not there when it was closed."""
    await _close(owner, "2026-01-01")
    await owner.execute(
        "update ledger.transfer set at = now() - interval '10 days' where id ="
        " (select id from ledger.transfer where code = 'capture' limit 1)"
    )
    return "2026-01-01"


@plants("closed_days_stand")
async def closed_with_other_figures(owner: Any, orders: dict[str, UUID]) -> str:
    """A trial balance says what the journal never said."""
    await _close(owner, "2026-01-01")
    await owner.execute(
        "insert into ledger.close_sum values ('2026-01-01', 'CNY', 'platform:fee', 0, 0, 0, 7)"
    )
    return "2026-01-01"


@plants("bank_files_fit")
async def file_of_nothing(owner: Any, orders: dict[str, UUID]) -> str:
    """A file for a bank tells of a payout that does not lie in it."""
    id = uuid4()
    await owner.execute(
        "insert into payouts.bank_file (id, bank, currency, lines, sum_minor, holder, account,"
        " bic, made_at, made_by) values ($1, $1, 'CNY', 1, 100, '', '', '', now(), '')",
        id,
    )
    return str(id)


@plants("bank_files_fit")
async def payout_in_no_file(owner: Any, orders: dict[str, UUID]) -> str:
    """A payout is said to have left for a bank, and no file has it."""
    id = await _payout(owner, "failed")
    await owner.execute("update payouts.payout set is_filed = true where id = $1", id)
    return str(id)


@plants("reserves_are_explained")
async def reserve_filled_by_nobody(owner: Any, orders: dict[str, UUID]) -> str:
    """A reserve has grown, and nobody has written down why."""
    _, number, fee = await _reserve(owner, "payout_reserve:alipay")
    return str(await _move(owner, number, fee, 100, "reserve"))


@plants("programs_are_told")
async def heard_by_nobody(owner: Any, orders: dict[str, UUID]) -> str:
    """An event counts as heard, and no answer says so."""
    endpoint, event, delivery, merchant = (uuid4() for _ in range(4))
    await owner.execute(
        "insert into webhooks.endpoint (id, merchant, url, kinds, is_ordered, note, made_at,"
        " asked_at, turn_at, key_id, data_key, sealed, keyed_at)"
        " values ($1, $2, '', '{}', false, '', now(), now(), now(), $1, $1, '', now())",
        endpoint,
        merchant,
    )
    await owner.execute(
        "insert into webhooks.event (id, merchant, kind, at, kept_at, body)"
        " values ($1, $2, 'order.paid', now(), now(), '{}')",
        event,
        merchant,
    )
    await owner.execute(
        "insert into webhooks.delivery (id, endpoint, event, number, kind, at, state, due_at,"
        " stale_at) values ($1, $2, $3, 1, 'order.paid', now(), 'heard', now(), now())",
        delivery,
        endpoint,
        event,
    )
    return str(delivery)


def test_untouched_books_are_clean(place) -> None:
    """A marketplace that only the services have touched passes every check, with rows in each."""
    told = place.json("audit")

    assert told["ok"]
    assert {} == told["findings"]
    assert {check.name for check in CHECKS} == set(told["counts"])
    assert all(count > 0 for count in told["counts"].values())
    assert told["totals"]["CNY"]["debits"] == told["totals"]["CNY"]["credits"] > 0


@pytest.mark.parametrize("name", _PLANTS)
def test_each_corruption_is_named_and_nothing_else(place, name: str) -> None:
    """What is planted is found by its id in the check for it, and no other check finds anything."""
    check, plant = _PLANTS[name]

    async def plant_and_prove() -> tuple[str, Report]:
        owner = await connect_once(place.url)
        planted = await plant(owner, place.orders)
        await owner.close()
        return planted, await audit(place.url)

    planted, report = asyncio.run(plant_and_prove())

    found = {each.name: each.findings for each in report.outcomes if each.findings}
    assert {check: [planted]} == found
    assert not report.ok


def test_every_check_is_seen_to_fail() -> None:
    """No check is there that no plant has made fail."""
    assert {check.name for check in CHECKS} == {check for check, _ in _PLANTS.values()}


def test_a_busy_platform_raises_no_alarm(place, provider) -> None:
    """While orders are placed, paid, mispaid, sold out and refunded, every snapshot is clean."""

    async def sell(market: Any, buyer: int) -> None:
        order = await market.place("S1" if buyer % 3 else "S2", f"busy{buyer}@example.com")
        await market.pay(order, 990 if buyer % 5 == 4 else 1_990)
        await asyncio.sleep(0.2)
        if buyer % 4 == 0 and await market.state(order) == "delivered":
            refund = RefundOrder(uuid4(), order, 100, "a test", "a person")
            await market.orders.refund_orders([refund])

    async def watch(reports: list[Report]) -> None:
        while True:
            reports.append(await audit(place.url))

    async def be_busy() -> list[Report]:
        reports: list[Report] = []
        async with place.market(provider) as market:
            for variant in ("S1", "S2"):
                lines = [KeyLine(n + 1, f"BUSY-{variant}-{n}") for n in range(30)]
                await market.catalog.add_keys([KeyIntake(variant, uuid4(), lines)])
            market.house.start_jobs()
            watching = asyncio.create_task(watch(reports))
            for first in range(0, 48, 6):
                await asyncio.gather(*(sell(market, first + n) for n in range(6)))
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        return [*reports, await audit(place.url)]

    reports = asyncio.run(be_busy())

    alarms = [{o.name: o.findings for o in r.outcomes if o.findings} for r in reports]
    assert [] == [alarm for alarm in alarms if alarm]
    assert len(reports) >= 5


def test_findings_end_with_one_and_are_listed(place) -> None:
    """Books that are not in order end with 1; people see the check and the id, machines too."""
    [row] = place.sql(
        "update catalog.stock set free = free + 1 where variant = (select min(variant::text)::uuid"
        " from catalog.stock) returning variant::text"
    )

    shown = place.cli("audit", exit_code=1)
    told = place.json("audit", exit_code=1)

    assert "stock_is_counted" in shown.stdout
    assert row[0] in shown.stdout
    assert not told["ok"]
    assert {"stock_is_counted": [row[0]]} == told["findings"]


def test_empty_books_prove_nothing(empty_place) -> None:
    """Without rows a check has proved nothing, so an empty platform is not ok."""
    empty_place.cli("migrate")

    told = empty_place.json("audit", exit_code=1)

    assert {} == told["findings"]
    assert 0 == told["counts"]["transfers_have_two_sides"]


def test_no_schemas_is_said_with_advice(empty_place) -> None:
    """On a database that nobody migrated the audit says what to do, and ends with 3."""
    result = empty_place.cli("audit", exit_code=3)

    assert "vendrail migrate" in result.stderr


def test_the_outcome_of_an_audit_and_of_a_backup_is_kept(place, tmp_path) -> None:
    """The console can say when the books were last proved and saved, and what was found."""

    async def read(plant: Plant | None = None) -> dict[str, tuple[bool, str]]:
        owner = await connect_once(place.url)
        try:
            rows = await owner.fetch("select * from notify.report")
            if plant is not None:
                await plant(owner, place.orders)
        finally:
            await owner.close()
        return {row["name"]: (row["is_good"], row["findings"]) for row in rows}

    place.cli("backup", tmp_path)
    place.cli("audit")
    good = asyncio.run(read(balance_off_by_one))
    place.cli("audit", exit_code=1)
    bad = asyncio.run(read())

    assert {"audit": (True, "{}"), "backup": (True, "{}")} == good
    assert (False, '{"balances_are_sums": 1}') == bad["audit"]
