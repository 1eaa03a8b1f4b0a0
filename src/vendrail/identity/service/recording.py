"""The log of privileged acts, its chain, and what two people must agree on."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from vendrail.api.identity import (
    Act,
    ActQuery,
    ChangeStatus,
    Proposal,
    ProposalState,
    ProposalVerdict,
    ProposalView,
    SealCheck,
)
from vendrail.identity import chain, decide
from vendrail.identity.service.ground import Ground
from vendrail.identity.store import acts, people

_SEALED_MAX = 500
_CHECKED_MAX = 10_000


class LogService:
    """Acts and proposals."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def record_acts(self, written: Sequence[Act]) -> list[bool]:
        """Write acts to the log, before they are done; the same id is written once."""
        async with self._ground.db.reading() as tx:
            added = await self._ground.write_acts(tx, written)
        return [act.id in added for act in written]

    async def list_acts(self, queries: Sequence[ActQuery]) -> list[list[Act]]:
        """Read pages of the log, newest first."""
        async with self._ground.db.reading() as tx:
            return [await acts.list_acts(tx, query) for query in queries]

    async def seal_acts(self) -> bool:
        """Chain some acts that are not yet; true: there may be more."""
        ground = self._ground
        async with ground.db.transaction() as tx:
            waiting = await acts.claim_unsealed(tx, _SEALED_MAX)
            if waiting:
                number, last = await acts.load_last_seal(tx)
                seals = []
                for act in waiting:
                    number, last = number + 1, chain.seal(ground.vault, last, number + 1, act.text)
                    seals.append((number, act.id, last))
                await acts.add_seals(tx, seals)
        return len(waiting) == _SEALED_MAX

    async def check_seals(self, after: int, seals_max: int) -> SealCheck:
        """Make each seal anew from the one before and its act, and compare."""
        ground, number = self._ground, max(0, after)
        async with ground.db.reading() as tx:
            last = await acts.load_seal(tx, number)
            sealed = await acts.load_sealed(tx, number, max(1, min(seals_max, _CHECKED_MAX)))
            waiting = await acts.count_unsealed(tx)
            lost = None if sealed else await acts.find_uncovered(tx)
        for checked, each in enumerate(sealed):
            number += 1
            wanted = chain.seal(ground.vault, last, number, each.text)
            if each.number != number or each.hash != wanted:
                return SealCheck(number, checked + 1, False, each.act, waiting)  # noqa: FBT003
            last = each.hash
        return SealCheck(number, len(sealed), lost is None, lost, waiting)

    async def propose_acts(self, proposals: Sequence[Proposal]) -> list[ProposalView]:
        """Put acts up for a second person; the same id is put up once."""
        ground, now = self._ground, self._ground.clock.now()
        ends_at = now + timedelta(hours=ground.settings.proposal_hours)
        unique = list({each.id: each for each in proposals}.values())
        async with ground.db.transaction() as tx:
            added = await acts.add_proposals(tx, unique, now, ends_at)
            await ground.write_acts(
                tx,
                [
                    ground.act(
                        each.by,
                        f"{each.act}.proposed",
                        each.subject,
                        each.merchant,
                        before=each.before,
                        after=each.payload,
                        reason=each.reason,
                    )
                    for each in unique
                    if each.id in added
                ],
            )
            views = await acts.load_proposals(tx, [each.id for each in unique], now)
        return [views[each.id] for each in proposals]

    async def decide_proposals(self, verdicts: Sequence[ProposalVerdict]) -> list[ChangeStatus]:
        """Approve or refuse: never the proposer, and only who holds the permission."""
        ground, now, statuses = self._ground, self._ground.clock.now(), []
        async with ground.db.transaction() as tx:
            for verdict in verdicts:
                views = await acts.load_proposals(tx, [verdict.proposal], now, is_locked=True)
                view = views.get(verdict.proposal)
                ids = [verdict.by.id] if verdict.by.id else []
                by = next(iter((await people.load_people(tx, ids)).values()), None)
                status = decide.decide_proposal(view, verdict, by)
                statuses.append(status)
                if view is None or status is not ChangeStatus.CHANGED:
                    continue
                state = ProposalState.APPROVED if verdict.is_approved else ProposalState.REFUSED
                await acts.set_proposal(tx, verdict.proposal, state, verdict.by.name, now)
                put = view.proposal
                act = ground.act(
                    verdict.by,
                    f"{put.act}.{state}",
                    put.subject,
                    put.merchant,
                    before={"proposal": view.state.value},
                    after={"proposal": state.value},
                )
                await ground.write_acts(tx, [act])
        return statuses

    async def finish_proposals(self, proposals: Sequence[UUID]) -> list[ChangeStatus]:
        """Take approved proposals to be carried out: each once."""
        ground, now, statuses = self._ground, self._ground.clock.now(), []
        async with ground.db.transaction() as tx:
            for id in proposals:
                view = (await acts.load_proposals(tx, [id], now, is_locked=True)).get(id)
                if view is None:
                    statuses.append(ChangeStatus.NOT_FOUND)
                elif view.state is not ProposalState.APPROVED:
                    statuses.append(ChangeStatus.UNCHANGED)
                else:
                    await acts.set_proposal(tx, id, ProposalState.DONE, "", now)
                    statuses.append(ChangeStatus.CHANGED)
        return statuses

    async def list_proposals(self, merchant: UUID | None, views_max: int) -> list[ProposalView]:
        """List proposals, the newest first."""
        now = self._ground.clock.now()
        async with self._ground.db.reading() as tx:
            return await acts.list_proposals(tx, merchant, now, max(0, min(views_max, 1_000)))
