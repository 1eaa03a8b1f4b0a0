"""What is promised of agreements: signed by their buyer alone, charged once, and ended for good."""

import asyncio
from datetime import timedelta
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from tests.payments.conftest import MERCHANT, channel_of, make_key, number_of

from vendrail.api.payments import (
    ActionKind,
    Attempt,
    AttemptState,
    Callback,
    Device,
    Payments,
    PresentRequest,
    SavedDrop,
    SavedPayment,
    SavedQuery,
)
from vendrail.api.payments.saved import AgreementOpening, AgreementStatus
from vendrail.kernel import rpc
from vendrail.kernel.codec import decode, replace
from vendrail.kernel.ids import derive, new_id
from vendrail.payments.channels import alipay_signatures as signatures

SCENE = "INDUSTRY|DIGITAL_MEDIA"


class Till:
    """A marketplace whose Alipay account was granted agreements, and its buyers."""

    def __init__(self, service, payments, alipay, clock) -> None:
        self.service = service
        self.payments: Payments = payments
        self.alipay = alipay
        self.clock = clock
        private, public = make_key()
        body = {"public_key_pem": public, "has_withholding": True}
        self.app = alipay.post("/sandbox/apps", body)
        self.channel = channel_of((self.app, private), alipay.url)
        self.channel.settings["agreement_scene"] = SCENE

    async def open(self, order=None, number=1, **changes) -> Attempt:
        """Open an attempt."""
        order = order or new_id(self.clock.now())
        attempt = Attempt(
            id=derive(order, f"attempt:{number}"),
            order=order,
            number=number,
            merchant=MERCHANT,
            method="alipay",
            amount_minor=1_290,
            currency="CNY",
            title="Celadon Shield",
            expires_at=self.clock.now() + timedelta(minutes=15),
            channel=self.channel.id,
        )
        attempt = replace(attempt, **changes)
        await self.payments.open_attempts([attempt])
        return attempt

    async def page(self, buyer, device=Device.DESKTOP, **more):
        """Open the page on which a buyer agrees; give the action and our number."""
        [opened] = await self.payments.open_agreements(
            [AgreementOpening(buyer, "alipay", device, **more)]
        )
        assert AgreementStatus.OPENED is opened.status
        return opened.action, number_on(opened.action)

    def act(self, number, **how):
        """Let a buyer do something with an agreement."""
        body = {"app_id": self.app["app_id"], "external_agreement_no": number, **how}
        return self.alipay.post("/sandbox/alipay/agreements", body)

    async def agree(self, buyer):
        """Let a buyer agree; give the saved way and our number of it."""
        action, number = await self.page(buyer)
        await asyncio.to_thread(self.alipay.open, action.text)
        await asyncio.to_thread(self.act, number, status="NORMAL")
        self.clock.advance(6)
        [[way]] = await self.payments.list_saved([SavedQuery(buyer, is_fresh=True)])
        return way, number

    async def pay(self, attempt, saved, buyer):
        """Pay an attempt with a saved way."""
        [paid] = await self.payments.pay_saved([SavedPayment(attempt.id, saved.id, buyer)])
        return paid

    async def state(self, attempt):
        """Say where an attempt stands."""
        [views] = await self.payments.read_attempts([attempt.order])
        return next(each.state for each in views if each.attempt.id == attempt.id)

    def charged(self, attempt):
        """Tell what the provider took for an attempt."""
        trade = self.alipay.trade(self.app["app_id"], number_of(attempt))
        return trade.get("total_minor", 0) if trade.get("paid_at") else 0

    async def tell(self, number, kind="dut_user_sign", status="NORMAL", **changes):
        """Bring a notification of an agreement, signed by the provider's own key."""
        known = self.alipay._client.get(
            f"/sandbox/alipay/agreements/{number}", params={"app_id": self.app["app_id"]}
        )
        fields = {
            "app_id": self.app["app_id"],
            "auth_app_id": self.app["app_id"],
            "agreement_no": known.json()["agreement_no"],
            "external_agreement_no": number,
            "notify_id": f"n{new_id(self.clock.now()).hex}",
            "notify_type": kind,
            "status": status,
            "charset": "utf-8",
            **changes,
        }
        raw = {name.encode(): value.encode() for name, value in fields.items()}
        key = signatures.load_private_key((self.alipay_home / "provider.key").read_text())
        signed = signatures.sign(signatures.notification_text(raw), key)
        body = form_of({**fields, "sign": signed, "sign_type": "RSA2"})
        [answer] = await self.payments.take_callbacks(
            [Callback(self.channel.id, "POST", {}, "", body)]
        )
        return answer.body

    async def rows(self, table):
        """Give the rows of a table of payments."""
        async with self.service._store.reading() as tx:
            return await tx.fetch(f"select * from payments.{table}")


def form_of(fields):
    """Write a form as a provider posts it."""
    return urlencode(fields).encode()


def number_on(action):
    """Give our number of an agreement, as the page's address says it."""
    url = action.text or action.url
    if url.startswith("alipays://"):
        url = parse_qs(urlsplit(url).query)["url"][0]
    content = parse_qs(urlsplit(url).query)["biz_content"][0]
    return decode(content.encode(), dict[str, object])["external_agreement_no"]


@pytest.fixture(params=["local", "remote"])
async def till(request, make_service, alipay, alipay_home, clock):
    """The object itself, then over the wire."""
    service = await make_service(public_url="http://127.0.0.1:1")
    payments = rpc.loopback(Payments, service) if request.param == "remote" else service
    made = Till(service, payments, alipay, clock)
    made.alipay_home = alipay_home
    assert ["created"] == await payments.put_channels([made.channel])
    return made


async def test_where_none_were_granted_none_are_offered(till):
    """Without the scene of a contract there is nothing to agree to, and nothing is paid so."""
    ann = new_id(till.clock.now())
    way, _ = await till.agree(ann)
    bob = new_id(till.clock.now())
    offered = await till.payments.offer_agreements([ann, bob])
    settings = {**till.channel.settings, "agreement_scene": "", "app_private_key": ""}
    await till.payments.put_channels([replace(till.channel, settings=settings)])
    nothing = await till.payments.offer_agreements([ann, bob])
    [refused] = await till.payments.open_agreements([AgreementOpening(bob, "alipay")])
    listed = await till.payments.list_saved([SavedQuery(ann)])
    paid = await till.pay(await till.open(), way, ann)

    assert [[], ["alipay"]] == [[each.method for each in offers] for offers in offered]
    assert [[], []] == nothing
    assert AgreementStatus.NOT_OFFERED is refused.status
    assert [[]] == listed
    assert "saved_not_found" == paid.status


async def test_an_agreement_is_its_buyers_alone(till):
    """Signed by one, it is shown to nobody else, and pays for nobody else."""
    ann, eve = new_id(till.clock.now()), new_id(till.clock.now())
    way, number = await till.agree(ann)
    _, others = await till.page(eve)
    theirs = await till.payments.list_saved([SavedQuery(eve, is_fresh=True)])
    stolen = await till.pay(await till.open(), way, eve)
    dropped = await till.payments.forget_saved([SavedDrop(way.id, eve)])

    assert number != others
    assert ("alipay", ["CNY"]) == (way.method, way.currencies)
    assert "san***@vendrail.test" == way.label
    assert [[]] == theirs
    assert "saved_not_found" == stolen.status
    assert [False] == dropped


@pytest.mark.parametrize(
    "device,kind,begins",
    [
        (Device.DESKTOP, ActionKind.QR, "http"),
        (Device.MOBILE, ActionKind.REDIRECT, "alipays://platformapi/startapp?appId=20000067&url="),
        (Device.ALIPAY, ActionKind.REDIRECT, "http"),
    ],
)
async def test_the_page_opens_in_the_app_from_everywhere(till, device, kind, begins):
    """A code on a desk, a link into the app on a phone, and the page itself inside it."""
    ann = new_id(till.clock.now())
    action, number = await till.page(ann, device, return_url="https://shop.example/account")
    again, same = await till.page(ann, device)

    assert kind is action.kind is again.kind
    assert (action.text or action.url).startswith(begins)
    assert number == same


async def test_b3_an_agreement_charges_once_however_often_it_is_asked(till):
    """Asked twice at once and again after, the provider takes the money once, and it is there."""
    ann = new_id(till.clock.now())
    way, _ = await till.agree(ann)
    attempt = await till.open()
    results = await asyncio.gather(*(till.pay(attempt, way, ann) for _ in range(3)))
    again = await till.pay(attempt, way, ann)
    [captures] = await till.payments.read_captures([attempt.order])

    assert "paid" in {each.status for each in results}
    assert {each.status for each in results} <= {"paid", "pending", "attempt_ended"}
    assert "attempt_ended" == again.status
    assert AttemptState.CAPTURED is await till.state(attempt)
    assert [1_290] == [each.amount_minor for each in captures]
    assert 1_290 == till.charged(attempt)


async def test_a_lost_answer_is_asked_and_never_paid_twice(till):
    """The charge was made and its answer lost: told again or asked, it is one payment."""
    ann = new_id(till.clock.now())
    way, _ = await till.agree(ann)
    attempt, other = await till.open(), await till.open()
    for each in (attempt, other):
        match = {"out_trade_no": number_of(each), "method": "alipay.trade.pay"}
        till.alipay.fault("gateway_down", match=match, params={"is_after": True})
    unknown = await till.pay(attempt, way, ann)
    again = await till.pay(attempt, way, ann)
    await till.pay(other, way, ann)
    asked = await till.payments.query_attempts([other.id])
    captures = await till.payments.read_captures([attempt.order, other.order])

    assert ("pending", "paid") == (unknown.status, again.status)
    assert [AttemptState.CAPTURED] == asked
    assert [[1_290], [1_290]] == [[each.amount_minor for each in found] for found in captures]


@pytest.mark.parametrize(
    "state,code",
    [
        ({"funds_minor": 0}, "ACQ.BUYER_BALANCE_NOT_ENOUGH"),
        ({"single_minor_max": 1}, "ACQ.PRODUCT_AMOUNT_LIMIT_ERROR"),
        ({"is_watched": True}, "ACQ.PAYMENT_REQUEST_HAS_RISK"),
    ],
)
async def test_a_refused_charge_ends_its_attempt_and_leaves_the_agreement(till, state, code):
    """Nothing is taken, the order goes on by its page, and the agreement is still there."""
    ann = new_id(till.clock.now())
    way, number = await till.agree(ann)
    till.act(number, **state)
    attempt = await till.open()
    declined = await till.pay(attempt, way, ann)
    other = await till.open(attempt.order, 2)
    [shown] = await till.payments.present_attempts([PresentRequest(other.id)])
    listed = await till.payments.list_saved([SavedQuery(ann)])

    assert ("declined", code) == (declined.status, declined.problem)
    assert AttemptState.FAILED is await till.state(attempt)
    assert 0 == till.charged(attempt)
    assert ActionKind.REDIRECT is shown.kind
    assert [[way]] == listed


async def test_a_charge_that_is_under_way_is_pending_until_the_provider_says(till):
    """Neither yes nor no is assumed; what it becomes is asked."""
    ann = new_id(till.clock.now())
    way, number = await till.agree(ann)
    till.act(number, is_slow=True)
    attempt = await till.open()
    begun = await till.pay(attempt, way, ann)
    before = await till.payments.query_attempts([attempt.id])
    till.alipay.pay(till.app["app_id"], number_of(attempt))
    after = await till.payments.query_attempts([attempt.id])

    assert "pending" == begun.status
    assert ([AttemptState.OPEN], [AttemptState.CAPTURED]) == (before, after)


@pytest.mark.parametrize("status", ["UNSIGN", "STOP"])
async def test_what_its_buyer_ended_in_the_wallet_is_a_way_no_more(till, status):
    """Unheard of, it is noticed at the first charge; it is gone, and another can be signed."""
    ann = new_id(till.clock.now())
    way, number = await till.agree(ann)
    till.act(number, status=status)
    declined = await till.pay(await till.open(), way, ann)
    listed = await till.payments.list_saved([SavedQuery(ann)])
    await till.service.forget_ways()
    _, another = await till.page(ann)

    assert "declined" == declined.status
    assert [[]] == listed
    assert [] == await till.rows("saved")
    assert number != another


async def test_news_of_an_agreement_has_the_provider_asked(till):
    """Hours after its page was opened a signature is told, and the way is there; so is its end."""
    ann = new_id(till.clock.now())
    action, number = await till.page(ann)
    till.alipay.open(action.text)
    till.clock.advance(7_200)
    await till.service.look_saved()
    till.act(number, status="NORMAL")
    early = await till.payments.list_saved([SavedQuery(ann, is_fresh=True)])
    answer = await till.tell(number)
    await till.service.look_saved()
    [[way]] = await till.payments.list_saved([SavedQuery(ann)])
    till.act(number, status="UNSIGN")
    await till.tell(number, "dut_user_unsign", "UNSIGN")
    till.clock.advance(6)
    await till.service.look_saved()

    assert [[]] == early
    assert b"success" == answer
    assert "san***@vendrail.test" == way.label
    assert [[]] == await till.payments.list_saved([SavedQuery(ann)])
    assert ([], []) == (await till.rows("saved"), await till.rows("customer"))


async def test_news_are_no_proof(till):
    """Told of a signature that is none, nothing is there; of another application, it is refused."""
    ann = new_id(till.clock.now())
    action, number = await till.page(ann)
    till.alipay.open(action.text)
    answer = await till.tell(number)
    other = await till.tell(number, app_id="2021000000000001")
    await till.service.look_saved()

    assert (b"success", b"failure") == (answer, other)
    assert [[]] == await till.payments.list_saved([SavedQuery(ann)])


async def test_what_is_signed_for_nobody_is_ended(till):
    """A buyer who is forgotten signs a page left open: the provider is told to end it."""
    ann = new_id(till.clock.now())
    action, number = await till.page(ann)
    till.alipay.open(action.text)
    await till.payments.forget_customers([ann])
    await till.service.look_saved()
    till.act(number, status="NORMAL")
    await till.tell(number)
    await till.service.forget_ways()

    with pytest.raises(AssertionError, match="is UNSIGN cannot become NORMAL"):
        till.act(number, status="NORMAL")
    assert ([], []) == (await till.rows("saved"), await till.rows("customer"))


async def test_removing_is_at_once_and_told_until_the_provider_has_ended_it(till):
    """It charges nothing though the provider is away, and is unsigned there in the end."""
    ann = new_id(till.clock.now())
    way, number = await till.agree(ann)
    match = {"method": "alipay.user.agreement.unsign"}
    till.alipay.fault("gateway_down", match=match, params={"is_after": True})
    dropped = await till.payments.forget_saved([SavedDrop(way.id, ann)])
    refused = await till.pay(await till.open(), way, ann)
    _, another = await till.page(ann)
    await till.service.forget_ways()
    left = await till.rows("saved")
    till.clock.advance(31)
    await till.service.forget_ways()

    assert [True] == dropped
    assert "saved_not_found" == refused.status
    assert number != another
    assert (1, 0) == (len(left), len(await till.rows("saved")))
    with pytest.raises(AssertionError, match="is UNSIGN"):
        till.act(number, status="NORMAL")


async def test_a_new_page_has_no_removed_agreement_forgotten(till):
    """Removed and not ended yet, it is ended in the end, whatever was looked at in between."""
    ann = new_id(till.clock.now())
    way, number = await till.agree(ann)
    await till.payments.forget_saved([SavedDrop(way.id, ann)])
    _, another = await till.page(ann)
    till.clock.advance(6)
    listed = await till.payments.list_saved([SavedQuery(ann, is_fresh=True)])
    left = await till.rows("saved")
    await till.service.forget_ways()

    assert number != another
    assert ([[]], [number]) == (listed, [row["customer"] for row in left])
    with pytest.raises(AssertionError, match="is UNSIGN"):
        till.act(number, status="NORMAL")


async def test_the_page_names_the_account_it_is_for(till):
    """Whoever opens it, or is sent it, reads whose account their wallet would pay for."""
    ann = new_id(till.clock.now())
    action, _ = await till.page(ann, shown_name="an***@shop.example")
    till.alipay.open(action.text)
    page = till.alipay._client.get(action.text, follow_redirects=True).text

    assert "an***@shop.example" in page


@pytest.mark.parametrize("is_told", [True, False])
async def test_what_is_signed_long_after_its_page_was_opened_is_ended(till, is_told):
    """Told of or looked for, it is no way to pay, and the provider is told to end it."""
    ann = new_id(till.clock.now())
    till.clock.advance(-1_200)  # The provider's clock stays: it signs 20 minutes later.
    action, number = await till.page(ann)
    till.alipay.open(action.text)
    till.clock.advance(1_200)
    till.act(number, status="NORMAL")
    if is_told:
        await till.tell(number)
        await till.service.look_saved()
    listed = await till.payments.list_saved([SavedQuery(ann, is_fresh=True)])
    _, another = await till.page(ann)
    await till.service.forget_ways()

    assert [[]] == listed
    assert number != another
    assert [] == await till.rows("saved")
    with pytest.raises(AssertionError, match="is UNSIGN"):
        till.act(number, status="NORMAL")


@pytest.mark.parametrize("is_early", [True, False])
async def test_a_stale_number_is_given_up_for_a_new_one(till, is_early):
    """A page opened again later has a new number; the old one is ended, signed before or after."""
    ann = new_id(till.clock.now())
    action, number = await till.page(ann)
    till.alipay.open(action.text)
    till.clock.advance(6)
    await till.payments.list_saved([SavedQuery(ann, is_fresh=True)])
    till.clock.advance(599)
    await till.payments.list_saved([SavedQuery(ann, is_fresh=True)])
    if is_early:  # Just after the provider was asked.
        till.act(number, status="NORMAL")
    opened, another = await till.page(ann)
    await till.service.forget_ways()
    if not is_early:
        till.act(number, status="NORMAL")
        await till.tell(number)
        await till.service.forget_ways()
    with pytest.raises(AssertionError, match="is UNSIGN"):
        till.act(number, status="NORMAL")
    till.alipay.open(opened.text)
    till.act(another, status="NORMAL")
    till.clock.advance(6)
    [[way]] = await till.payments.list_saved([SavedQuery(ann, is_fresh=True)])

    assert number != another
    assert [another] == [row["customer"] for row in await till.rows("saved")]
    assert "paid" == (await till.pay(await till.open(), way, ann)).status


async def test_who_has_agreed_is_not_asked_again(till):
    """Opened again, the page says that the way is there."""
    ann = new_id(till.clock.now())
    await till.agree(ann)
    [again] = await till.payments.open_agreements([AgreementOpening(ann, "alipay")])

    assert AgreementStatus.SAVED is again.status
