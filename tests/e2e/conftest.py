"""One real demo and one real browser for all walks through the shop."""

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, async_playwright
from tests.demo.conftest import RunningDemo, free_port
from tests.e2e.buyer import Buyer

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    """The marketplace that `make demo` opens, in a folder of its own."""
    home = tmp_path_factory.mktemp("e2e") / "home"
    # All buyers here are neighbours: they share one network address.
    demo = RunningDemo(
        home,
        free_port(),
        VENDRAIL_WEB_PLACES_PER_MINUTE_MAX="300",
        VENDRAIL_WEB_LOOKUPS_PER_MINUTE_MAX="300",
        VENDRAIL_WEB_PROOF_NUMBERS_MAX="0",
    )
    try:
        demo.wait_open()
        yield demo
        demo.stop()
    finally:
        demo.kill()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """Debian's Chromium."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


@dataclass
class Visit:
    """A browser of somebody's own: its cookies, and what it complained of."""

    context: BrowserContext
    site: str
    language: str
    complaints: list[str] = field(default_factory=list)

    async def enter(self) -> Buyer:
        """Open a tab."""
        page = await self.context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        return Buyer(page, self.site, self.language)

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.text} {message.location.get('url')}")


Visitor = Callable[..., Awaitable[Visit]]


@pytest_asyncio.fixture(loop_scope="session")
async def visit(demo: RunningDemo, chromium: Browser) -> AsyncIterator[Visitor]:
    """Browsers that know nothing of one another, gone after the test."""
    opened: list[BrowserContext] = []

    async def start(language: str = "zh-CN", **options: object) -> Visit:
        chosen = {"viewport": {"width": 360, "height": 740}, "locale": language, **options}
        opened.append(await chromium.new_context(**chosen))
        return Visit(opened[-1], demo.url, language)

    yield start
    for context in opened:
        await context.close()


@pytest.fixture
def read_code(demo: RunningDemo) -> Callable[[str], str]:
    """Wait for the one letter with a code that has come for somebody, and read the code."""

    def read(contact: str) -> str:
        due = time.monotonic() + 15
        while time.monotonic() < due:
            for path in (demo.home / "mailbox").glob("*.eml"):
                letter = message_from_bytes(path.read_bytes(), policy=default)
                code = re.search(r"\d{6,}", letter["subject"])
                if letter["to"] == contact and code:
                    return code[0]
            time.sleep(0.05)
        raise AssertionError(f"No code came for {contact}.")

    return read
