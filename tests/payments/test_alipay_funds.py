"""Alipay beside payments: a day's bill is fetched as it is, and a payout moves money once."""

import io
import zipfile
from datetime import UTC, date, datetime, timedelta

import pytest
from tests.payments.conftest import channel_of

from vendrail.kernel.codec import replace
from vendrail.kernel.ids import new_id
from vendrail.payments.channels.alipay_messages import SHANGHAI
from vendrail.payments.channels.base import (
    Account,
    Payee,
    PayoutAsk,
    PayoutChannel,
    PayoutOutcome,
    check_settings,
    registry,
)
from vendrail.payments.channels.line import Switchboard
from vendrail.payments.channels.statements import StatementChannel, StatementKind, StatementOutcome
from vendrail.payments.settings import PaymentsSettings

CHANNEL = registry()["alipay"]
QUERY = "alipay.fund.trans.common.query"


@pytest.fixture
async def switchboard(clock):
    """The way out to providers."""
    made = Switchboard(clock, PaymentsSettings(), lambda: None)
    yield made
    await made.close()


@pytest.fixture
def open_account(switchboard, alipay):
    """Open an account for a sandbox application."""

    def open_one(app) -> Account:
        channel = channel_of(app, alipay.url)
        settings = check_settings(CHANNEL, channel.settings)
        return Account(channel.id, channel.name, settings, switchboard.line(channel.id))

    return open_one


def payout(**changes) -> PayoutAsk:
    """Make a payout of five yuan, or as told."""
    payee = changes.pop("payee", Payee("user_id", "2088000000000001"))
    number = f"P{new_id(datetime.now(UTC)).hex}"
    return replace(PayoutAsk(number, payee, 500, "CNY", "结算 11月"), **changes)


def test_alipay_writes_statements_and_pays_out():
    """What a channel can do beside taking payments is seen from what it implements."""
    assert isinstance(CHANNEL, StatementChannel)
    assert isinstance(CHANNEL, PayoutChannel)
    assert not isinstance(registry()["epay"], StatementChannel)
    assert not isinstance(registry()["epay"], PayoutChannel)


async def test_a_bill_is_fetched_as_the_provider_wrote_it(open_account, alipay, clock):
    """The file of a day holds the day's trades, and has a name and a type."""
    app = alipay.register()
    alipay.sign(app[0]["app_id"], {"out_trade_no": "BILL1", "total_amount": "10.00"})
    today = clock.now().astimezone(SHANGHAI).date()

    told = await CHANNEL.download_statement(
        StatementKind.TRADE, today, open_account(app), clock.now()
    )
    archive = zipfile.ZipFile(io.BytesIO(told.file), metadata_encoding="gbk")
    text = "".join(archive.read(name).decode("gb18030") for name in archive.namelist())
    archive.close()

    assert StatementOutcome.READY is told.outcome
    assert (f"alipay-trade-{today}.zip", "application/zip") == (told.name, told.media_type)
    assert "BILL1\t" in text


async def test_funds_tell_of_payouts(open_account, alipay, clock):
    """The statement of funds holds what a trade bill does not: money that was paid out."""
    app = alipay.register("cert")
    account, ask = open_account(app), payout()
    await CHANNEL.pay_out(ask, account, clock.now())
    today = clock.now().astimezone(SHANGHAI).date()

    told = await CHANNEL.download_statement(StatementKind.FUNDS, today, account, clock.now())
    archive = zipfile.ZipFile(io.BytesIO(told.file), metadata_encoding="gbk")
    text = archive.read(archive.namelist()[0]).decode("gb18030")
    archive.close()
    assert (StatementOutcome.READY, f"alipay-funds-{today}.zip") == (told.outcome, told.name)
    assert f"{ask.payout_number}\t" in text
    assert "-5.00" in text


@pytest.mark.parametrize(
    "days,outcome",
    [
        (400, StatementOutcome.NONE),
        (0, StatementOutcome.NOT_READY),
        (-1, StatementOutcome.NOT_READY),
    ],
)
async def test_a_day_without_a_bill_is_empty_or_too_early(
    open_account, alipay, clock, days, outcome
):
    """An old day without a bill was empty; a young one may still be written up."""
    day = clock.now().astimezone(SHANGHAI).date() - timedelta(days=days)

    told = await CHANNEL.download_statement(
        StatementKind.TRADE, day, open_account(alipay.register()), clock.now()
    )
    assert (outcome, b"") == (told.outcome, told.file)


@pytest.mark.parametrize("kind", ["gateway_down", "bad_reply_signature", "query_unknown"])
async def test_a_bill_that_cannot_be_had_is_unknown(open_account, alipay, clock, kind):
    """A provider that is away, or whose reply proves nothing, has not said that a day was empty."""
    alipay.fault(kind, match={"method": "alipay.data.dataservice.bill.downloadurl.query"})

    told = await CHANNEL.download_statement(
        StatementKind.TRADE, date(2026, 1, 1), open_account(alipay.register()), clock.now()
    )
    assert StatementOutcome.UNKNOWN is told.outcome


async def test_a_payout_moves_money_once(open_account, cert_app, clock):
    """The same number, told again, is the same payout; a query finds it, and no other."""
    account, ask = open_account(cert_app), payout()

    before = await CHANNEL.query_payout(ask, account, clock.now())
    made = await CHANNEL.pay_out(ask, account, clock.now())
    again = await CHANNEL.pay_out(ask, account, clock.now())
    found = await CHANNEL.query_payout(ask, account, clock.now())
    other = await CHANNEL.query_payout(replace(ask, amount_minor=501), account, clock.now())

    assert [
        PayoutOutcome.NOT_FOUND,
        PayoutOutcome.SUCCEEDED,
        PayoutOutcome.SUCCEEDED,
        PayoutOutcome.SUCCEEDED,
        PayoutOutcome.UNKNOWN,
    ] == [each.outcome for each in (before, made, again, found, other)]
    assert made.provider_number == again.provider_number == found.provider_number != ""


@pytest.mark.parametrize(
    "changes,problem",
    [
        ({"payee": Payee("user_id", "1")}, "PAYEE_NOT_EXIST"),
        ({"payee": Payee("logon_id", "mei@shop.test")}, "INVALID_PARAMETER"),
        ({"amount_minor": 1}, "INVALID_PARAMETER"),
        ({"amount_minor": 9_900_000_000}, "PAYER_BALANCE_NOT_ENOUGH"),
    ],
)
async def test_a_payout_that_is_refused_moves_nothing(
    open_account, cert_app, clock, changes, problem
):
    """A clear no is a failure with the provider's own code, and the query knows of nothing."""
    account, ask = open_account(cert_app), payout(**changes)

    told = await CHANNEL.pay_out(ask, account, clock.now())
    found = await CHANNEL.query_payout(ask, account, clock.now())
    again = await CHANNEL.pay_out(replace(ask, tries=1), account, clock.now())
    assert (PayoutOutcome.FAILED, problem) == (told.outcome, told.problem)
    assert PayoutOutcome.NOT_FOUND is found.outcome
    assert (PayoutOutcome.UNKNOWN, problem) == (again.outcome, again.problem)


async def test_a_number_that_paid_somebody_else_says_nothing(open_account, cert_app, clock):
    """A number told for another sum is neither made nor failed: the first payout stands."""
    account, ask = open_account(cert_app), payout()
    await CHANNEL.pay_out(ask, account, clock.now())

    told = await CHANNEL.pay_out(replace(ask, amount_minor=600), account, clock.now())
    assert (PayoutOutcome.UNKNOWN, "BIZ_UNIQUE_EXCEPTION") == (told.outcome, told.problem)


async def test_payouts_need_certificates(open_account, key_app, clock):
    """In key mode Alipay pays nobody, so nothing is sent."""
    told = await CHANNEL.pay_out(payout(), open_account(key_app), clock.now())

    assert PayoutOutcome.FAILED is told.outcome


async def test_an_unclear_answer_to_a_payout_stays_unknown(open_account, cert_app, alipay, clock):
    """The money moved and the answer was lost: unknown, until the query tells."""
    account, ask = open_account(cert_app), payout()
    method = "alipay.fund.trans.uni.transfer"
    alipay.fault("gateway_down", match={"method": method}, params={"is_after": True})

    lost = await CHANNEL.pay_out(ask, account, clock.now())
    found = await CHANNEL.query_payout(ask, account, clock.now())
    assert [PayoutOutcome.UNKNOWN, PayoutOutcome.SUCCEEDED] == [lost.outcome, found.outcome]


@pytest.mark.parametrize(
    "status,outcome",
    [
        ("DEALING", PayoutOutcome.PENDING),
        ("FAIL", PayoutOutcome.FAILED),
        ("REFUND", PayoutOutcome.RETURNED),
        ("WHATEVER", PayoutOutcome.UNKNOWN),
    ],
)
async def test_a_payout_stands_where_the_provider_says(
    open_account, cert_app, alipay, clock, status, outcome
):
    """Under way, refused after all, or paid and come back: each is what it is."""
    account, ask = open_account(cert_app), payout()
    await CHANNEL.pay_out(ask, account, clock.now())
    params = {"field": "status", "value": status}
    alipay.fault("query_disagrees", match={"method": QUERY}, params=params)

    assert outcome is (await CHANNEL.query_payout(ask, account, clock.now())).outcome
