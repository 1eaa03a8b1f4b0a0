"""`vendrail channels`: accounts with payment providers."""

import tomllib
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer

from vendrail.api.payments import ChannelAccount, ChannelId, ChannelStatus, Payments
from vendrail.app.acts import record_act
from vendrail.app.opened import opened_house, run
from vendrail.app.terminal import (
    Json,
    Reason,
    need_reason,
    out,
    show_table,
    write_json,
)
from vendrail.app.wiring import House
from vendrail.kernel.codec import Record, replace
from vendrail.kernel.errors import Malformed
from vendrail.payments.channels.base import SettingProblem, check_settings, registry

app = typer.Typer(add_completion=False, no_args_is_help=True)

_KNOWN = {"kind", "title", "currencies", "confirm_above_minor", "settings"}


@app.callback()
def channels() -> None:
    """Accounts with payment providers.

    Example: [bold]vendrail channels list[/]
    """


class ChannelFile(Record, frozen=True):
    """A channel account as its file says."""

    kind: str
    title: str
    currencies: list[str]
    settings: dict[str, str]
    confirm_above_minor: int = 0


def read_channel_file(path: Path) -> ChannelFile:
    """Read a channel's TOML; a setting may be a text, or {file = "…"} beside it."""
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Malformed(f"{path} cannot be read: {error}.") from error
    unknown = sorted(table.keys() - _KNOWN)
    if unknown or not isinstance(table.get("settings"), dict):
        what = f"{unknown[0]!r} is not known" if unknown else "the table [settings] is missing"
        raise Malformed(f"{path}: {what}; it has {', '.join(sorted(_KNOWN))}.")
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in registry():
        raise Malformed(f"{path}: kind is one of {', '.join(sorted(registry()))}.")
    settings = {name: _read_value(path, name, value) for name, value in table["settings"].items()}
    currencies = table.get("currencies") or list(registry()[kind].currencies)
    return ChannelFile(
        kind,
        str(table.get("title") or kind),
        [str(currency) for currency in currencies],
        settings,
        int(table.get("confirm_above_minor", 0)),
    )


def _read_value(path: Path, name: str, value: Any) -> str:
    if isinstance(value, dict) and set(value) == {"file"}:
        beside = path.parent / str(value["file"])
        try:
            return beside.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Malformed(f"{path}, {name}: {beside} cannot be read.") from error
    if isinstance(value, (str, int)):
        return str(value)
    raise Malformed(f'{path}, {name}: write a text, or {{file = "…"}}.')


async def _list() -> tuple[str, list[ChannelAccount]]:
    async with opened_house() as house:
        payments: Payments = house.api(Payments)
        return house.platform.public_url, await payments.list_channels()


@app.command("list")
def list_(*, json: Json = False) -> None:
    """List the accounts, with the address that each provider must call. Secrets are masked.

    Example: [bold]vendrail channels list --json[/]
    """
    public_url, found = run(_list())
    if json:
        write_json(found)
        return
    show_table(
        "",
        ("name", "kind", "title", "currencies", "active", "callbacks arrive at"),
        [
            (
                each.name,
                each.kind,
                each.title,
                ", ".join(each.currencies),
                each.is_active,
                f"{public_url}/callbacks/{each.id}",
            )
            for each in found
        ],
    )


async def _find(house: House, name: str) -> ChannelAccount | None:
    payments: Payments = house.api(Payments)
    found = await payments.list_channels()
    return next((account for account in found if account.name == name), None)


async def _add(name: str, file: ChannelFile, reason: str) -> tuple[ChannelStatus, str]:
    async with opened_house() as house:
        before = await _find(house, name)
        if before is None:
            _check(file)
        record_act(house.platform.home, "channels.add", name, reason)
        account = ChannelAccount(
            before.id if before else ChannelId(uuid4()),
            name,
            file.kind,
            file.title,
            file.currencies,
            file.settings,
            is_active=before.is_active if before else True,
            confirm_above_minor=file.confirm_above_minor,
        )
        payments: Payments = house.api(Payments)
        [status] = await payments.put_channels([account])
        return status, f"{house.platform.public_url}/callbacks/{account.id}"


def _check(file: ChannelFile) -> None:
    """Say which setting is wrong before anything is written; never what it holds."""
    try:
        check_settings(registry()[file.kind], file.settings)
    except SettingProblem as problem:
        raise Malformed(f"The setting {problem}") from problem


_ADVICE = {
    ChannelStatus.NAME_TAKEN: "another account has this name.",
    ChannelStatus.KIND_UNKNOWN: "its kind is not installed.",
    ChannelStatus.SETTING_MISSING: "a setting is missing; the log above names it.",
    ChannelStatus.SETTING_MALFORMED: "a setting is not right; the log above names it.",
}


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Letters a-z, digits, hyphens; it never changes.")],
    file: Annotated[Path, typer.Argument(help="A TOML file with kind, title and [settings].")],
    reason: Reason,
    *,
    json: Json = False,
) -> None:
    """Add an account from a file, or change the one of that name. Secrets are sealed, never shown.

    The file says kind = "alipay" and title = "支付宝"; its table of settings what the channel asks
    for, each a text or {file = "app.key"}. A secret that is left out stays as it is.

    Example: [bold]vendrail channels add alipay alipay.toml --reason "new contract"[/]
    """
    status, address = run(_add(name, read_channel_file(file), need_reason(reason)))
    if status in _ADVICE:
        raise Malformed(f"{name}: {_ADVICE[status]}")
    if json:
        write_json({"name": name, "status": status, "callbacks": address})
    else:
        out().print(f"{name}: {status}. Its provider must call {address}")


async def _switch(name: str, reason: str, *, is_active: bool) -> ChannelStatus:
    async with opened_house() as house:
        account = await _find(house, name)
        if account is None:
            raise Malformed(f"There is no channel {name!r}: see `vendrail channels list`.")
        act = "channels.enable" if is_active else "channels.disable"
        record_act(house.platform.home, act, name, reason)
        payments: Payments = house.api(Payments)
        [status] = await payments.put_channels([replace(account, is_active=is_active)])
        return status


@app.command()
def disable(name: str, reason: Reason, *, json: Json = False) -> None:
    """Offer an account no more: nothing new is asked for, and its callbacks are refused.

    Example: [bold]vendrail channels disable alipay --reason "key leaked"[/]
    """
    status = run(_switch(name, need_reason(reason), is_active=False))
    if json:
        write_json({"name": name, "status": status, "is_active": False})
    else:
        out().print(f"{name} is offered no more ({status}).")


@app.command()
def enable(name: str, reason: Reason, *, json: Json = False) -> None:
    """Offer an account again.

    Example: [bold]vendrail channels enable alipay --reason "new key is in"[/]
    """
    status = run(_switch(name, need_reason(reason), is_active=True))
    if json:
        write_json({"name": name, "status": status, "is_active": True})
    else:
        out().print(f"{name} is offered ({status}).")
