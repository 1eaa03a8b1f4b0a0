"""Identity over a real database and real limits; the mail goes to a tray."""

from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest

from vendrail.api.identity import (
    Actor,
    ActorKind,
    ActQuery,
    Identity,
    Invitation,
    LinkUse,
    Origin,
    Proof,
    Role,
    SessionQuery,
    SignIn,
)
from vendrail.api.notify import ChatEndStatus, MessageStatus
from vendrail.identity.service import IdentityService
from vendrail.identity.settings import IdentitySettings
from vendrail.kernel import rpc
from vendrail.kernel.ids import new_id
from vendrail.kernel.limits import Limits

PASSWORD = "a quiet lake at dawn"
NOWHERE, HOME = Origin(), Origin("10.0.0.1")
CLI = Actor(ActorKind.COMMAND_LINE, None, "root (command line)")
QUICK = {"argon2_memory_kib": 64, "argon2_rounds": 1, "hashes_at_once_max": 4}


class Tray:
    """Takes messages and keeps them: what lies outside identity."""

    def __init__(self) -> None:
        self.messages = []
        self.at_end = None  # What happens while chats are ended.

    async def send_messages(self, messages):
        """Take messages."""
        self.messages += messages
        return [MessageStatus.TAKEN] * len(messages)

    async def end_chats(self, addresses):
        """Say that nobody has a chat."""
        if self.at_end is not None:
            await self.at_end()
        return [ChatEndStatus.NOT_LINKED] * len(addresses)


class World:
    """Identity as others meet it, and the people who come to it."""

    def __init__(self, clock, identity: Identity, service: IdentityService, tray: Tray, db) -> None:
        self.clock = clock
        self.identity = identity
        self.service = service
        self.tray = tray
        self.db = db
        self.merchant = new_id(clock.now())

    async def invite(self, email, role=Role.OWNER, merchant=None, by=CLI, name="North"):
        """Invite somebody; give the status and the link's token."""
        new = Invitation(new_id(self.clock.now()), email, merchant, role, by, merchant_name=name)
        return (await self.identity.invite_people([new]))[0]

    async def use(self, token, password=PASSWORD, name="Ann", origin=NOWHERE):
        """Follow a link."""
        return (await self.identity.use_links([LinkUse(token, password, name, "en", origin)]))[0]

    async def join(self, email, role=Role.OWNER, *, merchant=None):
        """Let somebody join, at the merchant unless the role is the operator's; give the token."""
        if not role.value.startswith("operator_"):
            merchant = merchant or self.merchant
        invited = await self.invite(email, role, merchant)
        return (await self.use(invited.token)).token

    async def session(self, token):
        """Give the session of a token."""
        return (await self.identity.read_sessions([SessionQuery(token)]))[0]

    async def sign_in(self, email, password=PASSWORD, origin=HOME):
        """Sign in with a password."""
        return (await self.identity.sign_in([SignIn(email, password, origin)]))[0]

    async def prove(self, token, code="", password=""):
        """Show a factor."""
        return (await self.identity.show_proofs([Proof(token, code, password)]))[0]

    async def enrol(self, token):
        """Set a second factor up; give its secret and the result."""
        [draft] = await self.identity.draft_factors([token])
        [result] = await self.identity.set_factors([Proof(token, self.code(draft.secret))])
        return draft.secret, result

    def code(self, secret, steps=0):
        """Give the code of now, or of some steps away."""
        return pyotp.TOTP(secret).generate_otp(int(self.clock.now().timestamp()) // 30 + steps)

    def actor(self, session):
        """Give a session's person as whoever acts."""
        return Actor(ActorKind.PERSON, session.person.id, session.person.email)

    async def acts(self, merchant=None, **more):
        """Name what is in the log, oldest first."""
        [found] = await self.identity.list_acts([ActQuery(merchant, 100, **more)])
        return [each.act for each in reversed(found)]


def secret_in(url):
    """Read the secret from what a QR code holds."""
    return parse_qs(urlsplit(url).query)["secret"][0]


@pytest.fixture
async def make_service(make_database, clock, vault, wakeups):
    """Make identity services over one database, as several processes would."""
    made = []
    tray = Tray()

    async def make(**settings):
        db, limits = await make_database("identity"), await make_database("limits", 2)
        service = IdentityService(
            db,
            vault,
            clock,
            wakeups,
            Limits(limits, vault, clock),
            tray,
            IdentitySettings(**(QUICK | settings)),
        )
        made.append(service)
        service.tray, service.test_db = tray, db
        return service

    yield make
    for service in made:
        await service.drain()
        await service.close()


@pytest.fixture(params=["local", "remote"])
async def world(request, make_service, clock) -> World:
    """The object itself, then over the wire."""
    service = await make_service()
    identity = rpc.loopback(Identity, service) if request.param == "remote" else service
    return World(clock, identity, service, service.tray, service.test_db)
