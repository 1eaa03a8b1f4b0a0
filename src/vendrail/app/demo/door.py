"""The demo's door: merchants may register by themselves, until its operator says otherwise."""

from vendrail.api.identity import (
    Actor,
    ActorKind,
    Identity,
    RegistrationChange,
    RegistrationMode,
)
from vendrail.app.terminal import person
from vendrail.app.wiring import House

_TERMS = """# Terms of this demo

Everything here is made up: no money moves, no letter leaves this machine, no key opens anything.

这里的一切都是演示：没有真实资金，邮件不会寄出，卡密也打不开任何东西。
"""


async def open_door(house: House) -> None:
    """Let merchants come by themselves, while nobody has ever said who may."""
    identity: Identity = house.api(Identity)
    if (await identity.read_registration_policy()).terms_version:
        return
    by = Actor(ActorKind.COMMAND_LINE, None, person())
    await identity.change_registration([RegistrationChange(RegistrationMode.OPEN, _TERMS, by)])
