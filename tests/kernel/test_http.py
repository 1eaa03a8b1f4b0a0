"""The edge of HTTP: problems, safe headers, honest addresses, bounded bodies, forms of our own."""

import asyncio
import json
from collections.abc import AsyncGenerator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Request, Response, get, post
from litestar.exceptions import HTTPException
from litestar.params import JSONBody
from litestar.response import Stream
from structlog.testing import capture_logs

from vendrail.kernel.errors import Broken, Malformed, Overloaded, Unavailable
from vendrail.kernel.http import Csrf, Edge, Proxies, limit_key, new_application, too_many
from vendrail.kernel.telemetry import Metrics, current_trace_id, request_id

ERRORS = {
    "malformed": Malformed("Write it so."),
    "unavailable": Unavailable("postgres at 10.0.0.7 is down", 2.2),
    "overloaded": Overloaded("Too much.", 0.1),
    "broken": Broken("hunter2"),
    "bug": ZeroDivisionError("hunter2"),
}


@get("/fail/{kind:str}")
async def fail(request: Request) -> None:
    raise ERRORS[request.path_params["kind"]]


@get("/page")
async def page() -> Response[str]:
    return Response("<p>Hello</p>", media_type="text/html")


@get("/own")
async def own() -> Response[str]:
    policy = {"content-security-policy": "default-src 'none'", "referrer-policy": "no-referrer"}
    return Response("<p>Hello</p>", media_type="text/html", headers=policy)


@get("/me")
async def me(request: Request) -> dict[str, str]:
    return {
        "client": request.client.host if request.client else "",
        "request": request_id.get(),
        "trace": current_trace_id(),
    }


@post("/numbers")
async def numbers(data: JSONBody[dict[str, int]]) -> dict[str, int]:
    return data


@post("/rpc/size")
async def size(request: Request) -> dict[str, int]:
    return {"size": len(await request.body())}


@get("/limited")
async def limited() -> Response[bytes]:
    return too_many(3.1)


@get("/endless")
async def endless() -> Stream:
    async def signs() -> AsyncGenerator[bytes, None]:
        while True:
            yield b": still here\n\n"
            await asyncio.sleep(0.01)

    return Stream(signs(), media_type="text/event-stream")


HANDLERS = (fail, page, own, me, numbers, size, limited, endless)


def client(peer="192.0.2.9", **options):
    app = new_application(HANDLERS, body_bytes_max=10_000)
    edge = Edge(app, body_bytes_max=5_000, body_bytes_max_below={"/rpc/": 8_000}, **options)
    transport = httpx.ASGITransport(edge, client=(peer, 1234))
    return httpx.AsyncClient(transport=transport, base_url="http://shop.example")


async def test_who_hangs_up_early_is_no_failure_of_ours():
    """A request that ends before it is whole is answered 400, and no error is logged."""
    events = iter(
        [
            {"type": "http.request", "body": b"half", "more_body": True},
            {"type": "http.disconnect"},
        ]
    )
    sent = []

    async def receive():
        return next(events)

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/rpc/size",
        "raw_path": b"/rpc/size",
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "headers": [],
        "client": ("192.0.2.9", 1234),
        "server": ("shop.example", 80),
    }
    with capture_logs() as logged:
        await new_application(HANDLERS)(scope, receive, send)

    assert 400 == sent[0]["status"]
    assert [] == [line for line in logged if line["log_level"] == "error"]


@pytest.mark.parametrize(
    "path, status, code, retry_after",
    [
        ("/fail/malformed", 400, "malformed", None),
        ("/fail/unavailable", 503, "unavailable", "3"),
        ("/fail/overloaded", 503, "overloaded", "1"),
        ("/fail/broken", 500, "broken", None),
        ("/fail/bug", 500, "broken", None),
        ("/nowhere", 404, "not_found", None),
        ("/numbers", 405, "method_not_allowed", None),
        ("/limited", 429, "rate_limited", "4"),
    ],
)
async def test_every_error_is_a_problem(path, status, code, retry_after):
    """Whatever goes wrong, the answer is a problem with its code, and never a traceback."""
    async with client() as http:
        answer = await http.get(path)
    problem = answer.json()

    assert status == answer.status_code == problem["status"]
    assert code == problem["code"]
    assert f"urn:vendrail:problem:{code}" == problem["type"]
    assert "application/problem+json" == answer.headers["content-type"]
    assert retry_after == answer.headers.get("retry-after")
    assert problem["instance"].endswith(answer.headers["x-request-id"])
    for inner in ("Traceback", "hunter2", "10.0.0.7", ".py"):
        assert inner not in answer.text


async def test_a_body_that_does_not_fit_names_its_fields():
    """A wrong body is answered with 400 and, where it is a field, with its name."""
    async with client() as http:
        wrong = await http.post("/numbers", json={"a": "x"})
        broken = await http.post("/numbers", content=b"{", headers={"content-type": "text/json"})

    assert 400 == wrong.status_code
    assert "malformed" == wrong.json()["code"]
    assert "Expected `int`" in wrong.json()["errors"][0]["detail"]
    assert 400 == broken.status_code


async def test_an_error_outside_the_application_is_a_problem_too():
    """Even an application that fails as a whole gives a problem, not a traceback."""

    async def failing(scope, receive, send):
        raise ZeroDivisionError("hunter2")

    transport = httpx.ASGITransport(Edge(failing))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
        answer = await http.get("/")

    assert 500 == answer.status_code
    assert "broken" == answer.json()["code"]
    assert "hunter2" not in answer.text


async def test_pages_have_safe_headers():
    """Pages allow no inline script, no framing, no sniffing, no foreign sources."""
    async with client(form_action=["https://openapi.alipay.com"]) as http:
        headers = (await http.get("/page")).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))

    assert "'self'" == policy["script-src"] == policy["default-src"] == policy["style-src"]
    assert "'none'" == policy["frame-ancestors"] == policy["object-src"] == policy["base-uri"]
    assert "'self' https://openapi.alipay.com" == policy["form-action"]
    assert "unsafe" not in headers["content-security-policy"]
    assert "nosniff" == headers["x-content-type-options"]
    assert "same-origin" == headers["referrer-policy"]
    assert "camera=()" in headers["permissions-policy"]


async def test_data_and_errors_have_safe_headers():
    """What is no page is not sniffed, framed or run."""
    async with client() as http:
        for path in ("/me", "/nowhere", "/fail/bug"):
            headers = (await http.get(path)).headers
            assert "nosniff" == headers["x-content-type-options"]
            assert headers["content-security-policy"].startswith("default-src 'none'")


async def test_a_pages_own_policy_stays():
    """A page that sets a stricter header of its own keeps it, once."""
    async with client() as http:
        headers = (await http.get("/own")).headers

    assert ["default-src 'none'"] == headers.get_list("content-security-policy")
    assert ["no-referrer"] == headers.get_list("referrer-policy")
    assert ["DENY"] == headers.get_list("x-frame-options")


@pytest.mark.parametrize("is_https", [True, False])
async def test_hsts_only_where_there_is_https(is_https):
    """HSTS is sent when the site is reached by https, and never for plain HTTP."""
    async with client(is_https=is_https) as http:
        headers = (await http.get("/page")).headers

    assert is_https == ("strict-transport-security" in headers)


@pytest.mark.parametrize(
    "given_id, is_kept",
    [
        ("abcdef12-3456", True),
        ("x" * 64, True),
        ("short", False),
        ("x" * 65, False),
        ("<script>alert</script>", False),
        ("a b c d e f g h", False),
    ],
)
async def test_a_request_id_goes_in_and_out(given_id, is_kept):
    """A well-formed id is kept through to the answer; any other is replaced by a new one."""
    async with client() as http:
        answer = await http.get("/me", headers={"x-request-id": given_id})
        other = await http.get("/me")
    shown = answer.headers["x-request-id"]

    assert is_kept == (given_id == shown)
    assert shown == answer.json()["request"]
    assert 32 == len(answer.json()["trace"])
    assert shown != other.headers["x-request-id"]


@pytest.mark.parametrize(
    "peer, forwarded, client_address",
    [
        ("192.0.2.9", "", "192.0.2.9"),
        ("192.0.2.9", "198.51.100.1", "192.0.2.9"),  # A stranger's claim is not believed.
        ("10.0.0.5", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.5", "6.6.6.6, 198.51.100.1", "198.51.100.1"),  # The left part is invention.
        ("10.0.0.5", "6.6.6.6, 198.51.100.1, 10.0.0.7", "198.51.100.1"),
        ("10.0.0.5", "nonsense", "10.0.0.5"),
        ("10.0.0.5", "198.51.100.1:4711", "198.51.100.1"),
        ("10.0.0.5", "[2001:db8::1]:80", "2001:db8::1"),
        ("::ffff:10.0.0.5", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.5", "10.0.0.6, 10.0.0.7", "10.0.0.6"),
    ],
)
async def test_only_known_proxies_say_who_is_asking(peer, forwarded, client_address):
    """X-Forwarded-For counts from trusted proxies only, from the right to the first stranger."""
    headers = {"x-forwarded-for": forwarded} if forwarded else {}
    async with client(peer, proxies=["10.0.0.0/8"]) as http:
        answer = await http.get("/me", headers=headers)

    assert client_address == answer.json()["client"]


async def test_without_known_proxies_nothing_is_believed():
    """With no trusted proxies the peer is the client, whatever the header says."""
    async with client("10.0.0.5") as http:
        answer = await http.get("/me", headers={"x-forwarded-for": "1.2.3.4"})

    assert "10.0.0.5" == answer.json()["client"]


@given(st.text(max_size=60))
def test_any_forwarded_header_is_read_without_failing(text):
    """No header makes the reader fail, and a stranger never gets a trusted address from us."""
    proxies = Proxies(["10.0.0.0/8"])

    assert isinstance(proxies.client("10.0.0.5", text), str)
    assert "192.0.2.1" == proxies.client("192.0.2.1", text)


def test_limits_count_a_household_as_one():
    """All addresses of an IPv6 /64 share one key; IPv4 addresses stand alone."""
    assert limit_key("2001:db8:0:1::5") == limit_key("2001:db8:0:1:ffff::9")
    assert limit_key("2001:db8:0:2::5") != limit_key("2001:db8:0:1::5")
    assert "192.0.2.1" == limit_key("192.0.2.1") == limit_key("::ffff:192.0.2.1")
    assert 64 == len(limit_key("x" * 1_000))


async def _pieces(count):
    for _ in range(count):
        yield b" " * 1_000


@pytest.mark.parametrize(
    "path, count, status",
    [("/numbers", 6, 413), ("/rpc/size", 6, 201), ("/rpc/size", 9, 413)],
)
async def test_a_body_over_its_limit_is_refused(path, count, status):
    """A body over the limit of its address is refused, whether its length was said or not."""
    async with client() as http:
        said = await http.post(path, content=b" " * (count * 1_000))
        unsaid = await http.post(path, content=_pieces(count))

    assert (status, status) == (said.status_code, unsaid.status_code)
    if status == 413:
        assert "body_too_large" == said.json()["code"] == unsaid.json()["code"]


@pytest.mark.parametrize("path", ["/page", "/own", "/limited", "/nowhere", "/fail/bug", "/numbers"])
async def test_head_is_answered_like_get_without_a_body(path):
    """HEAD gives what GET gives, status and headers, and no byte of the body."""
    async with client() as http:
        whole, head = await http.get(path), await http.head(path)

    apart = {"x-request-id"}
    assert whole.status_code == head.status_code
    assert b"" == head.content
    assert {(k, v) for k, v in whole.headers.items() if k not in apart} == {
        (k, v) for k, v in head.headers.items() if k not in apart
    }


async def test_who_reads_a_body_over_its_limit_answers_in_its_own_way():
    """A page that reads a body over its limit says so as a page, whether its length was said."""

    def as_page(_: Request, error: HTTPException) -> Response[str]:
        return Response("<p>Too large", status_code=error.status_code, media_type="text/html")

    @post("/form", exception_handlers={HTTPException: as_page})
    async def form(request: Request) -> None:
        await request.body()

    edge = Edge(new_application([form]), body_bytes_max=5_000)
    transport = httpx.ASGITransport(edge)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.example") as http:
        said = await http.post("/form", content=b" " * 6_000)
        unsaid = await http.post("/form", content=_pieces(6))

    assert [(413, "<p>Too large")] * 2 == [(each.status_code, each.text) for each in (said, unsaid)]


async def test_head_of_a_stream_ends():
    """HEAD of what never ends is answered at once, and the stream is stopped."""
    metrics = Metrics()
    async with asyncio.timeout(10), client(metrics=metrics) as http:
        head = await http.head("/endless")

    assert (200, b"") == (head.status_code, head.content)
    assert "text/event-stream" in head.headers["content-type"]
    assert 1 == metrics.value("vendrail_http_request_seconds", "HEAD", "/endless", "2xx")


async def test_requests_are_measured_by_route():
    """Time is kept per route, not per address: labels cannot be invented from outside."""
    metrics = Metrics()
    async with client(metrics=metrics) as http:
        for number in range(5):
            await http.get(f"/nowhere/{number}")
        await http.get("/fail/bug")
        await http.get("/fail/malformed")
        await http.request("BREW", "/me")
    text = (await metrics.render()).decode()

    assert 1 == metrics.value("vendrail_http_request_seconds", "GET", "/fail/{kind}", "5xx")
    assert 1 == metrics.value("vendrail_http_request_seconds", "GET", "/fail/{kind}", "4xx")
    assert "/nowhere" not in text
    assert "BREW" not in text


@pytest.fixture
def csrf(vault):
    return Csrf(vault, "https://shop.example")


def _mark(csrf):
    return csrf.new_cookie().value


SAME = {"sec-fetch-site": "same-origin", "origin": "https://shop.example", "host": "shop.example"}


def test_our_own_form_is_taken(csrf):
    """A form of our page, sent by the browser it was made for, is taken; each token is new."""
    mark = _mark(csrf)
    token = csrf.token(mark)

    assert csrf.is_ours(SAME, mark, token)
    assert csrf.is_ours({"host": "shop.example"}, mark, token)  # A browser that tells nothing.
    assert token != csrf.token(mark)


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example", "host": "shop.example"},
        {"origin": "https://shop.example.evil.example", "host": "shop.example"},
    ],
)
def test_a_form_from_elsewhere_is_refused(csrf, headers):
    """A form that another site's page sent is refused, even with a right token."""
    mark = _mark(csrf)

    assert not csrf.is_ours(headers, mark, csrf.token(mark))


def test_a_wrong_token_is_refused(csrf, vault):
    """No token, another browser's token, a changed one, or one without a cookie: refused."""
    mark, other = _mark(csrf), _mark(csrf)
    token = csrf.token(mark)

    for wrong in ("", "x", token[:-1], token[:-1] + "_", csrf.token(other), "é" * 36, "=" * 36):
        assert not csrf.is_ours(SAME, mark, wrong)
    assert not csrf.is_ours(SAME, "", csrf.token(""))
    assert not csrf.is_ours(SAME, "short", csrf.token("short"))


def test_the_cookie_is_for_this_site_alone(csrf, vault):
    """The cookie cannot be read by script, sent from elsewhere, or set by a neighbour domain."""
    header = csrf.new_cookie().to_header(header="")
    plain = Csrf(vault, "http://127.0.0.1:8000").new_cookie()

    assert header.strip().startswith("__Host-")
    for part in ("Secure", "HttpOnly", "SameSite=lax", "Path=/"):
        assert part in header
    assert not plain.secure


def test_a_problem_is_json_of_the_standard():
    """The body has the members that RFC 9457 names."""
    body = json.loads(too_many(2).content)

    assert {"type", "title", "status", "detail", "code"} == set(body)
