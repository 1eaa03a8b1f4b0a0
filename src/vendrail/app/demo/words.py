"""What the demo says, in the language of the terminal; the words lie in words.toml."""

import re
import shlex
import shutil
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from vendrail.kernel.codec import Record
from vendrail.kernel.locales import nearest

_WORDS: Mapping[str, Mapping[str, str]] = tomllib.loads(
    Path(__file__).with_name("words.toml").read_text("utf-8")
)


class Places(Record, frozen=True):
    """Where everything is."""

    site_url: str
    sandbox_url: str
    home: Path


def program() -> str:
    """Give the command line as it can be typed here, whether or not it is on PATH."""
    ours = Path(sys.executable).with_name("vendrail")
    if not ours.is_file() or shutil.which("vendrail") == str(ours):
        return "vendrail"
    here = Path.cwd()
    return str(ours.relative_to(here)) if ours.is_relative_to(here) else str(ours)


class Tongue:
    """The language of one terminal."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        names = ("LC_ALL", "LC_MESSAGES", "LANG")  # The first that is set decides, as in gettext.
        locale = next((environment[name] for name in names if environment.get(name)), "")
        wanted = [locale]
        if locale not in ("", "C", "POSIX"):
            wanted = [*environment.get("LANGUAGE", "").split(":"), locale]
        tags = (nearest(re.split("[.@]", name)[0]) for name in wanted)
        self._words = _WORDS[next(filter(None, tags), "en")]

    def say(self, word: str, **values: object) -> str:
        """Give a sentence."""
        return self._words[word].format(**values)

    def panel(self, places: Places) -> Panel:
        """Draw where to go, and how to stop."""
        rows = Table.grid(padding=(0, 2))
        rows.add_column(style="bold", no_wrap=True)
        rows.add_column(overflow="fold")

        def row(name: str, place: str, note: str = "") -> None:
            text = Text(place, style="cyan")
            if note:
                text.append(f"\n{note}", style="dim")
            rows.add_row(self.say(name), text)

        row("shop", places.site_url, self.say("shop_note"))
        row("console", f"{places.site_url}/console")
        row("wallet", places.sandbox_url, self.say("wallet_note"))
        row("api", f"{places.site_url}/api/openapi.json", self.say("api_note"))
        row("metrics", f"{places.site_url}/metrics")
        row("mailbox", f"{places.site_url}/mailbox", self.say("mailbox_note"))
        phone = f"{places.sandbox_url}/telegram/phone"
        row("telegram", phone, self.say("telegram_note"))
        audit = f"{program()} --home {shlex.quote(str(places.home))} audit"
        row("audit", audit, self.say("audit_note"))
        rows.add_row("", "")
        rows.add_row("", self.say("stop"))
        return Panel(
            rows, title=self.say("title"), border_style="green", padding=(1, 2), expand=False
        )
