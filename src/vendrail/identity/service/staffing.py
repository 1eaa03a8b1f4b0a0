"""People where they work: who they are, what they may do, and what is done about them."""

from collections.abc import Sequence

from vendrail.api.identity import (
    ChangeStatus,
    MemberChange,
    Merchant,
    PeopleQuery,
    Person,
    PersonChange,
    PersonState,
    Role,
)
from vendrail.identity import decide
from vendrail.identity.service.ground import Ground
from vendrail.identity.store import factors, people, sessions
from vendrail.kernel.db import Transaction

_Done = tuple[str, dict[str, str], dict[str, str]]  # An act, and what it changed.


class StaffingService:
    """Members, locks, merchants' names."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def list_people(self, queries: Sequence[PeopleQuery]) -> list[list[Person]]:
        """List who works somewhere, by name."""
        async with self._ground.db.reading() as tx:
            return [await people.list_members(tx, query.merchant) for query in queries]

    async def find_people(self, emails: Sequence[str]) -> list[Person | None]:
        """Find people by their address."""
        cleaned = [decide.clean_email(email) or "" for email in emails]
        async with self._ground.db.reading() as tx:
            found = await people.load_accounts(tx, cleaned)
        return [found[email].person if email in found else None for email in cleaned]

    async def change_members(self, changes: Sequence[MemberChange]) -> list[ChangeStatus]:
        """Change what people may do somewhere; their sessions begin anew."""
        return [await self._change_member(change) for change in changes]

    async def _change_member(self, change: MemberChange) -> ChangeStatus:
        ground = self._ground
        async with ground.db.transaction() as tx:
            await people.lock_place(tx, change.merchant)
            members = await people.list_members(tx, change.merchant)
            ids = [change.by.id] if change.by.id else []
            by = next(iter((await people.load_people(tx, ids)).values()), None)
            status = decide.change_member(change, by, members)
            if status is not ChangeStatus.CHANGED:
                return status
            person = next(each for each in members if each.id == change.person)
            before = decide.membership_at(person, change.merchant)
            if change.role is None:
                await people.remove_membership(tx, person.id, change.merchant)
            else:
                now = ground.clock.now()
                await people.put_membership(tx, person.id, change.merchant, change.role, now)
            await sessions.end_all(tx, person.id)
            act = ground.act(
                change.by,
                "member.changed" if change.role else "member.removed",
                f"person:{person.email}",
                change.merchant,
                before=_role(before.role if before else None),
                after=_role(change.role),
            )
            await ground.write_acts(tx, [act])
        return ChangeStatus.CHANGED

    async def change_people(self, changes: Sequence[PersonChange]) -> list[ChangeStatus]:
        """Lock, unlock, take second factors off; what was open of theirs ends."""
        return [await self._change_person(change) for change in changes]

    async def _change_person(self, change: PersonChange) -> ChangeStatus:
        ground = self._ground
        async with ground.db.transaction() as tx:
            await people.lock_person(tx, change.person)
            account = await people.load_account(tx, change.person)
            if account is None:
                return ChangeStatus.NOT_FOUND
            ids = [change.by.id] if change.by.id else []
            by = next(iter((await people.load_people(tx, ids)).values()), None)
            there = decide.membership_at(by, None) if by else None
            if not decide.may_staff(by, change.by.kind, there):
                return ChangeStatus.NOT_ALLOWED
            done = await self._apply(tx, change, account.person)
            if not done:
                return ChangeStatus.UNCHANGED
            await sessions.end_all(tx, change.person)
            subject = f"person:{account.person.email}"
            await ground.write_acts(
                tx,
                [
                    ground.act(
                        change.by, name, subject, before=was, after=now, reason=change.reason
                    )
                    for name, was, now in done
                ],
            )
        return ChangeStatus.CHANGED

    @staticmethod
    async def _apply(tx: Transaction, change: PersonChange, person: Person) -> list[_Done]:
        """Do what is asked; name what it was, and what it changed."""
        done: list[_Done] = []
        is_locked = person.state is PersonState.LOCKED
        if change.is_locked is not None and change.is_locked is not is_locked:
            await people.set_locked(tx, person.id, is_locked=change.is_locked, by=change.by.name)
            state = PersonState.LOCKED if change.is_locked else PersonState.ACTIVE
            name = "person.locked" if change.is_locked else "person.unlocked"
            done.append((name, {"state": person.state.value}, {"state": state.value}))
        if change.is_factor_removed and await factors.remove_factors(tx, person.id):
            done.append(("factor.removed", {"second_factor": "on"}, {"second_factor": "off"}))
        return done

    async def put_merchants(self, merchants: Sequence[Merchant]) -> list[bool]:
        """Name merchants; true where one is new."""
        unique = {merchant.id: merchant for merchant in merchants}
        async with self._ground.db.transaction() as tx:
            added = await people.put_merchants(tx, list(unique.values()))
        return [merchant.id in added for merchant in merchants]

    async def list_merchants(self, merchants_max: int, after: Merchant | None) -> list[Merchant]:
        """List merchants by name, those after one; at most ten thousand at once."""
        async with self._ground.db.reading() as tx:
            return await people.list_merchants(tx, max(0, min(merchants_max, 10_000)), after)


def _role(role: Role | None) -> dict[str, str]:
    return {"role": role.value} if role else {}
