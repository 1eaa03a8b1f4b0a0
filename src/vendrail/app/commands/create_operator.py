"""`vendrail create-operator`: the first person who may let others in."""

from typing import Annotated

import typer

from vendrail.api.identity import Role
from vendrail.app.commands.people import invite_person, tell_link
from vendrail.app.opened import run
from vendrail.app.terminal import Json

app = typer.Typer(add_completion=False)


@app.command()
def create_operator(
    email: Annotated[
        str, typer.Option(prompt="E-mail", help="Their address; asked for where it is not given.")
    ],
    *,
    json: Json = False,
) -> None:
    """Invite an operator who may do everything, by a link that is good once.

    There is no password before they choose one, and no page of the operator's console opens before
    they have set a second factor up.

    Example: [bold]vendrail create-operator --email you@example.com[/]
    """
    tell_link(*run(invite_person(email, Role.OPERATOR_ADMIN, None, "")), is_json=json)
