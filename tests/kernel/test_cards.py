"""No card's number comes in: refused in queries and bodies, counted, kept nowhere."""

import json
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from litestar import Request, get, post

from vendrail.kernel.cards import holds_card, is_luhn
from vendrail.kernel.http import Edge, leave_to_page, new_application
from vendrail.kernel.telemetry import Metrics

# Numbers that schemes publish for tests, one of each range and length.
PUBLISHED = (
    "4111111111111111",
    "5555555555554444",
    "2223003122003222",
    "378282246310005",
    "30569309025904",
    "3530111333300000",
    "6011111111111117",
    "6200000000000005",
    "6205500000000000004",
)
PICTURE = b"\x89PNG\r\n\x1a\n 4111111111111111 "
GAPS = ("", " ", "-", ".")
BEFORE = ("=", ": ", '"', " ", "&", "[")


@get("/read")
async def read() -> dict[str, bool]:
    """Answer whatever is asked."""
    return {"is_read": True}


@post("/size")
async def size(request: Request[Any, Any, Any]) -> dict[str, int]:
    """Read all that is sent."""
    return {"size": len(await request.body())}


@post("/page")
async def page(request: Request[Any, Any, Any]) -> dict[str, bool]:
    """Look for cards itself."""
    count = leave_to_page(request.scope)
    is_found = holds_card(await request.body())
    if is_found:
        count()
    return {"is_found": is_found}


def client(**options: Any) -> httpx.AsyncClient:
    """Ask the two addresses through the edge."""
    edge = Edge(new_application((read, size, page), body_bytes_max=10_000), **options)
    return httpx.AsyncClient(transport=httpx.ASGITransport(edge), base_url="http://shop.example")


def grouped(number: str, gap: str) -> str:
    """Write a number as people do, in groups of four."""
    return gap.join(number[place : place + 4] for place in range(0, len(number), 4))


def ways(number: str) -> list[bytes]:
    """Write a number as it can stand in a query, a form, JSON or text."""
    return [
        f"contact={quote_plus(number)}&quantity=1".encode(),
        f"a=b&q={quote(number)}".encode(),
        json.dumps({"contact": number, "n": 1}).encode(),
        f'{{"pan": {number.replace(" ", "").replace("-", "").replace(".", "")}}}'.encode(),
        f"my card is {number}, thanks".encode(),
    ]


@pytest.mark.parametrize("number", PUBLISHED)
@pytest.mark.parametrize("gap", GAPS)
def test_every_schemes_numbers_are_known(number, gap):
    """Visa, Mastercard, American Express, Diners, JCB, Discover, UnionPay: however written."""
    assert [True] * 5 == [holds_card(each) for each in ways(grouped(number, gap))]


@given(
    st.from_regex(r"(4|5[1-5]|62|35[3-8][0-9])[0-9]{8,13}", fullmatch=True), st.sampled_from(GAPS)
)
def test_any_issued_number_of_sixteen_is_known(begin, gap):
    """Whatever the digits: with the right check digit it is a card, with another it is not."""
    digits = begin.ljust(15, "7")[:15]
    check = next(last for last in range(10) if is_luhn(f"{digits}{last}"))
    good, bad = f"{digits}{check}", f"{digits}{(check + 1) % 10}"

    assert all(holds_card(each) for each in ways(grouped(good, gap)))
    assert not any(holds_card(each) for each in ways(grouped(bad, gap)))


@given(st.sampled_from(PUBLISHED), st.sampled_from(GAPS), st.sampled_from(BEFORE), st.data())
def test_escapes_hide_nothing(number, gap, before, data):
    """Whichever letters are escaped, also what stands around, a number and a code are found."""

    def hidden(text: str) -> bytes:
        is_hidden = data.draw(st.lists(st.booleans(), min_size=len(text), max_size=len(text)))
        return b"".join(
            f"%{ord(each):02x}".encode() if is_escaped else each.encode()
            for each, is_escaped in zip(text, is_hidden, strict=True)
        )

    assert holds_card(hidden(f"a{before}{grouped(number, gap)}&b"))
    assert holds_card(b"&" + hidden("cvc") + b"=" + hidden("123"))
    assert holds_card(b"{" + hidden('"card_Cvv": "1234"}'))
    escaped = "".join(f"\\u{ord(each):04x}" for each in f"cvc{number}")
    assert holds_card(f'{{"{escaped[:18]}": "123"}}'.encode())
    assert holds_card(hidden(f'{{"a": "{escaped[18:]}"}}'))


@st.composite
def spelled(draw, text):
    """Spell each letter as it is, or escaped once, or its JSON escape escaped in part."""

    def percent(letter: str) -> str:
        return f"%{ord(letter):02x}"

    written = []
    for letter in text:
        way = draw(st.sampled_from(("plain", "percent", "json", "mixed")))
        escape = f"\\u{ord(letter):04x}"
        if way == "mixed":
            escape = "".join(draw(st.sampled_from((each, percent(each)))) for each in escape)
        spellings = {"plain": letter, "percent": percent(letter)}
        written.append(spellings.get(way, escape))
    return "".join(written).encode()


@given(
    st.sampled_from([f"a={number}" for number in PUBLISHED] + ["cvc=123", '"card_cvv": "1234"'])
    .flatmap(spelled)
    .map(lambda hidden: b"&" + hidden)
)
@example(b"&a=" + b"".join(f"\\u%300{ord(each):02x}".encode() for each in PUBLISHED[0]))
def test_one_escape_inside_another_hides_nothing(hidden):
    """However spellings are mixed, the fast look finds what decoding always would."""
    assert holds_card(hidden)


@given(
    st.lists(st.sampled_from((*"4155%u0\\3dcv=& ", "%30", "\\u", "4111111111111111")), max_size=40)
)
def test_the_fast_look_says_what_decoding_says(pieces):
    """A letter escaped behind a text has it decoded in any case: that changes no answer."""
    text = "".join(pieces).encode()

    assert holds_card(text + b" %41") == holds_card(text)


@pytest.mark.parametrize(
    "text",
    [
        "cvc=123",
        "a=1&cvv=1234",
        '{"cvc": "123"}',
        '{"number": "x", "card_cvc": 123}',
        "security_code=999",
        "card[cvc]=123",
        "card.cvv=123",
    ],
)
def test_check_codes_are_known_by_their_names(text):
    """Three or four digits say nothing by themselves; under such a name they do."""
    assert holds_card(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        "2026112922001476461234567890",  # A provider's trade number.
        "2016080622555342651",  # Another's.
        "1795408576123",  # A time in milliseconds.
        "4111111111111112",  # Fails the check digit.
        "contact=%2B8613800138000",
        "contact=%2B4915149205465",  # A German mobile, with a check digit that is right.
        "01KB2M8Z7Q9V4T6W3X5Y1N0PQR",
        "550e8400-e29b-41d4-a716-446655440000",
        "amount_minor=4111111111111111.5",
        "x4111111111111111",
        "cvc=on",
        "cvcs=123&code=123",
    ],
)
def test_other_long_numbers_pass(text):
    """Trades, phones, times and ids are no cards."""
    assert not holds_card(text.encode())


@pytest.mark.parametrize("number", PUBLISHED)
async def test_a_request_with_a_card_is_refused(number):
    """In a query or a body it never reaches anybody: 422, and a text that says what to do."""
    async with client() as http:
        asked = await http.get(f"/read?q={number}")
        formed = await http.post("/size", data={"contact": grouped(number, " ")})
        sent = await http.post("/size", json={"contact": number})
        typed = await http.post(
            "/size", content=f"it is {number}", headers={"content-type": "text/plain"}
        )

        odd = await http.post(
            "/size",
            content=f"contact={number}",
            headers={"content-type": "application/octet-stream"},
        )
        escaped = await http.post(
            "/size",
            content=b'{"contact": "' + grouped(number, "\\u0020").encode() + b'"}',
            headers={"content-type": "Application/JSON"},
        )

    for each in (asked, formed, sent, typed, odd, escaped):
        assert (422, "card_number") == (each.status_code, each.json()["code"])
        assert "provider's own page" in each.json()["detail"]
        assert number not in each.text


async def test_a_card_in_two_pieces_is_found():
    """However a body is cut on its way, a number in it is seen."""

    async def pieces():
        yield b'{"contact": "4111 1111'
        yield b' 1111 1111"}'

    async with client() as http:
        answer = await http.post(
            "/size", content=pieces(), headers={"content-type": "application/json"}
        )

    assert 422 == answer.status_code


async def test_what_is_sold_may_look_like_a_card():
    """Where keys are given in, and where providers call, numbers pass, in files too."""
    async with client(cards_below=("/size",)) as http:
        exempt = await http.post("/size", data={"keys": "4111111111111111"})
        file = await http.post("/size", files={"file": ("a.txt", b"4111111111111111")})

    assert (True, True) == (exempt.is_success, file.is_success)


@pytest.mark.parametrize(
    "form",
    [
        {"data": {"contact": "4111-1111-1111-1111"}, "files": {"file": ("a.png", PICTURE)}},
        {"data": {"cvc": "123"}, "files": {"file": ("a.png", PICTURE)}},
        {"data": {"4111111111111111": ""}, "files": {"file": ("a.png", PICTURE)}},
        {"files": {"file": ("4111111111111111.png", PICTURE)}},
        {"files": {"file": ("a.txt", "卡号 4111 1111 1111 1111".encode())}},
        {"files": {"file": ("a.png", PICTURE), "more": ("a.csv", b"1,4111111111111111\n")}},
        {"content": b"contact=4111111111111111", "headers": {"content-type": "image/png"}},
        {
            "content": b"contact=4111111111111111",
            "headers": {"content-type": "multipart/form-data; boundary=x"},
        },
        {
            "content": b"--x\r\n\r\n4111111111111111\r\n--x--\r\n",
            "headers": {"content-type": "multipart/form-data; boundary=x"},
        },
        {
            "content": b"contact=4111111111111111",
            "headers": {"content-type": "multipart/form-data"},
        },
    ],
)
@pytest.mark.parametrize("piece", [7, 100_000])
async def test_a_form_with_files_is_looked_through(form, piece):
    """Fields, names of files and text files are, however cut; what is no such form is text."""
    asked = httpx.Request("POST", "http://edge/size", **form)
    body = asked.read()

    async def pieces():
        for at in range(0, len(body), piece):
            yield body[at : at + piece]

    metrics = Metrics()
    async with client(metrics=metrics) as http:
        headers = {"content-type": asked.headers["content-type"]}
        answer = await http.post("/size", content=pieces(), headers=headers)
    told = (await metrics.render()).decode()

    assert (422, "card_number") == (answer.status_code, answer.json()["code"])
    assert 'vendrail_card_numbers_total{where="body"} 1.0' in told


async def test_a_page_may_say_it_itself():
    """Where a page looks itself it gets the whole form, and what it finds is counted too."""
    metrics = Metrics()
    async with client(metrics=metrics) as http:
        answer = await http.post("/page", files={"text": (None, "it is 4111111111111111")})
    told = (await metrics.render()).decode()

    assert {"is_found": True} == answer.json()
    assert 'vendrail_card_numbers_total{where="body"} 1.0' in told


@pytest.mark.parametrize(
    "content",
    [
        PICTURE,
        b"%PDF-1.7\n4111111111111111 00000 n\n",
        b"RIFF\xff\xd8 4111111111111111",
    ],
)
async def test_bytes_of_pictures_are_no_cards(content):
    """What is no text holds numbers that mean nothing; the form's other parts are looked at."""
    async with client() as http:
        file = await http.post("/size", data={"a": "b"}, files={"file": ("a", content)})
        after = await http.post(
            "/size", data={}, files={"file": ("a", content), "note": (None, "4111111111111111")}
        )

    assert 200 <= file.status_code < 300
    assert 422 == after.status_code


async def test_refused_cards_are_counted():
    """The metric tells where they came from; nothing tells what they were."""
    metrics = Metrics()
    async with client(metrics=metrics) as http:
        await http.get("/read?q=4111111111111111")
        await http.post("/size", data={"contact": "4111111111111111"})
    told = (await metrics.render()).decode()

    assert 'vendrail_card_numbers_total{where="query"} 1.0' in told
    assert 'vendrail_card_numbers_total{where="body"} 1.0' in told
    assert "4111" not in told
