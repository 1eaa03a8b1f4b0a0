"""The generated pages of docs/reference: made of what the program is, so that they cannot lie."""

import io
import pkgutil
from collections.abc import Callable, Iterator
from enum import StrEnum
from importlib import import_module
from inspect import isclass
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.text import Text

from vendrail import api
from vendrail.app.__main__ import COMMANDS, load
from vendrail.app.audit import CHECKS
from vendrail.app.rooms import rooms
from vendrail.kernel import config
from vendrail.kernel.codec import Record
from vendrail.kernel.config import Field, PlatformSettings
from vendrail.kernel.telemetry.metrics import METRICS

_MADE = "<!-- Made by `make docs`; do not edit. -->\n"


def _plain(text: str | None) -> str:
    """Take the markup of the terminal off."""
    return Text.from_markup(text or "").plain.replace("\b", "")


def walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Give a command and all below it, each with its whole name."""
    yield name, command
    for part, below in getattr(command, "commands", {}).items():
        yield from walk(f"{name} {part}", below)


def commands() -> Iterator[tuple[str, Any]]:
    """Give every command of the command line, loaded."""
    for row in COMMANDS:
        yield from walk(f"vendrail {row.name}", load(row))


def _paragraphs(help_text: str) -> list[str]:
    parts = [" ".join(part.split()) for part in _plain(help_text).split("\n\n")]
    return [part for part in parts if part]


def _argument(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.rstrip("_").upper())


def _parameters(command: Any) -> Iterator[str]:
    for parameter in command.params:
        if parameter.name == "help" or getattr(parameter, "hidden", False):
            continue
        is_option = parameter.param_type_name == "option"
        words = [*parameter.opts, *parameter.secondary_opts] if is_option else []
        shown = ", ".join(f"`{word}`" for word in words) or f"`{_argument(parameter)}`"
        needed = "needed" if parameter.required else ""
        help_text = _plain(getattr(parameter, "help", "") or "").replace("|", "\\|")
        yield f"| {shown} | {needed} | {help_text} |"


def write_cli() -> str:
    """Write docs/reference/cli.md."""
    page = io.StringIO()
    page.write(f"# The command line\n\n{_MADE}\n")
    page.write(
        "`vendrail --home FOLDER COMMAND …` works on another home folder. Exit codes: 0 done,"
        " 1 something was found, 2 the request is wrong, 3 try again later, 4 a promise of ours is"
        " broken. With `--json`, the last line of standard output is one object.\n"
    )
    for name, command in commands():
        level = "##" if name.count(" ") == 1 else "###"
        page.write(f"\n{level} {name}\n")
        for paragraph in _paragraphs(command.help or ""):
            if paragraph.startswith("Example: "):
                page.write(f"\n    {paragraph.removeprefix('Example: ')}\n")
            else:
                page.write(f"\n{paragraph}\n")
        rows = list(_parameters(command))
        if rows:
            page.write("\n| | | |\n|---|---|---|\n" + "\n".join(rows) + "\n")
    return page.getvalue()


def write_settings() -> str:
    """Write docs/reference/settings.md."""
    page = io.StringIO()
    page.write(f"# Settings\n\n{_MADE}\n")
    page.write(
        "From the environment, else from `vendrail.toml` in the home folder (the platform's at the"
        " top, each room's in a table of its name), else the default. `vendrail config` shows what"
        " is set here.\n"
    )
    tables: dict[str, list[Field]] = {"platform": config.fields(PlatformSettings, "")}
    tables |= {name: config.fields(kind, name) for name, kind in rooms().items()}
    for name, fields in tables.items():
        page.write(f"\n## {name}\n\n| variable | default | what it does |\n|---|---|---|\n")
        for field in fields:
            default = f"`{field.default}`" if field.default else ""
            page.write(f"| `{field.variable}` | {default} | {field.help} |\n")
    return page.getvalue()


def write_audit() -> str:
    """Write docs/reference/audit.md."""
    page = io.StringIO()
    page.write(f"# What the audit proves\n\n{_MADE}\n")
    page.write("Each check of `vendrail audit`, and the promise it holds the books to.\n\n")
    page.write("| check | promise |\n|---|---|\n")
    for check in CHECKS:
        page.write(f"| `{check.name}` | {check.promise} |\n")
    return page.getvalue()


def write_metrics() -> str:
    """Write docs/reference/metrics.md."""
    page = io.StringIO()
    page.write(f"# Metrics\n\n{_MADE}\n")
    page.write(
        "What `/metrics` tells, in the Prometheus text format: to private addresses, or to whoever"
        " holds `VENDRAIL_METRICS_TOKEN`.\n\n"
    )
    page.write("| metric | kind | labels | what it counts |\n|---|---|---|---|\n")
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        page.write(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |\n")
    return page.getvalue()


def nouns(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Give what one api declares, in a file or a folder: its records, statuses and interface."""
    own = (module.__name__, f"{module.__name__}.")
    for name, noun in vars(module).items():
        is_own = isclass(noun) and (noun.__module__ == own[0] or noun.__module__.startswith(own[1]))
        if is_own and not name.startswith("_"):
            yield name, noun


def apis() -> Iterator[tuple[str, ModuleType]]:
    """Give each service's api file, by the service's name."""
    for found in pkgutil.iter_modules(api.__path__):
        yield found.name, import_module(f"{api.__name__}.{found.name}")


def _first_line(noun: Any) -> str:
    return (noun.__doc__ or "").strip().split("\n\n")[0].replace("\n    ", " ").replace("|", "\\|")


def write_api() -> str:
    """Write docs/reference/api.md."""
    page = io.StringIO()
    page.write(f"# The apis\n\n{_MADE}\n")
    page.write("Every operation takes a batch and gives one result for each item, in order.\n")
    for service, module in apis():
        found = dict(nouns(module))
        statuses = {name: noun for name, noun in found.items() if issubclass(noun, StrEnum)}
        page.write(f"\n## {service}\n\n{(module.__doc__ or '').strip()}\n")
        for protocol in (noun for noun in found.values() if getattr(noun, "_is_protocol", False)):
            page.write("\n| operation | |\n|---|---|\n")
            for name, operation in vars(protocol).items():
                if not name.startswith("_") and callable(operation):
                    page.write(f"| `{name}` | {_first_line(operation)} |\n")
        page.write("\n| status | | one of |\n|---|---|---|\n")
        for name, status in statuses.items():
            values = ", ".join(f"`{value.value}`" for value in status)
            page.write(f"| `{name}` | {_first_line(status)} | {values} |\n")
        page.write("\n| record | |\n|---|---|\n")
        for name, record in found.items():
            if issubclass(record, Record):
                page.write(f"| `{name}` | {_first_line(record)} |\n")
    return page.getvalue()


PAGES: dict[str, Callable[[], str]] = {
    "api.md": write_api,
    "cli.md": write_cli,
    "settings.md": write_settings,
    "audit.md": write_audit,
    "metrics.md": write_metrics,
}


def stale_pages(folder: Path) -> list[str]:
    """Name the pages that are not as the program would write them now."""
    return [
        name
        for name, write in PAGES.items()
        if not (folder / name).is_file() or (folder / name).read_text("utf-8") != write()
    ]


def write_pages(folder: Path) -> list[str]:
    """Write the pages that are stale; give their names."""
    names = stale_pages(folder)
    for name in names:
        (folder / name).write_text(PAGES[name](), "utf-8")
    return names
