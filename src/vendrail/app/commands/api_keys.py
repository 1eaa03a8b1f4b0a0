"""`vendrail api-keys`: the keys with which merchants' programs use their part of the API."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

import typer

from vendrail.api.catalog import Catalog, MerchantId
from vendrail.api.identity import (
    KEY_SCOPES,
    ApiKey,
    ApiKeyChange,
    ApiKeyChangeStatus,
    ApiKeyResult,
    ApiKeyStatus,
    ChangeStatus,
    Identity,
    NewApiKey,
    Permission,
)
from vendrail.app.commands.people import actor
from vendrail.app.opened import opened_house, run
from vendrail.app.serials import read_serial
from vendrail.app.terminal import Json, out, say, show_table, write_json
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import new_id, to_serial

app = typer.Typer(add_completion=False, no_args_is_help=True)

Merchant = Annotated[str, typer.Option(help="Whose part of the API it opens: the merchant's id.")]
Network = Annotated[
    list[str] | None,
    typer.Option(help="An address or network it is good from, once each; none: anywhere."),
]
_SCOPES = ", ".join(KEY_SCOPES)
_NETWORKS = "A network is such as 203.0.113.7, 203.0.113.0/24 or 2001:db8::/48; at most 50."
_REFUSALS = {
    ApiKeyStatus.NAME_MALFORMED: "Give the key a name of one short line, with --name.",
    ApiKeyStatus.SCOPES_MALFORMED: f"A scope is one of {_SCOPES}.",
    ApiKeyStatus.NETWORKS_MALFORMED: _NETWORKS,
    ApiKeyStatus.TOO_MANY: "The merchant has as many keys as it may; revoke one first.",
}


@app.callback()
def api_keys() -> None:
    """Keys for merchants' programs: made, listed, revoked.

    Example: [bold]vendrail api-keys list --merchant 01KB2M8Z7Q9V4T6W3X5Y1N0PQR[/]
    """


async def _create(
    merchant: UUID, name: str, scopes: list[Permission], days: int, networks: list[str]
) -> ApiKeyResult:
    async with opened_house() as house:
        catalog: Catalog = house.api(Catalog)
        identity: Identity = house.api(Identity)
        (shops,) = await catalog.list_shops([MerchantId(merchant)])
        known = {each.id for each in await identity.list_merchants(10_000, None)}
        if not shops and merchant not in known:
            raise Malformed(f"There is no merchant {to_serial(merchant)}.")
        now = house.clock.now()
        ends_at = now + timedelta(days=days) if days else None
        key = ApiKey(new_id(now), merchant, name, scopes, ends_at=ends_at, networks=networks)
        (result,) = await identity.make_api_keys([NewApiKey(key, actor())])
        return result


@app.command()
def create(
    merchant: Merchant,
    scope: Annotated[list[str], typer.Option(help=f"What it may do, once each: {_SCOPES}.")],
    name: Annotated[str, typer.Option(help="What it is for.")] = "command line",
    days: Annotated[int, typer.Option(min=0, help="How long it is good; 0: until revoked.")] = 0,
    network: Network = None,
    *,
    json: Json = False,
) -> None:
    """Make a key and print it, once: it is nowhere else, and never shown again.

    Example: [bold]vendrail api-keys create --merchant 01KB2M8Z… --scope orders:read[/]
    """
    if unknown := set(scope) - set(KEY_SCOPES):
        raise Malformed(
            f"No such scope: {', '.join(sorted(unknown))}. A scope is one of {_SCOPES}."
        )
    scopes = [Permission(each) for each in scope]
    result = run(_create(read_serial(merchant), name, scopes, days, network or []))
    if result.status is not ApiKeyStatus.MADE:
        raise Malformed(_REFUSALS.get(result.status, f"No key was made: {result.status}."))
    if json:
        write_json({"prefix": result.prefix, "key": result.secret, "scopes": scopes})
        return
    say("Keep this key: it is shown this once.")
    out().print(result.secret, soft_wrap=True)


async def _list(merchant: UUID) -> list[ApiKey]:
    async with opened_house() as house:
        identity: Identity = house.api(Identity)
        (found,) = await identity.list_api_keys([merchant])
        return found


@app.command("list")
def list_(merchant: Merchant, *, json: Json = False) -> None:
    """List a merchant's keys: never a key itself.

    Example: [bold]vendrail api-keys list --merchant 01KB2M8Z7Q9V4T6W3X5Y1N0PQR[/]
    """
    found = run(_list(read_serial(merchant)))
    if json:
        write_json(found)
        return
    show_table(
        "",
        ("id", "begins", "name", "scopes", "networks", "made by", "last used", "ends", "revoked"),
        [
            (
                to_serial(each.id),
                each.prefix,
                each.name,
                " ".join(each.scopes),
                " ".join(each.networks) or "any",
                each.made_by,
                each.used_at or "never",
                each.ends_at or "never",
                each.revoked_at or "no",
            )
            for each in found
        ],
    )


async def _allow(merchant: UUID, key: UUID, networks: list[str]) -> ApiKeyChangeStatus:
    async with opened_house() as house:
        identity: Identity = house.api(Identity)
        (status,) = await identity.change_api_keys([ApiKeyChange(merchant, key, networks, actor())])
        return status


@app.command()
def allow(
    key: Annotated[str, typer.Argument(help="The key's id, as `api-keys list` shows it.")],
    merchant: Merchant,
    network: Network = None,
    *,
    json: Json = False,
) -> None:
    """Say from which networks a key is good; without --network: from anywhere.

    Example: [bold]vendrail api-keys allow 01KB2M9A… --merchant 01KB2M8Z… --network 203.0.113.7[/]
    """
    status = run(_allow(read_serial(merchant), read_serial(key), network or []))
    if status is ApiKeyChangeStatus.NETWORKS_MALFORMED:
        raise Malformed(_NETWORKS)
    if status not in (ApiKeyChangeStatus.CHANGED, ApiKeyChangeStatus.UNCHANGED):
        raise Malformed("That merchant has no such key, or it was revoked before.")
    if json:
        write_json({"key": key, "status": status, "networks": network or []})
    else:
        out().print(f"Key {key} is good from {', '.join(network or []) or 'anywhere'}.")


async def _revoke(merchant: UUID, key: UUID) -> ChangeStatus:
    async with opened_house() as house:
        identity: Identity = house.api(Identity)
        (status,) = await identity.revoke_api_keys([(merchant, key)], actor())
        return status


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="The key's id, as `api-keys list` shows it.")],
    merchant: Merchant,
    *,
    json: Json = False,
) -> None:
    """End a key: within seconds it opens nothing any more.

    Example: [bold]vendrail api-keys revoke 01KB2M9A… --merchant 01KB2M8Z7Q9V4T6W3X5Y1N0PQR[/]
    """
    status = run(_revoke(read_serial(merchant), read_serial(key)))
    if status is not ChangeStatus.CHANGED:
        raise Malformed("That merchant has no such key, or it was revoked before.")
    if json:
        write_json({"key": key, "status": status})
    else:
        out().print(f"Key {key} is revoked.")
