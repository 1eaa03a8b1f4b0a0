"""The demo's first operator: a link that is good once, and no password that anybody knows."""

from vendrail.api.identity import (
    Actor,
    ActorKind,
    Identity,
    Invitation,
    InviteStatus,
    PeopleQuery,
    Role,
)
from vendrail.app.terminal import person
from vendrail.app.wiring import House
from vendrail.kernel.ids import new_id

EMAIL = "operator@demo.example"


async def invite_operator(house: House) -> str:
    """Give a link to join by, while nobody has; the links of earlier starts end with it."""
    identity: Identity = house.api(Identity)
    query = PeopleQuery(None)
    [people], [invitations] = (
        await identity.list_people([query]),
        await identity.list_invitations([query]),
    )
    if people:
        return ""
    by = Actor(ActorKind.COMMAND_LINE, None, person())
    stale = [(each.id, None) for each in invitations if each.email == EMAIL]
    await identity.withdraw_links(stale, by)
    invitation = Invitation(new_id(house.clock.now()), EMAIL, None, Role.OPERATOR_ADMIN, by)
    [result] = await identity.invite_people([invitation])
    if result.status is not InviteStatus.INVITED:
        return ""
    return f"{house.platform.public_url.rstrip('/')}/join/{result.token}"
