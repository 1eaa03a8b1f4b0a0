"""`vendrail people`: who works here, who is invited, who is locked out."""

from typing import Annotated

import typer

from vendrail.api.identity import (
    Actor,
    ActorKind,
    ChangeStatus,
    Identity,
    Invitation,
    InviteResult,
    InviteStatus,
    PeopleQuery,
    Person,
    PersonChange,
    Role,
)
from vendrail.app.opened import opened_house, run
from vendrail.app.serials import read_serial
from vendrail.app.terminal import (
    Json,
    Reason,
    need_reason,
    out,
    person,
    say,
    show_table,
    write_json,
)
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import new_id

app = typer.Typer(add_completion=False, no_args_is_help=True)

Merchant = Annotated[str | None, typer.Option(help="At this merchant; else for the operator.")]
_REFUSALS = {
    InviteStatus.EMAIL_MALFORMED: "That is no e-mail address.",
    InviteStatus.ROLE_MALFORMED: "That role is not of this side: operators' begin with operator_.",
    InviteStatus.MERCHANT_NOT_FOUND: "There is no such merchant; name a new one with --name.",
    InviteStatus.MEMBER_ALREADY: "That person works there already: see `vendrail people list`.",
}


@app.callback()
def people() -> None:
    """Who works here, who is invited, who is locked out.

    Example: [bold]vendrail people list[/]
    """


def actor() -> Actor:
    """Give the user of this machine as whoever acts."""
    return Actor(ActorKind.COMMAND_LINE, None, person())


async def _list(merchant: str | None) -> list[Person]:
    async with opened_house() as house:
        identity: Identity = house.api(Identity)
        query = PeopleQuery(read_serial(merchant) if merchant else None)
        [found] = await identity.list_people([query])
        return found


@app.command("list")
def list_(merchant: Merchant = None, *, json: Json = False) -> None:
    """List who works for the operator, or at a merchant.

    Example: [bold]vendrail people list --merchant 01KB2M8Z7Q9V4T6W3X5Y1N0PQR[/]
    """
    found = run(_list(merchant))
    if json:
        write_json(found)
        return
    place = read_serial(merchant) if merchant else None
    show_table(
        "",
        ("e-mail", "name", "role", "state", "second factor", "last signed in"),
        [
            (
                each.email,
                each.name,
                ", ".join(m.role for m in each.memberships if m.merchant == place),
                each.state,
                each.has_second_factor,
                each.signed_in_at or "never",
            )
            for each in found
        ],
    )


async def invite_person(
    email: str, role: Role, merchant: str | None, name: str
) -> tuple[InviteResult, str]:
    """Invite somebody; give how it ended and the link."""
    async with opened_house() as house:
        identity: Identity = house.api(Identity)
        now = house.clock.now()
        id = read_serial(merchant) if merchant else (new_id(now) if name else None)
        invitation = Invitation(new_id(now), email, id, role, actor(), merchant_name=name)
        [result] = await identity.invite_people([invitation])
        return result, f"{house.platform.public_url.rstrip('/')}/join/{result.token}"


def tell_link(result: InviteResult, link: str, *, is_json: bool) -> None:
    """Show the link, once; or say why there is none."""
    if result.status is not InviteStatus.INVITED:
        raise Malformed(_REFUSALS.get(result.status, f"No invitation was made: {result.status}."))
    if is_json:
        write_json({"status": result.status, "link": link})
        return
    say("Open this link within three days, once. It is mailed too, and never shown again:")
    out().print(link, soft_wrap=True)


@app.command()
def invite(
    email: Annotated[str, typer.Argument(help="The person's e-mail address.")],
    role: Annotated[Role, typer.Option(help="What they may do.")],
    merchant: Merchant = None,
    name: Annotated[str, typer.Option(help="The name of a merchant that is new.")] = "",
    *,
    json: Json = False,
) -> None:
    """Invite somebody to work for the operator, or at a merchant.

    Example: [bold]vendrail people invite ann@north.example --role owner --name "North Games"[/]
    """
    tell_link(*run(invite_person(email, role, merchant, name)), is_json=json)


async def _unlock(email: str, reason: str, *, is_factor_removed: bool) -> ChangeStatus:
    async with opened_house() as house:
        identity: Identity = house.api(Identity)
        [found] = await identity.find_people([email])
        if found is None:
            return ChangeStatus.NOT_FOUND
        change = PersonChange(found.id, reason, actor(), False, is_factor_removed)  # noqa: FBT003
        [status] = await identity.change_people([change])
        return status


@app.command()
def unlock(
    email: Annotated[str, typer.Argument(help="The person's e-mail address.")],
    reason: Reason,
    *,
    without_factor: Annotated[
        bool,
        typer.Option("--remove-factor", help="Take the second factor off, if it is lost."),
    ] = False,
    json: Json = False,
) -> None:
    """Let a person in again who is locked out, or has lost their second factor.

    Their sessions end. An operator must set a new second factor up before anything opens.

    Example: [bold]vendrail people unlock ann@north.example --reason "called back, it is her"[/]
    """
    why = need_reason(reason)
    status = run(_unlock(email, why, is_factor_removed=without_factor))
    if status is ChangeStatus.NOT_FOUND:
        raise Malformed(f"Nobody works here as {email}.")
    if json:
        write_json({"email": email, "status": status})
    elif status is ChangeStatus.UNCHANGED:
        out().print(f"{email} is not locked; nothing was changed.")
    else:
        out().print(f"{email} can sign in again.")
