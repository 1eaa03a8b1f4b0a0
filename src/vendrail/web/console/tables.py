"""The lists of both consoles as tables: the columns of each, and what a row has in them."""

from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from vendrail.api.catalog import GoodsCase, StockedProduct
from vendrail.api.compliance import DossierHead
from vendrail.api.disputes import DisputeView
from vendrail.api.identity import ApiKey, Application, Link, Person, ProposalView
from vendrail.api.ledger import Close
from vendrail.api.orders import SagaView
from vendrail.api.payments import Capture
from vendrail.api.payouts import BankFile, RemittanceView
from vendrail.api.promotions import CouponUse, CouponView
from vendrail.api.risk import Review
from vendrail.api.settlement import DepositMove, FeeAdjustment, FeeSuggestion
from vendrail.api.support import ComplaintView, TalkHead
from vendrail.api.webhooks import DeliveryView
from vendrail.kernel.money import to_decimal
from vendrail.web.console.exports import Columns


class Member(NamedTuple):
    """Somebody who works somewhere, or is invited to."""

    email: str
    role: str
    person: Person | None = None
    link: Link | None = None


class Talk(NamedTuple):
    """A conversation, and what its order was for."""

    head: TalkHead
    title: str


def _of(get: Callable[[Person], object]) -> Callable[[Member], object]:
    """Give what is known of a person; of who is only invited, nothing."""
    return lambda each: get(each.person) if each.person is not None else None


def _place(person: Person, merchant: UUID | None) -> str:
    """Name the role of a person somewhere."""
    return next((e.role.value for e in person.memberships if e.merchant == merchant), "")


def members(people: list[Person], links: list[Link], merchant: UUID | None) -> list[Member]:
    """Give who works somewhere, then who is invited."""
    return [
        *(Member(each.email, _place(each, merchant), each) for each in people),
        *(Member(each.email, each.role.value if each.role else "", None, each) for each in links),
    ]


API_KEYS: Columns[ApiKey] = {
    "made_at": lambda each: each.made_at,
    "name": lambda each: each.name,
    "prefix": lambda each: each.prefix,
    "scopes": lambda each: " ".join(each.scopes),
    "networks": lambda each: " ".join(each.networks),
    "made_by": lambda each: each.made_by,
    "used_at": lambda each: each.used_at,
    "ends_at": lambda each: each.ends_at,
    "revoked_at": lambda each: each.revoked_at,
    "key": lambda each: each.id,
}
ADJUSTMENTS: Columns[FeeAdjustment] = {
    "made_at": lambda each: each.made_at,
    "merchant": lambda each: each.merchant,
    "currency": lambda each: each.currency,
    "basis_points_before": lambda each: each.before_basis_points,
    "basis_points": lambda each: each.basis_points,
    "valid_from": lambda each: each.valid_from,
    "taken_back_at": lambda each: each.taken_back_at,
    "overtaken_at": lambda each: each.overtaken_at,
    "adjustment": lambda each: each.id,
}
APPLICATIONS: Columns[Application] = {
    "made_at": lambda each: each.made_at,
    "merchant_name": lambda each: each.merchant_name,
    "name": lambda each: each.name,
    "email": lambda each: each.email,
    "language": lambda each: each.locale,
    "terms_version": lambda each: each.terms_version,
    "state": lambda each: each.state.value,
    "application": lambda each: each.id,
}
APPROVALS: Columns[ProposalView] = {
    "made_at": lambda each: each.made_at,
    "act": lambda each: each.proposal.act,
    "subject": lambda each: each.proposal.subject,
    "permission": lambda each: each.proposal.permission.value,
    "proposed_by": lambda each: each.proposal.by.name,
    "reason": lambda each: each.proposal.reason,
    "state": lambda each: each.state.value,
    "ends_at": lambda each: each.ends_at,
    "decided_by": lambda each: each.decided_by,
    "decided_at": lambda each: each.decided_at,
    "proposal": lambda each: each.proposal.id,
}
BANK_FILES: Columns[BankFile] = {
    "made_at": lambda each: each.made_at,
    "number": lambda each: each.number,
    "bank": lambda each: each.bank,
    "lines": lambda each: each.lines,
    "sum": lambda each: to_decimal(each.sum_minor, each.currency),
    "currency": lambda each: each.currency,
    "made_by": lambda each: each.made_by,
    "carried_at": lambda each: each.carried_at,
    "carried_by": lambda each: each.carried_by,
    "open_lines": lambda each: each.open_lines,
    "file": lambda each: each.id,
}
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
CLOSES: Columns[Close] = {
    "day": lambda each: each.day,
    "zone": lambda each: each.zone,
    "until": lambda each: each.until,
    "movements": lambda each: each.count,
    "items": lambda each: each.items_count,
    "oldest_since": lambda each: each.oldest_since,
    "closed_at": lambda each: each.closed_at,
    "closed_by": lambda each: each.closed_by,
    "block": lambda each: each.block,
    "digest": lambda each: each.digest,
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
COUPONS: Columns[CouponView] = {
    "title": lambda each: each.coupon.title,
    "word": lambda each: each.coupon.word,
    "is_on": lambda each: "yes" if each.coupon.is_on else "no",
    "amount": lambda each: _money(each.coupon.amount_minor, each.coupon.currency),
    "permyriad": lambda each: each.coupon.permyriad or None,
    "cap": lambda each: _money(each.coupon.cap_minor, each.coupon.currency),
    "order_min": lambda each: _money(each.coupon.order_minor_min, each.coupon.currency),
    "currency": lambda each: each.coupon.currency,
    "starts_at": lambda each: each.coupon.starts_at,
    "ends_at": lambda each: each.coupon.ends_at,
    "codes": lambda each: each.codes_count,
    "uses_max": lambda each: each.coupon.uses_max,
    "held": lambda each: each.held_count,
    "used": lambda each: each.used_count,
    "taken_off": lambda each: to_decimal(each.used_minor, each.coupon.currency),
    "merchant": lambda each: each.coupon.merchant,
    "coupon": lambda each: each.coupon.id,
}
COUPON_USES: Columns[CouponUse] = {
    "held_at": lambda each: each.held_at,
    "order": lambda each: each.order,
    "state": lambda each: each.state.value,
    "taken_off": lambda each: to_decimal(each.discount_minor, each.currency),
    "currency": lambda each: each.currency,
    "coupon": lambda each: each.coupon,
}
DELIVERIES: Columns[DeliveryView] = {
    "happened_at": lambda each: each.happened_at,
    "kind": lambda each: each.kind.value,
    "state": lambda each: each.state.value,
    "tries": lambda each: each.attempts,
    "heard_at": lambda each: each.heard_at,
    "due_at": lambda each: each.due_at,
    "problem": lambda each: each.problem,
    "event": lambda each: each.event,
    "endpoint": lambda each: each.endpoint,
    "delivery": lambda each: each.id,
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
GOODS_CASES: Columns[GoodsCase] = {
    "changed_at": lambda each: each.changed_at,
    "state": lambda each: each.state.value,
    "title": lambda each: each.title,
    "is_shop": lambda each: "yes" if each.is_shop else "no",
    "is_blocked": lambda each: "yes" if each.is_blocked else "no",
    "is_appealed": lambda each: "yes" if each.is_appealed else "no",
    "found": lambda each: ", ".join(rule.text for rule in each.found),
    "rules_version": lambda each: each.rules_version,
    "decided_by": lambda each: each.decided_by,
    "reason": lambda each: each.reason,
    "merchant": lambda each: each.merchant,
    "subject": lambda each: each.subject,
}
PEOPLE: Columns[Member] = {
    "name": _of(lambda each: each.name),
    "email": lambda each: each.email,
    "role": lambda each: each.role,
    "state": lambda each: each.person.state.value if each.person else "invited",
    "has_second_factor": _of(lambda each: "yes" if each.has_second_factor else "no"),
    "created_at": _of(lambda each: each.created_at),
    "signed_in_at": _of(lambda each: each.signed_in_at),
    "invited_at": lambda each: each.link.made_at if each.link else None,
    "invited_by": lambda each: each.link.invited_by if each.link else None,
    "invitation_ends_at": lambda each: each.link.ends_at if each.link else None,
    "person": _of(lambda each: each.id),
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
SUGGESTIONS: Columns[FeeSuggestion] = {
    "merchant": lambda each: each.facts.merchant,
    "currency": lambda each: each.facts.currency,
    "basis_points": lambda each: each.basis_points,
    "volume": lambda each: to_decimal(each.facts.volume_minor, each.facts.currency),
    "sold": lambda each: each.facts.sold_count,
    "refunded": lambda each: each.facts.refunded_count,
    "disputed": lambda each: each.facts.disputed_count,
    "tier": lambda each: each.facts.tier,
}
TALKS: Columns[Talk] = {
    "last_at": lambda each: each.head.last_at,
    "order": lambda each: each.head.order,
    "title": lambda each: each.title,
    "messages": lambda each: each.head.count,
    "unread": lambda each: each.head.unread,
}


def _money(amount_minor: int, currency: str) -> Decimal | None:
    """Write an amount; none where there is no bound."""
    return to_decimal(amount_minor, currency) if amount_minor else None
