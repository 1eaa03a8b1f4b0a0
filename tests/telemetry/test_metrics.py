"""Metrics: what the table offers is really fed, by the amounts that things really have."""

import asyncio
import re

from tests.telemetry.conftest import PRICE_MINOR

from vendrail.api.risk import ListEntry, ListKind, Risk
from vendrail.api.support import (
    ComplaintKind,
    OpenComplaint,
    Party,
    Side,
    Support,
    WriteMessage,
)
from vendrail.kernel.ids import new_id, shard_in
from vendrail.kernel.telemetry import METRICS

UNMATCHED_MINOR = 700


async def tell_everything(market):
    """Let all happen that metrics tell of; give them as they are scraped then."""
    sale = await market.place()
    await market.pay(sale)
    await market.wait(sale, "delivered")
    await complain(market, sale)
    await market.refund(sale)
    await market.call_back(await market.alipay.sign("NOBODYSORDER01", UNMATCHED_MINOR))
    await market.call_back(b"sign=forged")
    entry = ListEntry("contact:watched@example.com", ListKind.REVIEWED)
    await market.house.api(Risk).put_list_entries([entry])
    await asyncio.sleep(1.1)  # Lists are read anew within a second.
    watched = await market.place("watched@example.com")
    await market.pay(watched)
    for _ in range(200):
        text = await market.scrape()
        is_there = 'vendrail_sagas{kind="purchase",state="waiting"} 1.0' in text
        if is_there and 'account="suspense:unmatched",currency="CNY"} 700.0' in text:
            break
        await asyncio.sleep(0.025)
    return text


async def complain(market, sale):
    """Let the buyer claim a key, which its warranty replaces at once, and write."""
    support, buyer = market.house.api(Support), Party(Side.BUYER, sale.secret)
    now = market.house.clock.now()
    ids = [new_id(now, shard_in(sale.id)) for _ in range(2)]
    opened = OpenComplaint(ids[0], sale.id, sale.secret, ComplaintKind.DEAD_KEY, "It is dead.")
    assert ["opened"] == await support.open_complaints([opened])
    written = WriteMessage(ids[1], sale.id, buyer, "Now it works.")
    assert ["written"] == await support.write_messages([written])


def read_samples(text):
    """Give the value of each sample, by its name and labels as they are written."""
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {sample: float(value) for sample, _, value in lines}


async def test_sales_and_refunds_feed_every_metric(open_market):
    """After a sale, a refund, a review and money that fits nothing, no metric is empty."""
    samples = read_samples(await tell_everything(await open_market()))
    names = {re.sub(r"(_count)?(\{.*)?$", "", sample) for sample in samples}

    assert [] == [metric.name for metric in METRICS if metric.name not in names]


async def test_metrics_tell_what_happened(open_market):
    """Orders, payments, money, callbacks, ends of sagas and clearing are told in their numbers."""
    samples = read_samples(await tell_everything(await open_market()))
    expected = {
        'vendrail_orders_total{outcome="placed"}': 2,
        'vendrail_payments_total{channel="alipay",method="alipay",outcome="captured"}': 2,
        'vendrail_payments_total{channel="alipay",method="alipay",outcome="refunded"}': 1,
        'vendrail_payments_total{channel="alipay",method="alipay",outcome="unmatched"}': 1,
        'vendrail_payments_minor_total{channel="alipay",currency="CNY"}': (
            2 * PRICE_MINOR + UNMATCHED_MINOR
        ),
        'vendrail_callbacks_total{channel="alipay",outcome="captured"}': 3,
        "vendrail_delivery_seconds_count": 1,
        'vendrail_saga_ends_total{kind="purchase",outcome="delivered"}': 1,
        'vendrail_saga_ends_total{kind="refund",outcome="paid"}': 1,
        'vendrail_saga_ends_total{kind="suspense",outcome="booked"}': 1,
        'vendrail_sagas{kind="purchase",state="waiting"}': 1,
        'vendrail_clearing_balance_minor{account="refund:clearing",currency="CNY"}': 0,
        'vendrail_clearing_age_seconds{account="refund:clearing",currency="CNY"}': 0,
        'vendrail_provider_call_seconds_count{channel="alipay",operation="refund",'
        'outcome="succeeded"}': 1,
        'vendrail_http_request_seconds_count{method="POST",route="/api/v1/orders",status="2xx"}': 2,
        'vendrail_shed_total{operation="gateway.place_orders"}': 0,
    }
    told = {sample: samples.get(sample) for sample in expected}
    refused = [s for s in samples if s.startswith("vendrail_callbacks_total") and "sign" in s]

    assert expected == told
    assert 1 == len(refused)
    assert samples["vendrail_delivery_seconds_sum"] < 5
    assert all(
        0 <= samples[f'vendrail_event_lag_seconds{{consumer="{consumer}"}}'] < 5
        for consumer in ("orders.captures", "orders.deliveries")
    )
