"""Links: how people join, and how they get back in when they have lost their password."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import structlog

from vendrail.api.identity import (
    Actor,
    ActorKind,
    ChangeStatus,
    Invitation,
    InviteResult,
    InviteStatus,
    Link,
    LinkKind,
    LinkUse,
    Merchant,
    PeopleQuery,
    Person,
    PersonState,
    ProofResult,
    ProofStatus,
    ResetRequest,
)
from vendrail.api.notify import ChatEndStatus, Message, MessageStatus, Notify
from vendrail.identity import decide, passwords
from vendrail.identity.service.ground import Ground
from vendrail.identity.store import links, people, registrations, sessions
from vendrail.identity.store.people import Account
from vendrail.kernel.codec import replace
from vendrail.kernel.db import Transaction
from vendrail.kernel.errors import Error
from vendrail.kernel.ids import new_id

_log = structlog.get_logger(__name__)


class _LinkUsed(Exception):
    """A rival was faster: what was written with it is rolled back."""


class JoiningService:
    """Invitations and resets: links that are good once."""

    def __init__(self, ground: Ground, notify: Notify) -> None:
        self._ground = ground
        self._notify = notify
        self._mailing: set[asyncio.Task[None]] = set()

    async def invite_people(self, invitations: Sequence[Invitation]) -> list[InviteResult]:
        """Make links to join by, and mail them where a sender is; each for one person, once."""
        return [await self._invite(new) for new in invitations]

    async def _invite(self, new: Invitation) -> InviteResult:
        ground, now = self._ground, self._ground.clock.now()
        email = decide.clean_email(new.email) or ""
        token, token_hash = ground.new_token("link")
        async with ground.db.transaction() as tx:
            invited = (await people.load_accounts(tx, [email])).get(email)
            names = await people.load_merchants(tx, [new.merchant] if new.merchant else [])
            by = (await people.load_people(tx, [new.by.id])).get(new.by.id) if new.by.id else None
            status = decide.invite(
                new, by, invited.person if invited else None, is_merchant_known=bool(names)
            )
            if status is not InviteStatus.INVITED:
                return InviteResult(status)
            place = names.get(new.merchant, "") if new.merchant else ""
            if new.merchant and not place:
                place = " ".join(new.merchant_name.split())[: decide.NAME_LENGTH_MAX]
                await people.put_merchants(tx, [Merchant(new.merchant, place)])
            ends_at = now + timedelta(hours=ground.settings.invitation_hours)
            link = Link(
                new.id,
                LinkKind.INVITATION,
                email,
                new.merchant,
                new.role,
                invited is not None,
                new.by.name,
                now,
                ends_at,
                place,
            )
            if not await links.add_link(tx, link, token_hash):
                return InviteResult(InviteStatus.EXISTS)
            act = ground.act(
                new.by,
                "member.invited",
                f"person:{email}",
                new.merchant,
                after={"role": new.role.value},
            )
            await ground.write_acts(tx, [act])
        await self._mail(link, token, "invitation", new.locale)
        return InviteResult(InviteStatus.INVITED, token)

    async def _mail(self, link: Link, token: str, template: str, locale: str) -> None:
        """Mail a link. Where that fails the link is still good, and shown to who made it."""
        ground = self._ground
        life = link.ends_at - link.made_at
        values = {
            "link": f"{ground.settings.public_url.rstrip('/')}/join/{token}",
            "by": link.invited_by,
            "place": link.merchant_name or ground.settings.site_name,
            "minutes": str(int(life.total_seconds()) // 60),
            "hours": str(int(life.total_seconds()) // 3600),
        }
        try:
            [status] = await self._notify.send_messages(
                [Message(link.id, link.email, template, locale, values)]
            )
        except Error as error:
            _log.warning("identity.not_mailed", link=str(link.id), error=error.message)
            return
        if status is not MessageStatus.TAKEN:
            _log.warning("identity.not_mailed", link=str(link.id), status=str(status))

    async def request_resets(self, requests: Sequence[ResetRequest]) -> list[ProofStatus]:
        """Send links by mail; whether there is such a person is not told, nor to be measured."""
        return [await self._request(request) for request in requests]

    async def _request(self, request: ResetRequest) -> ProofStatus:
        email = decide.clean_email(request.email)
        if email is None:
            return ProofStatus.REFUSED
        if await self._ground.wait_for(request.origin, f"reset:{email}"):
            return ProofStatus.LIMITED
        # The answer does not wait for what only happens where there is such a person.
        task = asyncio.create_task(self._send_reset(email, request))
        self._mailing.add(task)
        task.add_done_callback(self._mailing.discard)
        return ProofStatus.ACCEPTED

    async def _send_reset(self, email: str, request: ResetRequest) -> None:
        ground, now = self._ground, self._ground.clock.now()
        try:
            async with ground.db.transaction() as tx:
                account = (await people.load_accounts(tx, [email])).get(email)
                if account is None or account.locked_by:
                    return
                token, token_hash = ground.new_token("link")
                ends_at = now + timedelta(minutes=ground.settings.reset_minutes)
                id = new_id(now)
                link = Link(
                    id,
                    LinkKind.RESET,
                    email,
                    None,
                    None,
                    is_known=True,
                    invited_by="",
                    made_at=now,
                    ends_at=ends_at,
                )
                await links.add_link(tx, link, token_hash)
                by = Actor(ActorKind.SYSTEM, None, "reset", replace(request.origin, device=""))
                await ground.write_acts(
                    tx, [ground.act(by, "password.reset_asked", f"person:{email}")]
                )
            await self._mail(link, token, "reset", request.locale)
        except Error as error:
            _log.warning("identity.not_mailed", error=error.message)

    async def drain(self) -> None:
        """Wait for mails on their way."""
        await asyncio.gather(*self._mailing)

    async def read_links(self, tokens: Sequence[str]) -> list[Link | None]:
        """Say what links are good for; None: used, withdrawn, too old or no link at all."""
        ground = self._ground
        hashes = [ground.hash("link", token) for token in tokens]
        async with ground.db.reading() as tx:
            found = await links.load_links(tx, hashes, ground.clock.now())
        return [found.get(key) for key in hashes]

    async def use_links(self, uses: Sequence[LinkUse]) -> list[ProofResult]:
        """Join, or set a password anew; each link once. Gives a session."""
        return [await self._use(use) for use in uses]

    async def _use(self, use: LinkUse) -> ProofResult:
        try:
            return await self._follow(use)
        except _LinkUsed:
            return ProofResult(ProofStatus.REFUSED)

    async def _follow(self, use: LinkUse) -> ProofResult:
        ground = self._ground
        wait_s = await ground.wait_for(use.origin, f"link:{ground.hash('link', use.token).hex()}")
        if wait_s:
            return ProofResult(ProofStatus.LIMITED, wait_s=wait_s)
        [link] = await self.read_links([use.token])
        if link is None:
            return ProofResult(ProofStatus.REFUSED)
        async with ground.db.reading() as tx:
            account = (await people.load_accounts(tx, [link.email])).get(link.email)
        if link.kind is LinkKind.INVITATION and account is not None:
            return await self._join_known(link, account, use)
        judged = passwords.judge(use.password, link.email, use.name, ground.settings.site_name)
        if judged is not ProofStatus.ACCEPTED:
            return ProofResult(judged)
        stored = await ground.passwords.hash(use.password)
        if link.kind is LinkKind.RESET:
            return await self._reset(link, account, stored, use)
        return await self._join_new(link, stored, use)

    async def _join_known(self, link: Link, account: Account, use: LinkUse) -> ProofResult:
        ground, person = self._ground, account.person
        if not await ground.passwords.check(account.password, use.password):
            return ProofResult(ProofStatus.REFUSED)
        if person.state is not PersonState.ACTIVE:
            return ProofResult(ProofStatus.REFUSED)
        async with ground.db.transaction() as tx:
            return await self._join(tx, link, person, use)

    async def _join_new(self, link: Link, stored: str, use: LinkUse) -> ProofResult:
        ground, now = self._ground, self._ground.clock.now()
        person = new_id(now)
        name = decide.clean_name(use.name, link.email)
        async with ground.db.transaction() as tx:
            if not await people.add_person(tx, person, link.email, name, use.locale, stored, now):
                return ProofResult(ProofStatus.REFUSED)
            account = await people.load_account(tx, person)
            if account is None:
                return ProofResult(ProofStatus.REFUSED)
            return await self._join(tx, link, account.person, use)

    async def _join(self, tx: Transaction, link: Link, person: Person, use: LinkUse) -> ProofResult:
        """Make somebody a member by a link that is used up with it, and begin a session."""
        ground, now = self._ground, self._ground.clock.now()
        if link.role is None or not await links.use_link(tx, link.id, now):
            raise _LinkUsed
        await people.put_membership(tx, person.id, link.merchant, link.role, now)
        # A link with the id of an application is its yes: they come as if the door were open.
        applied = (await registrations.load_applications(tx, [link.id])).get(link.id)
        if applied is not None and link.merchant is not None:
            await registrations.need_factor(tx, person.id)
            version = applied.terms_version
            await registrations.accept_terms(tx, link.merchant, version, person.id, now)
        joined = (await people.load_people(tx, [person.id]))[person.id]
        token, session = await ground.begin_session(tx, joined, use.origin)
        by = Actor(ActorKind.PERSON, person.id, person.email, session.origin)
        act = ground.act(
            by,
            "member.joined",
            f"person:{person.email}",
            link.merchant,
            after={"role": link.role.value, "invited_by": link.invited_by},
        )
        await ground.write_acts(tx, [act])
        return ProofResult(ProofStatus.ACCEPTED, token)

    async def _reset(
        self, link: Link, account: Account | None, stored: str, use: LinkUse
    ) -> ProofResult:
        """Set a password anew: everything open ends, a second factor is still asked for."""
        ground, now = self._ground, self._ground.clock.now()
        if account is None or account.locked_by:
            return ProofResult(ProofStatus.REFUSED)
        person = replace(account.person, state=PersonState.ACTIVE)
        # Before all else: whoever linked a chat of theirs is to hear nothing after this.
        [chat] = await self._notify.end_chats([person.email])
        async with ground.db.transaction() as tx:
            if not await links.use_link(tx, link.id, now):
                return ProofResult(ProofStatus.REFUSED)
            await people.set_password(tx, person.id, stored)
            await people.set_locked(tx, person.id, is_locked=False, by="")
            await people.forget_devices(tx, person.id)
            await sessions.end_all(tx, person.id)
            token, session = await ground.begin_session(tx, person, use.origin)
            by = Actor(ActorKind.PERSON, person.id, person.email, session.origin)
            acts = [ground.act(by, "password.reset", f"person:{person.email}")]
            if chat is ChatEndStatus.ENDED:
                acts.append(ground.act(by, "chat.ended", f"person:{person.email}"))
            await ground.write_acts(tx, acts)
        # Until here a session of somebody else could have linked another.
        try:
            await self._notify.end_chats([person.email])
        except Error as error:
            _log.warning("identity.chats_not_ended", error=error.message)
        return ProofResult(ProofStatus.ACCEPTED, token)

    async def list_invitations(self, queries: Sequence[PeopleQuery]) -> list[list[Link]]:
        """List the invitations that are still open."""
        now = self._ground.clock.now()
        async with self._ground.db.reading() as tx:
            return [await links.list_invitations(tx, each.merchant, now) for each in queries]

    async def withdraw_links(
        self, withdrawn: Sequence[tuple[UUID, UUID | None]], by: Actor
    ) -> list[ChangeStatus]:
        """Withdraw invitations, each (link, merchant), before they are followed."""
        ground, statuses = self._ground, []
        async with ground.db.transaction() as tx:
            for link, merchant in withdrawn:
                row = await links.withdraw(tx, link, merchant, ground.clock.now())
                if row is None:
                    statuses.append(ChangeStatus.NOT_FOUND)
                    continue
                act = ground.act(
                    by,
                    "invitation.withdrawn",
                    f"person:{row['email']}",
                    merchant,
                    before={"role": row["role"] or ""},
                )
                await ground.write_acts(tx, [act])
                statuses.append(ChangeStatus.CHANGED)
        return statuses
