"""Stripe's disputes: told with the money they are of, answered once, in any order."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from tests.payments.conftest import Shop, number_of
from tests.payments.stripe_bench import settings_of, signed
from tests.payments.test_stripe import DISPUTE, INTENT, NOW, lines, opened, paid_in, stripe

from vendrail.api.payments import (
    Callback,
    ChannelAccount,
    ChannelId,
    DisputeTold,
    PresentRequest,
    UnmatchedQuery,
    UnmatchedVerdict,
)
from vendrail.api.payments.disputes import (
    DisputeEvidence,
    DisputeOutcome,
    EvidencePaper,
    EvidenceStatus,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import new_id
from vendrail.payments.channels.disputing import DisputingChannel
from vendrail.payments.channels.stripe import StripeChannel
from vendrail.payments.channels.stripe_line import files_url

__all__ = ["lines", "opened", "stripe"]

CREATED, CLOSED = "charge.dispute.created", "charge.dispute.closed"


def webhook(channel, secret: str, clock, told: dict, kind: str) -> Callback:
    """Sign an event of a dispute now."""
    now = int(clock.now().timestamp())
    event = {
        "id": f"evt_{new_id(clock.now()).hex}", "object": "event", "created": now,
        "livemode": False, "type": kind, "data": {"object": told},
    }  # fmt: skip
    body = json.dumps(event).encode()
    return Callback(channel.id, "POST", {"stripe-signature": signed(secret, now, body)}, "", body)


async def opened_shop(service, stripe, clock):
    """Open an account and a shop that takes money by it."""
    registered = stripe.register()
    channel = ChannelAccount(
        id=ChannelId(new_id(clock.now())),
        name="stripe",
        kind="stripe",
        title="Stripe",
        currencies=["SGD"],
        settings=settings_of(registered, stripe.url),
    )
    assert ["created"] == await service.put_channels([channel])
    return registered, channel, Shop(service, channel, stripe, clock)


async def test_a_dispute_is_told_with_its_capture_its_fee_and_its_term(service, stripe, clock):
    """X26: believed once the money is known; before that the provider is asked to say it again."""
    registered, channel, shop = await opened_shop(service, stripe, clock)
    attempt = await shop.opened(method="card", currency="SGD")
    await service.present_attempts([PresentRequest(attempt.id)])
    (money,) = stripe.sign(registered["account"], {"out_trade_no": number_of(attempt)})
    order = {"account": registered["account"], "out_trade_no": number_of(attempt)}
    told = stripe.post("disputes", order)
    secret = registered["webhook_secret"]
    opening = webhook(channel, secret, clock, told, "charge.dispute.created")
    lost = webhook(channel, secret, clock, told | {"status": "lost"}, "charge.dispute.closed")
    capture = Callback(
        channel.id, "POST", {"stripe-signature": money["signature"]}, "", money["body"].encode()
    )
    early = await service.take_callbacks([opening])
    first = await service.take_callbacks([capture])
    later = await service.take_callbacks([opening, lost])
    events = [each for each in await shop.events() if isinstance(each, DisputeTold)]
    due = datetime.fromtimestamp(told["evidence_details"]["due_by"], UTC)

    assert [400] == [each.status_code for each in early]
    assert [200, 200, 200] == [each.status_code for each in (*first, *later)]
    assert [DisputeOutcome.OPEN, DisputeOutcome.LOST] == [each.outcome for each in events]
    assert {attempt.order} == {each.capture.order for each in events}
    assert {(told["id"], 1_230, "SGD", 1_500, "fraudulent", due)} == {
        (each.case_number, each.amount_minor, each.currency, each.fee_minor, each.reason,
         each.answer_by)
        for each in events
    }  # fmt: skip


async def test_a_dispute_is_of_the_order_that_a_person_matched(service, stripe, clock):
    """Money that fitted nothing and was matched is disputed as that order's; an inquiry is not."""
    registered, channel, shop = await opened_shop(service, stripe, clock)
    meant = await shop.opened(method="card", currency="SGD")
    secret = registered["webhook_secret"]
    money = webhook(channel, secret, clock, INTENT, "payment_intent.succeeded")
    await service.take_callbacks([money])
    [[capture]] = await service.list_unmatched([UnmatchedQuery()])
    verdict = UnmatchedVerdict(capture.id, meant.order, "mei", "an old code")
    assert ["settled"] == await service.settle_unmatched([verdict])
    asked = DISPUTE | {"status": "warning_needs_response"}
    taken = DISPUTE | {"status": "needs_response"}
    await service.take_callbacks([webhook(channel, secret, clock, asked, CREATED)])
    early = [each for each in await shop.events() if isinstance(each, DisputeTold)]
    await service.take_callbacks(
        [
            webhook(channel, secret, clock, taken, "charge.dispute.funds_withdrawn"),
            webhook(channel, secret, clock, asked | {"status": "warning_closed"}, CLOSED),
        ]
    )
    events = [each for each in await shop.events() if isinstance(each, DisputeTold)]

    assert [] == early
    assert {(meant.order, meant.merchant)} == {
        (each.capture.order, each.capture.merchant) for each in events
    }
    assert [(DisputeOutcome.OPEN, True), (DisputeOutcome.WON, False)] == [
        (each.outcome, each.has_taken) for each in events
    ]


async def test_evidence_is_sent_once_for_good(opened, stripe):
    """Sent again under its id it is the same; other words afterwards are refused by Stripe."""
    registered, account = opened
    ask, _number = await paid_in(opened, stripe)
    order = {"account": registered["account"], "out_trade_no": ask.out_trade_no}
    told = stripe.post("disputes", order)
    channel = StripeChannel()
    said = DisputeEvidence(new_id(NOW), account.id, told["id"], "Shown at 12:00; used at 12:05.")
    other = replace(said, id=new_id(NOW + timedelta(seconds=1)), text="Something else.")
    unknown = replace(said, id=new_id(NOW + timedelta(seconds=2)), case_number="du_none")
    results = [
        await channel.send_evidence(each, account, NOW) for each in (said, said, other, unknown)
    ]
    key = {"authorization": f"Bearer {registered['secret_key']}"}
    found = stripe._client.get(f"/stripe/v1/disputes/{told['id']}", headers=key).json()

    assert isinstance(channel, DisputingChannel)
    assert ["sent", "sent", "refused", "refused"] == results
    assert said.text == found["evidence"]["uncategorized_text"]
    assert ("under_review", 1) == (
        found["status"],
        found["evidence_details"]["submission_count"],
    )


async def test_a_provider_that_is_away_leaves_it_unknown(opened, stripe):
    """No answer is no answer: the same evidence goes again, and is there once."""
    registered, account = opened
    ask, _number = await paid_in(opened, stripe)
    order = {"account": registered["account"], "out_trade_no": ask.out_trade_no}
    told = stripe.post("disputes", order)
    stripe.fault("gateway_down", params={"is_after": True}, match={"method": "disputes.update"})
    said = DisputeEvidence(new_id(NOW), account.id, told["id"], "Shown at 12:00.")
    first = await StripeChannel().send_evidence(said, account, NOW)
    second = await StripeChannel().send_evidence(said, account, NOW)

    assert (EvidenceStatus.UNKNOWN, EvidenceStatus.SENT) == (first, second)


async def test_files_are_uploaded_once_and_named_by_the_evidence(opened, stripe):
    """Sent again, also after no answer, each file is there once, as it was, under its kind."""
    registered, account = opened
    ask, _number = await paid_in(opened, stripe)
    order = {"account": registered["account"], "out_trade_no": ask.out_trade_no}
    told = stripe.post("disputes", order)
    stripe.fault("gateway_down", params={"is_after": True}, match={"method": "disputes.update"})
    papers = [
        EvidencePaper("receipt", "收据.pdf", "application/pdf", b"%PDF-1.7 paid"),
        EvidencePaper("delivery", "seen.png", "image/png", b"\x89PNG\r\n\x1a\n seen"),
    ]
    said = DisputeEvidence(new_id(NOW), account.id, told["id"], "Shown at 12:00.", papers)
    results = [await StripeChannel().send_evidence(said, account, NOW) for _ in range(2)]
    key = {"authorization": f"Bearer {registered['secret_key']}"}

    def get(path):
        return stripe._client.get(f"/stripe/v1/{path}", headers=key)

    evidence = get(f"disputes/{told['id']}").json()["evidence"]
    receipt = get(f"files/{evidence['receipt']}").json()
    contents = get(f"files/{evidence['service_documentation']}/contents").content

    assert [EvidenceStatus.UNKNOWN, EvidenceStatus.SENT] == results
    assert ("收据.pdf", "pdf", "dispute_evidence") == (
        receipt["filename"],
        receipt["type"],
        receipt["purpose"],
    )
    assert papers[1].content == contents
    assert evidence["uncategorized_file"] is None


@pytest.mark.parametrize(
    "paper, problem",
    [
        (EvidencePaper("receipt", "a.pdf", "application/pdf", b"plain words"), "file type"),
        (EvidencePaper("receipt", "a.pdf", "application/pdf", b"%PDF-" + b"x" * 5_000_000), "5 MB"),
    ],
)
async def test_files_that_stripe_does_not_take_are_refused(opened, stripe, paper, problem):
    """What is of no kind it takes, or too large, is refused, and nothing is submitted."""
    registered, account = opened
    ask, _number = await paid_in(opened, stripe)
    order = {"account": registered["account"], "out_trade_no": ask.out_trade_no}
    told = stripe.post("disputes", order)
    said = DisputeEvidence(new_id(NOW), account.id, told["id"], "Shown at 12:00.", [paper])
    result = await StripeChannel().send_evidence(said, account, NOW)
    key = {"authorization": f"Bearer {registered['secret_key']}"}
    found = stripe._client.get(f"/stripe/v1/disputes/{told['id']}", headers=key).json()

    assert EvidenceStatus.REFUSED is result
    assert "needs_response" == found["status"], problem


def test_stripe_itself_takes_files_at_a_host_of_their_own():
    """Files go to files.stripe.com where the API is Stripe's, and beside the API elsewhere."""
    assert "https://files.stripe.com" == files_url("https://api.stripe.com")
    assert "http://127.0.0.1:9/stripe" == files_url("http://127.0.0.1:9/stripe")
