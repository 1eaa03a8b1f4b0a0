"""The lists of both consoles as tables: the columns of each, and what a row has in them."""

from vendrail.api.catalog import StockedProduct
from vendrail.api.compliance import DossierHead
from vendrail.api.disputes import DisputeView
from vendrail.api.orders import SagaView
from vendrail.api.payments import Capture
from vendrail.api.payouts import RemittanceView
from vendrail.api.risk import Review
from vendrail.api.settlement import DepositMove
from vendrail.api.support import ComplaintView
from vendrail.kernel.money import to_decimal
from vendrail.web.console.exports import Columns

CAPTURES: Columns[Capture] = {
    "paid_at": lambda each: each.paid_at,
    "order": lambda each: each.order,
    "provider_number": lambda each: each.provider_number,
    "amount": lambda each: to_decimal(each.amount_minor, each.currency),
    "currency": lambda each: each.currency,
    "method": lambda each: each.method,
    "channel": lambda each: each.channel_name,
    "fit": lambda each: each.fit.value,
    "merchant": lambda each: each.merchant,
    "payment": lambda each: each.id,
}
COMPLAINTS: Columns[ComplaintView] = {
    "opened_at": lambda each: each.opened_at,
    "order": lambda each: each.order,
    "title": lambda each: each.title,
    "kind": lambda each: each.kind.value,
    "state": lambda each: each.state.value,
    "amount": lambda each: to_decimal(each.amount_minor, each.currency),
    "offered": lambda each: to_decimal(each.offer_minor, each.currency),
    "frozen": lambda each: to_decimal(each.frozen_minor, each.currency),
    "currency": lambda each: each.currency,
    "due_at": lambda each: each.due_at,
    "decided_by": lambda each: each.decided_by.value if each.decided_by else None,
    "outcome": lambda each: each.outcome.value if each.outcome else None,
    "ended_at": lambda each: each.ended_at,
    "merchant": lambda each: each.merchant,
    "complaint": lambda each: each.id,
}
DISPUTES: Columns[DisputeView] = {
    "opened_at": lambda each: each.opened_at,
    "order": lambda each: each.order,
    "state": lambda each: each.state.value,
    "reason": lambda each: each.reason,
    "amount": lambda each: to_decimal(each.amount_minor, each.currency),
    "fee": lambda each: to_decimal(each.fee_minor, each.currency),
    "currency": lambda each: each.currency,
    "frozen": lambda each: to_decimal(each.frozen_minor, each.frozen_currency),
    "frozen_currency": lambda each: each.frozen_currency,
    "answer_by": lambda each: each.answer_by,
    "ended_at": lambda each: each.ended_at,
    "channel": lambda each: each.channel_name,
    "case_number": lambda each: each.case_number,
    "provider_number": lambda each: each.provider_number,
    "merchant": lambda each: each.merchant,
    "dispute": lambda each: each.id,
}
DOSSIERS: Columns[DossierHead] = {
    "submitted_at": lambda each: each.submitted_at,
    "dossier": lambda each: each.id,
    "merchant": lambda each: each.merchant,
    "tier": lambda each: each.tier,
    "country": lambda each: each.country,
    "state": lambda each: each.state.value,
    "decided_at": lambda each: each.decided_at,
    "expires_on": lambda each: each.expires_on,
}
DEPOSIT_MOVES: Columns[DepositMove] = {
    "asked_at": lambda each: each.asked_at,
    "kind": lambda each: each.kind.value,
    "state": lambda each: each.state.value,
    "amount": lambda each: to_decimal(each.amount_minor, each.currency),
    "moved": lambda each: to_decimal(each.moved_minor, each.currency),
    "currency": lambda each: each.currency,
    "reason": lambda each: each.reason,
    "due_at": lambda each: each.due_at,
    "ended_at": lambda each: each.ended_at,
    "merchant": lambda each: each.merchant,
    "movement": lambda each: each.id,
}
PRODUCTS: Columns[StockedProduct] = {
    "product": lambda each: each.product.id,
    "title": lambda each: each.product.title,
    "category": lambda each: each.product.category,
    "state": lambda each: each.product.state.value,
    "variants": lambda each: len(each.product.variants),
    "sold": lambda each: sum(count.sold for count in each.counts),
    "free": lambda each: sum(count.free for count in each.counts),
    "held": lambda each: sum(count.held for count in each.counts),
    "void": lambda each: sum(count.void for count in each.counts),
}
REMITTANCES: Columns[RemittanceView] = {
    "paid_on": lambda each: each.remittance.paid_on,
    "channel": lambda each: each.remittance.channel_name,
    "number": lambda each: each.remittance.number,
    "gross": lambda each: to_decimal(each.remittance.gross_minor, each.remittance.currency),
    "fee": lambda each: to_decimal(each.remittance.fee_minor, each.remittance.currency),
    "currency": lambda each: each.remittance.currency,
    "target": lambda each: each.remittance.target.value,
    "booked_at": lambda each: each.at,
}
REVIEWS: Columns[Review] = {
    "at": lambda each: each.at,
    "order": lambda each: each.order,
    "amount": lambda each: to_decimal(each.amount_minor, each.currency),
    "currency": lambda each: each.currency,
    "reasons": lambda each: " ".join(each.reasons),
    "merchant": lambda each: each.merchant,
}
SAGAS: Columns[SagaView] = {
    "started_at": lambda each: each.started_at,
    "saga": lambda each: each.id,
    "kind": lambda each: each.kind,
    "order": lambda each: each.order,
    "state": lambda each: each.state,
    "step": lambda each: each.step,
    "waits_for": lambda each: each.reason,
    "tries": lambda each: each.attempts,
    "looks_again_at": lambda each: each.due_at,
    "problem": lambda each: each.problem,
}
