"""Telemetry: logs that hold no secret, metrics of one table, traces that cross batches."""

import asyncio
import contextlib
import io
import json
import logging

import httpx
import pytest
import structlog
from granian.log import LogLevels, configure_logging
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from vendrail.kernel import telemetry
from vendrail.kernel.batcher import Batcher
from vendrail.kernel.cards import is_luhn
from vendrail.kernel.errors import Broken
from vendrail.kernel.http import new_application
from vendrail.kernel.telemetry import METRICS, Metrics, init_logs, mask, mask_text
from vendrail.kernel.telemetry.probes import probes


@pytest.fixture
def lines():
    """Log lines as JSON, and everything as it was afterwards."""
    root = logging.getLogger()
    before, level = root.handlers, root.level
    stream = io.StringIO()
    init_logs("info", is_json=True, stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    structlog.reset_defaults()
    root.handlers, root.level = before, level


@pytest.fixture
def spans():
    """Keep all traces, and give the spans that have ended."""
    exporter = InMemorySpanExporter()
    telemetry.init_tracing("test", ratio=1.0, processor=SimpleSpanProcessor(exporter))
    yield exporter.get_finished_spans
    telemetry.stop_tracing()


def _luhn(digits):
    check = next(last for last in range(10) if is_luhn(f"{digits}{last}"))
    return digits + str(check)


cards = st.from_regex(r"[2-6][0-9]{14}", fullmatch=True).map(_luhn)


def test_the_http_servers_own_lines_are_ours(lines, capsys):
    """What the HTTP server logs is masked, goes where our log goes, and never to standard output.

    A parent that reads but the first line there would let the pipe fill, and the server stand.
    """
    server = logging.getLogger("_granian")
    before, level, propagate = server.handlers, server.level, server.propagate
    try:
        configure_logging(LogLevels.error, telemetry.SERVER_LOGS)
        server.error("A callable failed with 4111111111111111.")
    finally:
        server.handlers, server.level, server.propagate = before, level, propagate
    [line] = lines()

    assert ("_granian", "error") == (line["logger"], line["level"])
    assert "4111111111111111" not in line["event"]
    assert "" == capsys.readouterr().out


@given(cards, st.sampled_from(["", " ", "-"]))
def test_no_card_number_is_logged(number, gap):
    """A card number, grouped or not, in a text or as a number, is masked (B4)."""
    grouped = gap.join(number[place : place + 4] for place in range(0, 16, 4))

    assert number not in mask_text(f"paid with {grouped}.").replace(gap or "\0", "")
    assert number not in str(mask({"note": [grouped], "amount": int(number)}))


@pytest.mark.parametrize(
    "text",
    [
        "2026112322001476461234567890",  # A provider's trade number.
        "1795408576123",  # A time in milliseconds.
        "4111111111111112",  # Fails the check digit.
        "0KQ3E9H2M8W7A6B5C4D3E2F1G0",  # A serial number.
        "550e8400-e29b-41d4-a716-446655440000",
        "amount_minor=1299 currency=CNY",
    ],
)
def test_what_is_no_card_number_stays(text):
    """Numbers that matter for finding an order are not masked."""
    assert text == mask_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer hunter2hunter2",
        "authorization=Basic aHVudGVyMg==hunter2",
        "postgresql://vendrail:hunter2@db/x",
        "GET /orders/1?secret=hunter2&x=1",
        '{"password": "hunter2"}',
        "app_key=hunter2",
        "sign=hunter2&sign_type=RSA2",
        "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_no_secret_in_a_text_is_logged(text):
    """Bearer tokens, passwords in addresses, secret parameters and private keys are masked."""
    assert "hunter2" not in mask_text(text)


@pytest.mark.parametrize(
    "name",
    [
        "password", "order_secret", "api_key", "apiKey", "key", "keys", "token", "access_token",
        "Authorization", "cookie", "signature", "private", "dsn", "otp", "cvv", "plaintext",
    ],
)  # fmt: skip
def test_nothing_under_a_secrets_name_is_logged(lines, name):
    """What is logged under a secret's name is masked, however deep it lies."""
    structlog.get_logger().info("x", **{name: "hunter2", "deep": [{name: {"a": "hunter2"}}]})

    assert "hunter2" not in json.dumps(lines())


def test_harmless_fields_stay_readable(lines):
    """Names, amounts, counts and times are logged as they are."""
    structlog.get_logger().info("sold", amount_minor=1299, keys_count=3, sku="GAME-1", took_s=0.25)
    (line,) = lines()

    assert (1299, 3, "GAME-1", 0.25) == (
        line["amount_minor"],
        line["keys_count"],
        line["sku"],
        line["took_s"],
    )
    assert ("sold", "info") == (line["event"], line["level"])


def test_tracebacks_hold_no_values(lines):
    """A traceback shows where, without local variables, and its message is masked."""

    def work():
        mail_code = "hunter3" * 2
        raise ValueError(f"password=hunter2 {len(mail_code)}")

    try:
        work()
    except ValueError:
        structlog.get_logger().exception("failed")
    (line,) = lines()

    assert "ValueError" in line["exception"]
    assert "hunter2" not in line["exception"]
    assert "hunter3hunter3" not in line["exception"]


def test_libraries_logs_are_masked_too(lines):
    """What libraries log by the standard way goes through the same masks."""
    logging.getLogger("some.library").warning("token=%s", "hunter2")
    logging.getLogger("httpx").info("GET https://x/?secret=hunter2")
    (line,) = lines()

    assert ("some.library", "warning") == (line["logger"], line["level"])
    assert "hunter2" not in json.dumps(line)


def test_a_log_line_names_its_request_and_trace(lines):
    """Lines of a request carry its id and its trace's id."""
    mark = telemetry.request_id.set("req-1")
    with telemetry.start_trace("request") as trace_id:
        structlog.get_logger().info("inside")
    telemetry.request_id.reset(mark)
    structlog.get_logger().info("outside")
    inside, outside = lines()

    assert ("req-1", trace_id) == (inside["request_id"], inside["trace_id"])
    assert not {"request_id", "trace_id"} & set(outside)


@given(st.recursive(st.text() | st.binary() | st.integers() | st.floats(), st.lists, max_leaves=9))
def test_any_value_can_be_masked(value):
    """No value makes the masks fail."""
    mask({"x": value})


def test_every_metric_is_in_the_table_once():
    """Names are unique, begin alike, say their unit last, and have a help."""
    names = [metric.name for metric in METRICS]

    assert len(names) == len(set(names))
    for metric in METRICS:
        assert metric.name.startswith("vendrail_")
        assert metric.help.endswith(".")
        assert (metric.kind == "counter") == metric.name.endswith("_total")
        assert bool(metric.buckets) == (metric.kind == "histogram")


async def test_metrics_count_observe_and_render():
    """Counters add, gauges are set, histograms hold values; all come out in Prometheus' form."""
    metrics = Metrics()
    metrics.count("vendrail_payments_total", "alipay", "main", "captured", by=2)
    metrics.count("vendrail_payments_total", "alipay", "main", "captured")
    metrics.put("vendrail_queue_depth", 7, "place")
    metrics.observe_batch("place", 512)
    text = (await metrics.render()).decode()

    assert 3 == metrics.value("vendrail_payments_total", "alipay", "main", "captured")
    assert 1 == metrics.value("vendrail_batch_size", "place")
    assert 'vendrail_queue_depth{operation="place"} 7.0' in text
    assert 'vendrail_batch_size_bucket{le="512.0",operation="place"} 1.0' in text
    assert "process_resident_memory_bytes" in text
    with pytest.raises(Broken, match="no_such"):
        metrics.count("no_such")


async def test_what_changes_by_itself_is_asked_at_scrape(lines):
    """Pools and queues are asked when scraped; one that fails hides no other."""
    metrics = Metrics()

    def fail():
        raise ZeroDivisionError

    async def ask():
        metrics.clear("vendrail_sagas")
        metrics.put("vendrail_sagas", 3, "purchase", "waiting")

    metrics.put("vendrail_sagas", 9, "purchase", "gone")
    metrics.ask_at_scrape(fail)
    metrics.ask_at_scrape(ask)
    text = (await metrics.render()).decode()

    assert 'vendrail_sagas{kind="purchase",state="waiting"} 3.0' in text
    assert "gone" not in text


@pytest.mark.parametrize(
    "peer, headers, status",
    [
        ("127.0.0.1", {}, 200),
        ("10.1.2.3", {}, 200),
        ("8.8.8.8", {}, 404),
        ("127.0.0.1", {"x-forwarded-for": "8.8.8.8"}, 404),
        ("8.8.8.8", {"authorization": "Bearer right-token"}, 200),
        ("8.8.8.8", {"authorization": "Bearer wrong"}, 404),
    ],
)
async def test_metrics_are_not_for_everyone(peer, headers, status):
    """Metrics answer private addresses that came directly, and holders of the token."""
    app = new_application(probes(Metrics().render, {}, token="right-token"))
    transport = httpx.ASGITransport(app, client=(peer, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
        answer = await http.get("/metrics", headers=headers)

    assert status == answer.status_code
    assert (status == 200) == ("vendrail_" in answer.text)


async def test_readiness_says_which_check_fails(lines):
    """Alive is one thing; ready only when every check says so, and one that hangs does not."""

    async def good():
        return True

    async def bad():
        raise ZeroDivisionError

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(new_application(probes(Metrics().render, {"db": good}))),
        base_url="http://x",
    ) as http:
        alive, ready = await http.get("/healthz"), await http.get("/readyz")
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(
            new_application(probes(Metrics().render, {"db": good, "mq": bad}))
        ),
        base_url="http://x",
    ) as http:
        unready = await http.get("/readyz")

    assert (200, 200, 503) == (alive.status_code, ready.status_code, unready.status_code)
    assert {"db": True, "mq": False} == unready.json()["checks"]


def test_without_a_collector_nothing_is_kept():
    """Trace ids are there, spans are not: the same empty object each time."""
    with telemetry.start_trace("request") as trace_id:
        first, second = telemetry.span("a"), telemetry.span("b")
        with first as inside:
            pass
        current = telemetry.current_trace_id()

    assert 32 == len(trace_id)
    assert trace_id == inside == current
    assert first is second
    assert "" == telemetry.current_trace_id() == telemetry.sampled_trace_id()
    assert not telemetry.is_sampled(trace_id)


def test_spans_lie_in_their_trace(spans):
    """A trace's root and its spans share the id; the root's own id is told by the trace's."""
    with telemetry.start_trace("request") as trace_id, telemetry.span("work", size=3):
        pass
    work, root = spans()

    assert {int(trace_id, 16)} == {root.context.trace_id, work.context.trace_id}
    assert int(trace_id[:16], 16) == root.context.span_id == work.parent.span_id
    assert root.parent is None
    assert {"size": 3} == dict(work.attributes)


def test_a_failed_span_tells_the_kind_not_the_text(spans):
    """A span whose block failed names the error's class; its text may hold what must not leave."""
    with pytest.raises(ValueError, match="hunter2"), telemetry.start_trace("request"):
        raise ValueError("hunter2")
    (root,) = spans()

    assert "ValueError" == root.status.description
    assert "hunter2" not in root.to_json()


def test_a_batch_is_told_in_each_of_its_traces(spans):
    """A batch has a span under each trace's root, linked together, found by the id alone."""
    ids = [telemetry.new_trace_id() for _ in range(3)]
    with telemetry.span_batch("orders.deliver", [*ids, ids[0], ""], 5), telemetry.span("book"):
        pass
    batch = [span for span in spans() if span.name == "orders.deliver"]
    (book,) = [span for span in spans() if span.name == "book"]

    assert {int(id, 16) for id in ids} == {span.context.trace_id for span in batch}
    assert {int(id[:16], 16) for id in ids} == {span.parent.span_id for span in batch}
    assert int(ids[0], 16) == book.context.trace_id
    assert [1, 1, 2] == sorted(len(span.links) for span in batch)


async def test_a_batcher_tells_its_callers_traces(spans):
    """A batch that several requests share shows in the trace of each; no caller is its parent."""
    seen = []

    async def work(items):
        seen.append(telemetry.current_trace_id())
        return items

    batcher = Batcher(work, name="place")

    async def request():
        with telemetry.start_trace("request") as trace_id:
            await batcher.submit(1)
        return trace_id

    ids = await asyncio.gather(request(), request())
    batch = [span for span in spans() if span.name == "place"]

    assert {int(id, 16) for id in ids} == {span.context.trace_id for span in batch}
    assert [ids[0]] == seen


def test_a_part_of_the_traces_is_kept_and_known_by_its_id():
    """With a ratio of 5 % about one in twenty is kept, and everybody agrees which."""
    exporter = InMemorySpanExporter()
    telemetry.init_tracing("test", ratio=0.05, processor=SimpleSpanProcessor(exporter))
    try:
        ids = [telemetry.new_trace_id() for _ in range(20_000)]
        kept = [id for id in ids if telemetry.is_sampled(id)]
        for id in ids[:2_000]:
            with telemetry.start_trace("request", id):
                pass
    finally:
        telemetry.stop_tracing()
    recorded = {f"{span.context.trace_id:032x}" for span in exporter.get_finished_spans()}

    assert 800 < len(kept) < 1_200
    assert set(kept) & set(ids[:2_000]) == recorded


@given(st.text(max_size=80) | st.just("00-" + "0" * 32 + "-" + "0" * 16 + "-01"))
def test_any_traceparent_is_read_without_failing(header):
    """A header that is no traceparent begins nothing."""
    with telemetry.remote_span("x", header):
        pass

    assert "" == telemetry.current_trace_id()


@pytest.mark.usefixtures("lines")  # Which puts everything back.
def test_logs_go_to_standard_error_as_it_is_now():
    """A standard error that was replaced and closed after the set-up takes no log line down."""
    first, second = io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(first):
        init_logs("info")
    first.close()
    with contextlib.redirect_stderr(second):
        structlog.get_logger().warning("still.told")

    assert "still.told" in second.getvalue()
