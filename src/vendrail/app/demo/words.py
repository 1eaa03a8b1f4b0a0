"""What the demo says, in the language of the terminal: Chinese or English."""

import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from vendrail.kernel.codec import Record

_WORDS: dict[str, tuple[str, str]] = {
    "cleared": ("Removed what the demo had made here", "已清除演示数据"),
    "orphans": ("Ended what a killed demo had left running", "已结束上次异常退出留下的进程"),
    "database_own": ("Your PostgreSQL is up to date", "你的 PostgreSQL 已就绪"),
    "database": ("PostgreSQL runs, its schemas are up to date", "PostgreSQL 已启动，结构为最新"),
    "sandbox": ("The sandbox is open", "支付沙箱已启动"),
    "seeded": ("{count} keys are on the shelves", "已上架 {count} 枚卡密"),
    "kept": ("The marketplace is as you left it", "商城数据保持上次的样子"),
    "site": ("The site is open", "网站已启动"),
    "stopping": ("Stopping: site, sandbox, database …", "正在依次停止：网站、沙箱、数据库 …"),
    "stopped": ("Stopped. The data stays in {home}", "已停止，数据保留在 {home}"),
    "title": ("Vendrail is open", "Vendrail 已开张"),
    "shop": ("Shop", "商城"),
    "shop_note": (
        "choose, pay, and the key is on your screen",
        "挑选、付款，卡密立即显示",
    ),
    "wallet": ("Wallet", "钱包"),
    "wallet_note": (
        "the emulated wallet opens when you pay: tap 确认付款; no real money moves",
        "付款时自动打开的模拟钱包：点“确认付款”，不涉及真实资金",
    ),
    "api": ("API", "接口"),
    "api_note": ("docs/start.md buys by curl", "docs/start.md 有 curl 示例"),
    "metrics": ("Metrics", "指标"),
    "mailbox": ("Mailbox", "信箱"),
    "mailbox_note": ("letters to buyers and staff", "发给买家和员工的邮件"),
    "console": ("Consoles", "控制台"),
    "operator": (
        "Nobody runs this platform yet. Become its operator by this link, good once:",
        "平台还没有运营者。打开此链接即可成为运营者（仅可使用一次）：",
    ),
    "data": ("Data", "数据"),
    "audit": ("Books", "账目"),
    "audit_note": ("proves every balance, while it runs", "运行中即可核对每一笔账"),
    "stop": (
        "Ctrl-C stops everything; the data stays. ‘make demo ARGS=--fresh’ begins again.",
        "按 Ctrl-C 停止，数据保留；make demo ARGS=--fresh 重新开始。",
    ),
}


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
    """One of the two languages."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        names = ("LC_ALL", "LC_MESSAGES", "LANG")  # The first that is set decides, as in gettext.
        locale = next((environment[name] for name in names if environment.get(name)), "")
        if locale not in ("", "C", "POSIX") and environment.get("LANGUAGE"):
            locale = environment["LANGUAGE"]
        self._place = 1 if locale.lower().startswith("zh") else 0

    def say(self, word: str, **values: object) -> str:
        """Give a sentence."""
        return _WORDS[word][self._place].format(**values)

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
        audit = f"{program()} --home {shlex.quote(str(places.home))} audit"
        row("audit", audit, self.say("audit_note"))
        rows.add_row("", "")
        rows.add_row("", self.say("stop"))
        return Panel(
            rows, title=self.say("title"), border_style="green", padding=(1, 2), expand=False
        )
