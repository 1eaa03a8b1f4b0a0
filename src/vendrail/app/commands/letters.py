"""`vendrail letters`: what is told to people by mail and Telegram, and what became of it."""

from typing import Annotated
from uuid import UUID

import typer

from vendrail.api.notify import (
    ChoiceStatus,
    LetterChoice,
    LetterQuery,
    LetterState,
    LetterView,
    Notify,
    RetryStatus,
)
from vendrail.app.acts import record_act
from vendrail.app.opened import opened_house, run
from vendrail.app.serials import read_serial
from vendrail.app.terminal import Json, Reason, need_reason, out, show_table, write_json
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import to_serial

app = typer.Typer(add_completion=False, no_args_is_help=True)

Letter = Annotated[str, typer.Argument(help="A letter, as `letters list` names it.")]

_REFUSALS = {
    RetryStatus.LETTER_NOT_FOUND: "There is no letter {}.",
    RetryStatus.NOT_ENDED: "Letter {} is on its way already.",
    RetryStatus.SENT_ALREADY: "Letter {} has been sent.",
    RetryStatus.CONTENT_ERASED: "What letter {} said is erased; let a new one be asked for.",
    RetryStatus.STALE: "What letter {} tells is no longer so.",
}


@app.callback()
def letters() -> None:
    """What is told to people by mail, and what became of it.

    What a letter says, and to whom, is not shown: it is sealed, and erased when it has left.

    Example: [bold]vendrail letters list --state failed[/]
    """


async def _list(query: LetterQuery) -> list[LetterView]:
    async with opened_house() as house:
        notify: Notify = house.api(Notify)
        return (await notify.list_letters([query]))[0]


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 100,
    *,
    state: Annotated[list[LetterState] | None, typer.Option(help="Only these.")] = None,
    order: Annotated[str, typer.Option(help="Only letters about this order.")] = "",
    json: Json = False,
) -> None:
    """List letters, the newest first, with why those did not leave that did not.

    Example: [bold]vendrail letters list --state failed --state unknown[/]
    """
    subject = read_serial(order) if order else None
    found = run(_list(LetterQuery(list(state or ()), limit, subject)))
    if json:
        write_json(found)
        return
    show_table(
        "",
        ("letter\nand what it is about", "template", "way", "state", "tries", "taken", "problem"),
        [
            (
                "\n".join(to_serial(id) for id in (letter.id, letter.subject) if id),
                letter.template,
                letter.way,
                letter.state,
                letter.attempts,
                f"{letter.taken_at:%Y-%m-%d %H:%M:%S}",
                letter.problem,
            )
            for letter in found
        ],
    )


async def _show(id: UUID) -> LetterView | None:
    async with opened_house() as house:
        notify: Notify = house.api(Notify)
        return (await notify.read_letters([id]))[0]


@app.command()
def show(letter: Letter, *, json: Json = False) -> None:
    """Show one letter: where it stands, since when, and until when it is of use.

    Example: [bold]vendrail letters show 01KB2M8Z7Q9V4T6W3X5Y1N0PQR[/]
    """
    id = read_serial(letter)
    found = run(_show(id))
    if found is None:
        raise Malformed(_REFUSALS[RetryStatus.LETTER_NOT_FOUND].format(to_serial(id)))
    if json:
        write_json(found)
        return
    show_table(
        "",
        ("of the letter", "is"),
        [
            ("number", to_serial(found.id)),
            ("template", found.template),
            ("way", found.way.value),
            ("about", to_serial(found.subject) if found.subject else ""),
            ("state", found.state.value),
            ("tries", str(found.attempts)),
            ("problem", found.problem),
            ("taken", found.taken_at),
            ("due", found.due_at),
            ("of use until", found.stale_at),
        ],
    )


async def _retry(id: UUID, reason: str) -> RetryStatus:
    async with opened_house() as house:
        record_act(house.platform.home, "letters.retry", to_serial(id), reason)
        notify: Notify = house.api(Notify)
        return (await notify.retry_letters([id]))[0]


@app.command()
def retry(letter: Letter, reason: Reason, *, json: Json = False) -> None:
    """Let a letter that failed, or may have left, be sent again; the running platform sends it.

    One that may have left can arrive twice: both carry one Message-ID, by which mail programs know
    a duplicate.

    Example: [bold]vendrail letters retry 01KB2M8Z7Q9V4T6W3X5Y1N0PQR --reason "server is back"[/]
    """
    id = read_serial(letter)
    status = run(_retry(id, need_reason(reason)))
    if status is not RetryStatus.WAITING:
        raise Malformed(_REFUSALS[status].format(to_serial(id)))
    if json:
        write_json({"id": to_serial(id), "state": "waiting"})
    else:
        out().print(f"{to_serial(id)} is tried again now.")


async def _choose(choice: LetterChoice, reason: str) -> ChoiceStatus:
    async with opened_house() as house:
        act = "letters.wanted" if choice.is_wanted else "letters.muted"
        record_act(house.platform.home, act, f"{choice.template} {choice.merchant}", reason)
        notify: Notify = house.api(Notify)
        return (await notify.choose_letters([choice]))[0]


@app.command()
def choose(
    merchant: Annotated[str, typer.Argument(help="A merchant's number.")],
    template: Annotated[str, typer.Argument(help="`stock_low`.")],
    reason: Reason,
    *,
    off: Annotated[
        bool, typer.Option("--off", help="They get none, instead of getting them.")
    ] = False,
    json: Json = False,
) -> None:
    """Say whether a merchant's staff get letters of one template.

    Example: [bold]vendrail letters choose 01KB2M8Z7Q9V4T6W3X5Y1N0PQR stock_low --off -r "asked"[/]
    """
    choice = LetterChoice(read_serial(merchant), template, not off)
    status = run(_choose(choice, need_reason(reason)))
    if status is ChoiceStatus.TEMPLATE_UNKNOWN:
        raise Malformed(f"{template} is no letter that a merchant may choose: stock_low is.")
    if json:
        write_json(choice)
    else:
        out().print(f"{template} is {'off' if off else 'on'} for {to_serial(choice.merchant)}.")
