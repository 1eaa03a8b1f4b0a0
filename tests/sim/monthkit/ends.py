"""The last accounts: every kind of event has happened, and every minor unit is where it belongs."""

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any
from uuid import UUID

from simkit.actors import Violation
from simkit.world import read_unrest

from monthkit.buyers import Life
from monthkit.plans import Way
from monthkit.treasury import NAME as BANK
from vendrail.api.orders import OrderQuery, Orders, OrderState, OrderView, RefundView
from vendrail.kernel.db import connect_once
from vendrail.kernel.ids import to_serial

if TYPE_CHECKING:
    from monthkit.month import Month

_PAGE = 500
_PLAIN_PERCENT = 5  # Of what nothing happened to, so many are asked of the providers one by one.

# What has happened, as the platform's own tables tell it.
_COUNTED = """
    select 'orders: ' || state, count(*) from orders."order" group by 1
    union all
    select 'top-ups that arrived', count(*) from orders."order"
     where variant is null and delivered_at is not null
    union all
    select 'captures: ' || fit, count(*) from payments.capture group by 1
    union all
    select 'captures: found by ' || source, count(*) from payments.capture group by 1
    union all
    select 'unmatched money: ' || case when order_id is null then 'given back' else 'matched' end,
           count(*) from payments.verdict group by 1
    union all
    select 'surplus given back', count(*) from payments.capture c
      join orders."order" o on o.id = c.order_id and o.capture <> c.id
     where c.fit = 'fits'
    union all
    select 'refunds: ' || state, count(*) from orders.refund group by 1
    union all
    select 'refunds: into wallets', count(*) from orders.refund where to_wallet is not null
    union all
    select 'refunds: of a part', count(*) from orders.refund r
      join orders."order" o on o.id = r."order" where r.amount_minor < o.amount_minor
    union all
    select 'wallets: paid of orders', count(*) from orders.wallet_part where state = 'spent'
    union all
    select 'keys that were replaced', count(*) from catalog.replacement
    union all
    select 'complaints: ' || outcome, count(*) from support.complaint
     where outcome is not null group by 1
    union all
    select 'complaints: decided by ' || decided_by, count(*) from support.complaint
     where decided_by is not null group by 1
    union all
    select 'complaints: ' || kind, count(*) from support.step group by 1
    union all
    select 'chargebacks: ' || outcome, count(*) from disputes.dispute group by 1
    union all
    select 'chargebacks: contested', count(*) from disputes.answer
    union all
    select 'payouts: ' || origin || ' ' || state, count(*) from payouts.payout group by 1
    union all
    select 'payouts: looked at by a person', count(*) from payouts.step
     where state = 'review'
    union all
    select 'payouts: told more than once', count(*) from payouts.payout where tries > 1
    union all
    select 'payouts: waited for the reserve', count(*) from payouts.payout where reserve_tries > 0
    union all
    select 'coupons: ' || state, count(*) from promotions.use group by 1
    union all
    select 'webhooks: ' || state, count(*) from webhooks.delivery group by 1
    union all
    select 'webhooks: endpoints given up', count(*) from webhooks.endpoint
     where reason = 'not_heard'
    union all
    select case way when 'mail' then 'letters: ' else 'letters by Telegram: ' end || state,
           count(*) from notify.message group by 1
    union all
    select 'domains: letters about them', count(*) from notify.message where template = 'domain'
    union all
    select 'agents: orders ' || state, count(*) from orders."order"
     where supplier is not null group by 1
    union all
    select 'agents: refunds that bore on both', count(*) from settlement.refund
     where part_of is not null and state = 'paid'
    union all
    select 'agents: keys replaced', count(*) from catalog.replacement r
      join orders."order" o on o.allocation = r.allocation where o.supplier is not null
    union all
    select 'agents: complaints', count(*) from support.complaint c
      join orders."order" o on o.id = c."order" where o.supplier is not null
    union all
    select 'agents: chargebacks ' || d.outcome, count(*) from disputes.dispute d
      join orders."order" o on o.id = d.order_id where o.supplier is not null group by 1
    union all
    select 'transfers: ' || code, count(*) from ledger.transfer where refusal is null group by 1
    union all
    select 'buckets: ' || part || ' released', count(*) from settlement.bucket
     where released_at is not null group by part
    union all
    select 'bank files: lines ' || case result when '' then 'open' else result end, count(*)
      from payouts.bank_line group by 1
    union all
    select 'remittances: to ' || target, count(*) from payouts.remittance group by 1
    union all
    select 'dossiers: ' || state, count(*) from compliance.dossier group by 1
    union all
    select 'deposits: ' || kind || ' ' || state, count(*) from settlement.deposit_move group by 1
    union all
    select 'days closed', count(*) from ledger.close
    union all
    select 'days closed: amounts that lay in clearing', count(*) from ledger.close_item
    union all
    select 'versions: fees of all', count(*) from settlement.fee_schedule
    union all
    select 'versions: fees of merchants', count(*) from settlement.fee_terms
    union all
    select 'versions: holds', count(*) from settlement.hold_terms
"""

# Without these a month was not the one that it says it was.
MUST = (
    "orders: delivered", "orders: refunded", "orders: expired", "orders: cancelled",
    "top-ups that arrived", "wallets: paid of orders",
    "captures: fits", "captures: found by callback", "captures: found by query",
    "unmatched money: given back", "unmatched money: matched", "surplus given back",
    "refunds: paid", "refunds: into wallets", "refunds: of a part", "keys that were replaced",
    "complaints: refunded", "complaints: part_refunded", "complaints: replaced",
    "complaints: rejected", "complaints: withdrawn", "complaints: decided by limit",
    "complaints: decided by operator", "complaints: decided by warranty", "complaints: escalate",
    "complaints: rule",
    "chargebacks: won", "chargebacks: lost", "chargebacks: contested",
    "payouts: manual succeeded", "payouts: manual failed", "payouts: manual returned",
    "payouts: manual refused", "payouts: manual declined", "payouts: test succeeded",
    "payouts: looked at by a person", "payouts: told more than once",
    "payouts: waited for the reserve",
    "transfers: release", "transfers: debt_recovery", "transfers: freeze", "transfers: chargeback",
    "transfers: chargeback_fee", "transfers: payout_returned",
    "buckets: pending released", "buckets: reserve released",
    "payouts: scheduled succeeded", "payouts: instant succeeded",
    "coupons: used", "coupons: returned", "answer: coupon used_up",
    "act: sales stopped", "act: sales let go on", "answer: place while stopped not_on_sale",
    "webhooks: heard", "webhooks: given_up", "webhooks: dropped", "programs: were away",
    "webhooks: endpoints given up", "letters: sent", "letters: stale",
    "letters: sent back for now", "letters: arrived",
    "letters by Telegram: sent", "letters by Telegram: unknown", "letters by Telegram: arrived",
    "chats linked", "act: chat left by block", "act: chat left by stop", "act: chat left by here",
    "act: Telegram away", "act: Telegram's answer lost", "act: Telegram flooded",
    "act: Telegram's news lost",
    "agents: orders delivered", "agents: orders refunded", "agents: refunds that bore on both",
    "agents: keys replaced", "agents: complaints", "agents: chargebacks won",
    "agents: chargebacks lost", "answer: agency invite done", "answer: agency decline done",
    "answer: agency accept done", "answer: agency end done", "answer: floor changed",
    "answer: listing price_below_floor", "answer: listing changed",
    "answer: place without an agency not_on_sale", "answer: place below a floor not_on_sale",
    "orders placed on a shop's domain", "act: domain's proof taken away", "act: DNS away",
    "act: domain taken back", "domains: passed on to who waited", "domains: had again",
    "domains: letters about them",
    "bank files: lines succeeded", "bank files: lines failed", "bank files: lines returned",
    "bank: said nothing", "remittances: to reserve", "remittances: to bank",
    "answer: remittance beyond more_than_owed", "dossiers: accepted", "dossiers: refused",
    "dossiers: revoked", "answer: decide ask_more decided", "answer: payout merchant_unverified",
    "answer: place beyond a tier limit_reached", "deposits: paid done", "deposits: taken done",
    "deposits: returned done", "transfers: adjustment", "days closed",
    "days closed: amounts that lay in clearing",
    "versions: fees of all", "versions: fees of merchants", "versions: holds",
    "act: provider away", "act: payout bounced", "act: paid late", "act: paid unheard",
    "act: payouts stopped", "callback repeated", "answer: none", "answer: give up given_up",
    "answer: saga woken True", "fault: crash at statement", "fault: crash at call",
    "fault: call repeat", "fault: call drop", "fault: call drop answer", "fault: call delay",
    "fault: call broken", "audits that were clean",
)  # fmt: skip


async def count_events(dsn: str, tally: Counter[str]) -> Counter[str]:
    """Give how often each kind of event happened: what people did, and what became of it."""
    connection = await connect_once(dsn)
    try:
        rows = await connection.fetch(_COUNTED)
    finally:
        await connection.close()
    counted = Counter(tally)
    for name, count in rows:
        counted[name] += count
    return counted


_WAITS = """
    select 'bucket of ' || merchant || ' due ' || due_at from settlement.bucket where is_open
    union all
    select 'complaint ' || id || ' ' || state from support.complaint where state <> 'closed'
    union all
    select 'dispute ' || id || ' ' || step from disputes.dispute where step <> 'ended'
    union all
    select 'payout ' || id || ' ' || state || ' due ' || coalesce(due_at::text, 'never')
      from payouts.payout
     where due_at is not null or state in ('review', 'ready', 'reserved', 'sent')
    union all
    select 'delivery ' || id || ' due ' || due_at from webhooks.delivery where state = 'waiting'
    union all
    select 'deposit ' || id || ' due ' || due_at from settlement.deposit_move
     where state in ('asked', 'moving')
    union all
    select 'letter ' || id || ' ' || state || ' due ' || due_at from notify.message
     where state in ('waiting', 'sending')
"""


async def read_waits(dsn: str) -> list[str]:
    """Say what still waits: each bucket, complaint, dispute or payout, and what is under way."""
    connection = await connect_once(dsn)
    try:
        waits = [row[0] for row in await connection.fetch(_WAITS)]
    finally:
        await connection.close()
    unrest = await read_unrest(dsn)
    return [*waits, *([unrest] if unrest else [])]


async def examine(month: "Month", dsn: str) -> None:
    """Hold the books against the banks': all is released, paid out, and explained."""
    await _check_rest(dsn, "before the last payouts", has_wealth=True)
    for _ in range(4):
        await month.staff.take_everything()
        await month.staff.work(is_last=True)
        await month.turn(2)
        month.asking.pass_s(3_700)
        await month.turn(2)
    await month.audit("the end")
    await _check_rest(dsn, "the end", has_wealth=False)
    await _check_orders(month)
    await month.agents.check()
    await _check_banks(month, dsn)
    await _check_told(month, dsn)


async def _check_rest(dsn: str, when: str, *, has_wealth: bool) -> None:
    """Everything due is released, and nothing lies where it only passes through."""
    connection = await connect_once(dsn)
    try:
        accounts = await _read_accounts(connection)
        open_buckets = await connection.fetchval(
            "select count(*) from settlement.bucket where is_open"
        )
    finally:
        await connection.close()
    wrong = []
    for name, (credit_minor, pending_minor) in accounts.items():
        kind = name.split(":")[0]
        part = name.split(":")[2] if kind == "merchant" else ""
        is_passing = kind in ("held", "refund", "suspense", "chargeback") or (
            part in ("pending", "reserve", "frozen", "deposit")
            or name.startswith("payout:in_transit")
        )
        is_taken = part == "available" and not has_wealth
        if pending_minor or (is_passing and credit_minor) or (is_taken and credit_minor >= 130):
            wrong.append((name, credit_minor, pending_minor))
        if part == "available" and credit_minor < 0:
            wrong.append((name, credit_minor, pending_minor))
    if wrong or open_buckets:
        raise Violation(f"{when}: not at rest: {wrong[:8]}, {open_buckets} open buckets")


async def _read_accounts(connection: Any) -> dict[str, tuple[int, int]]:
    """Read what each account holds for its owner, and what is pending on it."""
    rows = await connection.fetch(
        "select a.name, sum(s.credits_posted - s.debits_posted)::bigint,"
        " sum(s.credits_pending + s.debits_pending)::bigint"
        " from ledger.account a join (select account, debits_pending, debits_posted,"
        "  credits_pending, credits_posted from ledger.balance union all"
        "  select account, debits_pending, debits_posted, credits_pending, credits_posted"
        "  from ledger.delta) s on s.account = a.number group by a.name"
    )
    return {name: (credit, pending) for name, credit, pending in rows}


async def _check_orders(month: "Month") -> None:
    """Hold every order's end against what its buyer planned, and what the banks kept of it."""
    lives = list(month.buyers.lives.values())
    for begin in range(0, len(lives), _PAGE):
        some = lives[begin : begin + _PAGE]
        queries = [OrderQuery(life.order, None) for life in some]
        views = await month.asking.ask(Orders, "read_orders", queries)
        refunds = await month.asking.ask(Orders, "read_refunds", [life.order for life in some])
        for life, view, of_it in zip(some, views, refunds, strict=True):
            if view is None:
                raise Violation(f"An order is gone: {life}")
            may = _ends(life)
            if view.state not in may:
                raise Violation(f"It ended {view.state}; allowed: {may}; {life}")
            is_plain = not of_it and life.plan.way in (Way.ONCE, Way.TOP_UP)
            if not is_plain or life.plan.number % 100 < _PLAIN_PERCENT:
                await _check_kept(month, life, view, of_it)


def _ends(life: Life) -> set[OrderState]:
    """Say how an order may have ended, by what its buyer did, and by what its merchant may do."""
    ends = _ends_of(life)
    if life.plan.way is Way.LATE and life.has_coupon:
        ends.add(OrderState.EXPIRED)  # Its coupon was given back: late money is for people.
    if life.merchant.was_cancelling and (OrderState.EXPIRED in ends or life.plan.way is Way.LATE):
        ends.add(OrderState.CANCELLED)  # What was not paid when its merchant was stopped.
    return ends


def _ends_of(life: Life) -> set[OrderState]:
    delivered, refunded = OrderState.DELIVERED, OrderState.REFUNDED
    match life.plan.way:
        case Way.NEVER | Way.WRONG:
            return {OrderState.EXPIRED}
        case Way.CANCELS:
            return {OrderState.CANCELLED}
        case Way.STRAY if not life.is_matched:
            return {OrderState.EXPIRED}
        case Way.REVIEWED:
            return {delivered, refunded} if life.plan.is_good else {refunded}
        case Way.WALLET | Way.PART | Way.UNHEARD:
            return {delivered, refunded, OrderState.EXPIRED}
    return {delivered, refunded}


async def _check_kept(
    month: "Month", life: Life, view: OrderView, refunds: list[RefundView]
) -> None:
    """The banks have kept of an order exactly what the order says."""
    kept = 0
    for number, _ in life.numbers:
        kept += await asyncio.to_thread(month.banks.alipay_kept_minor, number)
    for number, _ in life.cards:
        kept += await asyncio.to_thread(month.banks.card_kept_minor, number)
    kept -= life.lost_minor
    back = sum(each.amount_minor for each in refunds if each.state == "paid")
    to_wallet = sum(r.amount_minor for r in refunds if r.state == "paid" and r.is_to_wallet)
    if life.plan.way in (Way.WALLET, Way.PART):
        due = range(life.amount_minor + 1)  # What the wallet paid may have gone back either way.
    elif view.state is OrderState.DELIVERED:
        sold = life.amount_minor - back - life.lost_minor + to_wallet
        due = range(sold, sold + 1)
    elif view.state is OrderState.REFUNDED:
        due = range(to_wallet, to_wallet + 1)
    else:
        due = range(1)
    if kept not in due:
        raise Violation(f"The banks kept {kept}, not {due}: {view} {refunds} {life}")


async def _check_banks(month: "Month", dsn: str) -> None:
    """What the books say lies at Alipay lies there; nothing was paid out beyond what came."""
    connection = await connect_once(dsn)
    try:
        accounts = await _read_accounts(connection)
        payouts = await connection.fetch(
            "select id, merchant, amount_minor, fee_minor, origin, is_filed from payouts.payout"
            " where state = 'succeeded'"
        )
        returned = await connection.fetch(
            "select id, is_filed from payouts.payout"
            " where state in ('returned', 'failed', 'declined')"
        )
        settled = await connection.fetchval(
            "select coalesce(sum(case when channel_name = 'alipay' then -fee_minor"
            " else gross_minor - fee_minor end), 0)::bigint from payouts.remittance"
        )
        earned = await connection.fetch(
            "select split_part(a.name, ':', 2)::uuid, sum(t.amount_minor)::bigint"
            " from ledger.transfer t join ledger.account a on a.number = t.credit"
            " where t.code in ('sale', 'adjustment') and t.refusal is null"
            "   and a.name like 'merchant:%' group by 1"
        )
    finally:
        await connection.close()
    owner = sum(credit for name, (credit, _) in accounts.items() if name.startswith("capital:"))
    ours = ("provider:alipay", "payout_reserve:alipay", f"payout_reserve:{BANK}", "bank")
    in_books = -sum(accounts[name][0] for name in ours if name in accounts) - owner
    # What Stripe has paid lies at the bank; what Alipay has kept of what it owed is not told there.
    at_bank = month.banks.alipay_balance_minor() - month.banks.opening_minor
    at_bank += settled - month.treasury.counter.paid_minor
    if in_books != at_bank:
        raise Violation(f"The books say {in_books} lies at the banks; they say {at_bank}.")
    for row in payouts:
        there = await _arrived_minor(month, row)
        if there != row["amount_minor"]:
            raise Violation(f"Payout {row['id']} is {row['amount_minor']}; {there} arrived.")
    for row in returned:
        there = await _arrived_minor(month, row)
        if there:
            raise Violation(f"Payout {row['id']} came back in the books; {there} arrived.")
    shares: dict[UUID, int] = dict(earned)
    paid: Counter[UUID] = Counter()
    for row in payouts:
        if row["origin"] != "test":
            paid[row["merchant"]] += row["amount_minor"] + row["fee_minor"]
    beyond = {who: (minor, shares.get(who)) for who, minor in paid.items()
              if minor > shares.get(who, 0)}  # fmt: skip
    if beyond:
        raise Violation(f"Paid out beyond what was earned: {beyond}")


async def _arrived_minor(month: "Month", row: Any) -> int:
    """Say what its payee has of a payout, as whoever carried it knows."""
    number = to_serial(row["id"])
    if row["is_filed"]:
        return month.treasury.counter.paid.get(number, 0)
    return await asyncio.to_thread(month.banks.transferred_minor, number)


async def _check_told(month: "Month", dsn: str) -> None:
    """What is written down as heard was heard, and the other way round; so it is with letters."""
    numbers = {each.listener: each.number for each in month.market if each.listener}
    connection = await connect_once(dsn)
    try:
        deliveries = await connection.fetch(
            "select endpoint, event from webhooks.delivery where state = 'heard'"
        )
        letters = await connection.fetch(
            "select id, state, way from notify.message where state in ('sent', 'unknown')"
        )
    finally:
        await connection.close()
    heard = {(numbers[row["endpoint"]], to_serial(row["event"])) for row in deliveries}
    taken = month.hearers.programs.taken
    if heard != taken:
        raise Violation(
            f"Heard, as is written: {len(heard)}; {len(taken)}: {list(heard ^ taken)[:5]}"
        )
    by_chat = [row["state"] for row in letters if row["way"] == "telegram"]
    came = await asyncio.to_thread(month.readers.count)
    if not by_chat.count("sent") <= came <= len(by_chat):
        raise Violation(f"To chats came {came} letters; written down are {Counter(by_chat)}.")
    month.tally["letters by Telegram: arrived"] = came
    letters = [row for row in letters if row["way"] == "mail"]
    sent = {str(row["id"]) for row in letters if row["state"] == "sent"}
    left = {str(row["id"]) for row in letters}
    arrived = {id.strip("<>").split("@")[0] for id in month.hearers.post.taken}
    if not sent <= arrived <= left:
        odd = [*(sent - arrived), *(arrived - left)]
        raise Violation(f"{len(odd)} letters are not where they are said to be: {odd[:5]}")
