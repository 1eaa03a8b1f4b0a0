"""What buyers complain of and write, on the pages of buyer, merchant and operator."""

import asyncio
import re

import pytest
from tests.web.console.conftest import SITE, make_app

from vendrail.api.identity import Role
from vendrail.api.notify import Notify
from vendrail.api.orders import Orders, RefundOrder
from vendrail.api.support import Party, Side, Support, TalkQuery
from vendrail.kernel.ids import new_id, to_serial
from vendrail.kernel.limits import SharedLimit
from vendrail.web.live import LivePages
from vendrail.web.talks import Follow, Following

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
EVIL = "<script>alert(1)</script> https://evil.example"


class Buyer:
    """The browser of somebody who holds an order's link."""

    def __init__(self, town, order, secret) -> None:
        self.browser, self.order, self.secret = town.world.browser(), order, secret
        self.town = town
        self.path = f"/orders/{to_serial(order)}/help"

    async def open(self):
        """Open the order by its link, then its help."""
        await self.browser.go(f"/orders/{to_serial(self.order)}?key={self.secret}")
        return await self.browser.go(self.path)

    async def send(self, what, *, files=None, **fields):
        """Send a form with or without a file."""
        nonce = re.search(r'name="nonce" value="([^"]+)"', self.browser.page.text)[1]
        data = {"form_token": self.browser.token(), "nonce": nonce, **fields}
        self.browser.page = await self.browser.http.post(
            f"{self.path}/{what}",
            data=data,
            files=files or {"file": ("", b"")},
            headers={"referer": f"{SITE}{self.path}"},
            follow_redirects=True,
        )
        return self.browser.page

    async def step(self, step):
        """Press a button of the complaint."""
        page = self.browser.page.text
        complaint = re.search(r'name="complaint" value="([^"]+)"', page)[1]
        seen = re.search(r'name="seen" value="([^"]+)"', page)[1]
        return await self.browser.send(
            f"{self.path}/steps", complaint=complaint, seen=seen, step=step
        )


@pytest.fixture
async def buyer(town):
    """Somebody who has bought a key of North."""
    await town.north.offer("GAME", keys=5)
    order = await town.sell(town.north, "GAME")
    [addressee] = await town.house.api(Orders).read_addressees([order])
    return Buyer(town, order, addressee.secret)


def staff_path(order) -> str:
    """The address of an order's complaint in the merchant's console."""
    return f"/merchant/complaints/{to_serial(order)}"


async def write(browser, path, text, files=None):
    """Write from a console."""
    token = browser.token()
    nonce = to_serial(new_id(browser.world.clock.now()))
    browser.page = await browser.http.post(
        f"{path}/messages?form_token={token}",
        data={"form_token": token, "nonce": nonce, "text": text},
        files=files or {"file": ("", b"")},
        headers={"referer": f"{SITE}{path}"},
        follow_redirects=True,
    )
    return browser.page


async def test_a_dead_key_is_claimed_and_replaced_on_the_pages(town, buyer):
    """The buyer complains with a picture, the merchant replaces the key, both see it settled."""
    await buyer.open()
    files = {"file": ("proof.png", PNG, "image/png")}
    sent = await buyer.send("complaints", kind="dead_key", text="It says: used.", files=files)
    owner = await town.join(Role.OWNER)
    await owner.go("/merchant/complaints?show=mine")
    listed = owner.text
    await owner.go(staff_path(buyer.order))
    picture = re.search(r'src="([^"]+/files/[^"]+)"', owner.page.text)[1]
    shown = await owner.http.get(picture)
    nonce = re.search(r'name="nonce" value="([^"]+)"', owner.page.text)[1]
    await owner.send(
        f"{staff_path(buyer.order)}/answer", nonce=nonce, remedy="replace", text="Sorry!"
    )
    answered = owner.text
    await buyer.open()

    assert 200 == sent.status_code
    assert "Product GAME" in listed
    assert "Waits for the merchant" in listed
    assert PNG == shown.content
    assert "image/png" == shown.headers["content-type"]
    assert shown.headers["content-disposition"].startswith("attachment")
    assert "nosniff" == shown.headers["x-content-type-options"]
    assert "sandbox" in shown.headers["content-security-policy"]
    assert "The merchant grants it: new keys." in answered
    assert "Keys replaced" in buyer.browser.text
    assert ["complaint.answered"] == [each.act for each in await town.acts(town.north, "complaint")]


async def test_what_cannot_agree_is_decided_by_the_operator(town, buyer):
    """Rejected, escalated, and ruled with a reason that both read; every act is in the log."""
    await buyer.open()
    await buyer.send("complaints", kind="other", text="It is not what I wanted.")
    owner = await town.join(Role.OWNER)
    await owner.go(staff_path(buyer.order))
    nonce = re.search(r'name="nonce" value="([^"]+)"', owner.page.text)[1]
    answer = f"{staff_path(buyer.order)}/answer"
    silent = await owner.send(answer, nonce=nonce, remedy="reject", text="")
    nonce = re.search(r'name="nonce" value="([^"]+)"', owner.page.text)[1]
    await owner.send(answer, nonce=nonce, remedy="reject", text="It is as described.")
    await buyer.open()
    await buyer.step("escalate")
    head = await town.world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    await head.go("/operator")
    at_home = head.text
    await head.go("/operator/complaints")
    listed = head.text
    path = f"/operator/complaints/{to_serial(buyer.order)}"
    await head.go(path)
    await head.send(f"{path}/ruling", remedy="reject", reason="Both texts say the same.")
    await buyer.open()

    assert 422 == silent.status_code
    assert "Complaints 1" in at_home
    assert "Waits for the platform" in listed
    assert "The platform rejects the complaint." in buyer.browser.text
    assert "Both texts say the same." in buyer.browser.text
    assert "Rejected" in buyer.browser.text
    assert "complaint.ruled" in await town.world.acts()


async def test_a_refund_by_a_ruling_is_named_by_its_complaint(town, buyer):
    """Its reason is kept as a code; both consoles say it in words, short enough for a phone."""
    complaint = to_serial(new_id(town.clock.now()))
    refund = RefundOrder(new_id(town.clock.now()), buyer.order, 500, f"complaint {complaint}", "ad")
    await town.north.orders.refund_orders([refund])
    await town.north.run()
    owner = await town.join(Role.OWNER)
    await owner.go(f"/merchant/orders/{to_serial(buyer.order)}")
    head = await town.world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    await head.go(f"/operator/orders/{to_serial(buyer.order)}")

    for browser in (owner, head):
        assert f"Complaint …{complaint[-6:]}" in browser.text
        assert f"complaint {complaint}" not in browser.text


async def test_what_is_written_runs_nothing_and_links_nowhere(town, buyer):
    """Markup and addresses are shown as they were written, on both sides."""
    await buyer.open()
    await buyer.send("messages", text=EVIL)
    owner = await town.join(Role.OWNER)
    await owner.go("/merchant/messages")
    inbox = owner.text
    await owner.go(staff_path(buyer.order))
    await write(owner, staff_path(buyer.order), "Use it there.")
    again = (await owner.go("/merchant/messages")).text
    await buyer.open()

    assert "1 new" in inbox
    assert "1 new" not in again
    for browser in (owner, buyer.browser):
        assert 'href="https://evil' not in browser.page.text
        assert "<script>alert" not in browser.page.text
    assert EVIL in buyer.browser.text
    assert "Use it there." in buyer.browser.text


async def test_nobody_else_reads_or_writes(town, buyer):
    """Without the secret, or from another shop, the order is not there."""
    await buyer.open()
    await buyer.send("messages", text="Hello", files={"file": ("a.txt", b"words")})
    file = re.search(r'href="([^"]+/files/[^"]+)"', buyer.browser.page.text)[1]
    stranger = town.world.browser()
    other = await town.join(Role.OWNER, town.south)
    statuses = [
        (await stranger.go(buyer.path)).status_code,
        (await stranger.go(file)).status_code,
        (await stranger.go(f"{buyer.path}/events")).status_code,
        (await other.go(staff_path(buyer.order))).status_code,
        (await other.go(f"{staff_path(buyer.order)}/events")).status_code,
    ]
    await other.go("/merchant/complaints")
    statuses.append((await write(other, staff_path(buyer.order), "Hm")).status_code)

    assert [404] * 6 == statuses


async def test_forms_say_what_is_wrong(town, buyer):
    """No words, a strange file, a card number: told beside what was written."""
    await buyer.open()
    pages = [
        await buyer.send("messages", text=""),
        await buyer.send("messages", text="see", files={"file": ("a.exe", b"MZ\x00\x01\xff")}),
        await buyer.send("messages", text="pay with 4242 4242 4242 4242"),
        await buyer.send("complaints", kind="other", text="n"),
    ]
    card = "4242 4242 4242 4242"
    pages += [
        await buyer.send("messages", text="see", files={"file": (f"{card}.png", PNG)}),
        await buyer.send("messages", text="see", files={"file": ("a.txt", f"my {card}".encode())}),
        await buyer.send("complaints", kind="other", text="It is off.", key_1=card),
    ]
    talk = await town.house.api(Support).read_talks(
        [TalkQuery(buyer.order, Party(Side.BUYER, buyer.secret))]
    )

    assert [422] * 7 == [page.status_code for page in pages]
    assert 0 == talk[0].count


async def test_keys_that_were_chosen_stay_chosen(town):
    """A complaint that is not taken is shown again with its kind, its words and its keys."""
    await town.north.offer("GAME", keys=5)
    order = await town.sell(town.north, "GAME", 3)
    [addressee] = await town.house.api(Orders).read_addressees([order])
    buyer = Buyer(town, order, addressee.secret)
    await buyer.open()
    page = await buyer.send("complaints", kind="dead_key", text="n", key_2="1")

    ticks = re.findall(r'name="key_(\d)" value="1"( checked)?', page.text)
    assert [("1", ""), ("2", " checked"), ("3", "")] == ticks


async def test_who_has_not_paid_is_told_so(town):
    """The page of an order that nobody paid has no form to write with, and none is taken."""
    await town.north.offer("GAME", keys=5)
    placed = await town.north.place("GAME")
    buyer = Buyer(town, placed.order, placed.secret)
    await buyer.browser.go(f"/orders/{to_serial(placed.order)}?key={placed.secret}")
    token = buyer.browser.token()
    await buyer.browser.go(buyer.path)
    shown = buyer.browser.page.text
    nonce = to_serial(new_id(town.clock.now()))
    sent = await buyer.browser.http.post(
        f"{buyer.path}/messages",
        data={"form_token": token, "nonce": nonce, "text": "hi"},
        files={"file": ("", b"")},
        headers={"referer": f"{SITE}{buyer.path}"},
    )

    assert f'action="{buyer.path}/messages"' not in shown
    assert "once the order is paid" in shown
    assert 422 == sent.status_code


async def test_forms_that_come_too_often_are_refused(town, buyer):
    """One address sends no more of these forms a minute than orders."""
    house = town.house
    limit = SharedLimit(
        house.limits_database(), house.vault, house.clock, name="few", capacity=3, window_s=60
    )
    app = make_app(house, town.home, place_limit=limit.take)
    buyer.browser = town.world.browser(app=app)
    statuses = []
    for what in ("messages", "messages", "complaints", "complaints"):
        await buyer.open()
        page = await buyer.send(what, text="It is off.", kind="other")
        statuses.append(page.status_code)
    await buyer.open()
    stepped = await buyer.step("withdraw")

    assert [200, 200, 200, 429] == statuses
    assert 429 == stepped.status_code


async def test_operators_read_a_closed_conversation_only_by_name(town, buyer):
    """While no complaint stands the words are hidden; reading them is in the log."""
    await buyer.open()
    await buyer.send("messages", text="A private word.")
    head = await town.world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    path = f"/operator/complaints/{to_serial(buyer.order)}"
    await head.go(path)
    hidden = head.text
    await head.send(f"{path}/read")

    assert "A private word." not in hidden
    assert "A private word." in head.text
    assert "talk.read" in await town.world.acts()


async def test_ready_answers_are_written_and_offered(town, buyer):
    """A ready answer is kept, offered where one writes, and taken away again."""
    owner = await town.join(Role.OWNER)
    await owner.go("/merchant/answers")
    nonce = re.search(r'name="nonce" value="([^"]+)"', owner.page.text)[1]
    await owner.send("/merchant/answers", nonce=nonce, title="Redeem", text="Enter it there.")
    listed = owner.text
    await owner.go(staff_path(buyer.order))
    offered = owner.page.text
    await owner.go("/merchant/answers")
    await owner.send("/merchant/answers", nonce=nonce, title="Redeem", act="remove")

    assert "Enter it there." in listed
    assert '<option value="Enter it there.">Redeem</option>' in offered
    assert "Enter it there." not in owner.text


async def test_letters_tell_whose_turn_it_is(town, buyer):
    """The merchant's people get a letter with the link to the complaint, the buyer the answer."""
    owner = await town.join(Role.OWNER, email="owner@north.example")
    await buyer.open()
    await buyer.send("complaints", kind="other", text="It is not what I wanted.")
    telling = town.house.services["support"].telling(town.house.api(Notify), town.world.identity)
    while await telling.tell():
        pass
    [*_, letter] = await town.world.letters("owner@north.example")
    text = letter.get_body(("plain",)).get_content()
    await owner.go(re.search(rf"{SITE}(/merchant/\S+)", text)[1])

    assert "complains" in text
    assert "Waits for the merchant" in owner.text


class Listener:
    """An event stream that a browser of a console follows."""

    def __init__(self, town, browser, path) -> None:
        self.heard = bytearray()
        self._news = asyncio.Event()
        self.task = asyncio.create_task(self._listen(town.world.app, browser, path))

    async def _listen(self, app, browser, path):
        over = asyncio.Event()

        async def receive():
            await over.wait()
            return {"type": "http.disconnect"}  # As servers say after the last of an answer.

        async def send(message):
            self.heard.extend(message.get("body", b""))
            self._news.set()
            if message["type"] == "http.response.body" and not message.get("more_body"):
                over.set()

        cookie = "; ".join(f"{each.name}={each.value}" for each in browser.http.cookies.jar)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"localhost"), (b"cookie", cookie.encode())],
            "client": ("10.0.0.1", 1),
            "server": ("localhost", 80),
        }
        await app(scope, receive, send)

    async def until(self, words: bytes):
        """Listen until something is told."""
        async with asyncio.timeout(30):
            while words not in self.heard:
                self._news.clear()
                await self._news.wait()

    async def end(self):
        """Wait until the stream ends by itself; give all that was heard."""
        async with asyncio.timeout(30):
            await self.task
        return bytes(self.heard)


async def test_a_stream_ends_with_its_session(town, buyer):
    """Who has signed out is told nothing that is written afterwards: the stream is over."""
    staff = await town.join(Role.SUPPORT)
    await staff.go(staff_path(buyer.order))
    listener = Listener(town, staff, f"{staff_path(buyer.order)}/events")
    await listener.until(b"event: talk")
    await staff.send("/console/sign-out")
    await buyer.open()
    await buyer.send("messages", text="Words after the end.")

    assert b"Words after the end." not in await listener.end()


async def test_the_operators_stream_ends_with_the_complaint(town, buyer):
    """The end of a complaint is the last that its stream tells the platform's people."""
    await buyer.open()
    await buyer.send("complaints", kind="other", text="It is not what I wanted.")
    head = await town.world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    path = f"/operator/complaints/{to_serial(buyer.order)}"
    await head.go(path)
    listener = Listener(town, head, f"{path}/events")
    await listener.until(b"It is not what I wanted.")
    await buyer.open()
    await buyer.step("withdraw")
    await listener.end()
    await buyer.open()
    await buyer.send("messages", text="Words after the end.")

    assert 2 == listener.heard.count(b"event: talk")
    assert b"Words after the end." not in listener.heard


async def test_a_waiting_page_opens_nothing_until_something_changes(town, buyer):
    """A stream asks for the version alone; the words are opened once, when there are new ones."""
    support, reads = town.house.api(Support), []
    query = TalkQuery(buyer.order, Party(Side.BUYER, buyer.secret))

    async def read():
        reads.append(query)
        return (await support.read_talks([query]))[0]

    following = Following(LivePages(town.house.wakeups, 50), support)
    seen = await following.version(buyer.order)
    follow = Follow(buyer.order, Side.BUYER, "10.0.0.1", seen)
    parts = following.parts(follow, read, lambda talk: talk.messages[-1].text)
    begun = [await anext(parts), await anext(parts)]
    before = len(reads)
    await buyer.open()
    await buyer.send("messages", text="New words.")
    async with asyncio.timeout(30):
        told = await anext(parts)
    await parts.aclose()

    assert [b"retry: 2000\n\n", b": still here\n\n"] == begun
    assert 0 == before
    assert b"event: talk\ndata: New words.\n\n" == told
    assert 1 == len(reads)
