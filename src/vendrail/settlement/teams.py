"""Letters to all who work for a merchant."""

from collections.abc import Callable, Sequence
from uuid import UUID

from vendrail.api.identity import Identity, PeopleQuery, Person, PersonState
from vendrail.api.notify import Message, MessageStatus, Notify

WriteLetter = Callable[[Person], Message]


async def write_to_teams(
    identity: Identity, notify: Notify, told: Sequence[tuple[UUID, WriteLetter]]
) -> None:
    """Write to each merchant's people who may sign in; a letter's own id sends it once."""
    if not told:
        return
    teams = await identity.list_people([PeopleQuery(merchant) for merchant, _ in told])
    letters = [
        write(person)
        for (_, write), team in zip(told, teams, strict=True)
        for person in team
        if person.state is PersonState.ACTIVE
    ]
    if letters:
        statuses = await notify.send_messages(letters)
        assert MessageStatus.TEMPLATE_UNKNOWN not in statuses
