"""The service: disputes listed, counted and answered; their money is carried in the background."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from vendrail.api.disputes import (
    AnswerStatus,
    DisputeAnswer,
    DisputeFigures,
    DisputeQuery,
    DisputesDue,
    DisputeView,
    DropEvidence,
    EvidenceFile,
    EvidenceQuery,
    PutEvidence,
    PutEvidenceStatus,
)
from vendrail.api.identity import Identity
from vendrail.api.notify import Notify
from vendrail.api.orders import Orders
from vendrail.api.payments import (
    Payments,
)
from vendrail.api.payments.disputes import DisputeEvidence, EvidenceStatus
from vendrail.api.settlement import Settlement
from vendrail.api.wallets import Wallets
from vendrail.disputes import decide, store
from vendrail.disputes.service.carrying import Carrying
from vendrail.disputes.service.filing import Filing, evidence_view
from vendrail.disputes.service.telling import Telling
from vendrail.disputes.settings import DisputesSettings
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import replace
from vendrail.kernel.db import Database, Row
from vendrail.kernel.ids import derive
from vendrail.kernel.numbers import Found, FoundKind, by_number, check, ids_in
from vendrail.kernel.outbox import Cursor, EventPage, Wakeups, read_events, trim_events
from vendrail.kernel.vault import Vault

_PAGE_MAX = 200
_ANSWER = "disputes.answer"
_ENDS = {
    EvidenceStatus.SENT: AnswerStatus.SENT,
    EvidenceStatus.REFUSED: AnswerStatus.PROVIDER_REFUSED,
    EvidenceStatus.UNSUPPORTED: AnswerStatus.UNSUPPORTED,
    EvidenceStatus.UNKNOWN: AnswerStatus.PROVIDER_AWAY,
}


class DisputesService:
    """Fulfils `api.disputes.Disputes`."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        clock: Clock,
        wakeups: Wakeups,
        settings: DisputesSettings,
        payments: Payments,
        orders: Orders,
        settlement: Settlement,
        wallets: Wallets,
    ) -> None:
        self._db = db
        self._vault = vault
        self._payments = payments
        self._orders = orders
        self._settings = settings
        self.filing = Filing(db, vault, clock)
        self.clock = clock
        self.wakeups = wakeups
        self.carrying = Carrying(
            db, clock, wakeups, settings, payments, orders, settlement, wallets
        )

    async def list_disputes(self, queries: Sequence[DisputeQuery]) -> list[list[DisputeView]]:
        """List merchants' disputes, newest first; a short page is the last."""
        async with self._db.reading() as tx:
            pages = [
                await store.list_disputes(
                    tx, replace(query, disputes_max=max(1, min(query.disputes_max, _PAGE_MAX)))
                )
                for query in queries
            ]
        return [[_view(row) for row in rows] for rows in pages]

    async def read_disputes(self, ids: Sequence[UUID]) -> list[DisputeView | None]:
        """Read disputes with what was said against them."""
        async with self._db.reading() as tx:
            rows = await store.read_disputes(tx, ids)
            files = await store.list_evidence(tx, ids)
        return [self._whole(rows[id], files.get(id, [])) if id in rows else None for id in ids]

    async def find_numbers(self, numbers: Sequence[str]) -> list[list[Found]]:
        """Find disputes by their ids or the providers' case numbers."""
        check(numbers)
        async with self._db.reading() as tx:
            rows = await store.find_disputes(tx, list(ids_in(numbers).values()), numbers)
        found = [(key, _found(row)) for row in rows for key in (row["id"], row["case_number"])]
        return by_number(numbers, found)

    async def trim_events(self) -> bool:
        """Delete some events that are old and were read by all; true: there may be more."""
        return await trim_events(self._db, self.clock.now(), self._settings.events_keep_days)

    async def read_events(self, cursors: Sequence[Cursor]) -> list[EventPage]:
        """Read what became of disputes, after a cursor."""
        async with self._db.reading() as tx:
            return [await read_events(tx, "disputes", cursor) for cursor in cursors]

    async def read_order_disputes(self, orders: Sequence[UUID]) -> list[list[DisputeView]]:
        """Read orders' disputes, first to last."""
        async with self._db.reading() as tx:
            rows = await store.read_of_orders(tx, orders)
        found: dict[UUID, list[DisputeView]] = {}
        for row in rows:
            found.setdefault(row["order_id"], []).append(_view(row))
        return [found.get(order, []) for order in orders]

    async def answer_disputes(self, answers: Sequence[DisputeAnswer]) -> list[AnswerStatus]:
        """Keep what merchants say, sealed, and send it to the provider, once."""
        return [await self._answer(each) for each in answers]

    async def _answer(self, answer: DisputeAnswer) -> AnswerStatus:
        now, text = self.clock.now(), answer.text.strip()
        key = self._vault.new_data_key()
        async with self._db.transaction() as tx:
            # Held while it is judged: of two answers at once, only one is sent.
            row = await store.lock_dispute(tx, answer.dispute)
            if row is None or answer.merchant not in (None, row["merchant"]):
                return AnswerStatus.DISPUTE_NOT_FOUND
            refusal = decide.may_answer(_view(row).state, row["answer_by"], text, now)
            if refusal is not None:
                return refusal
            if not row["is_answering"]:
                await store.begin_answer(tx, answer.dispute)  # From here on its files stay.
                sealed = self._vault.seal(key, _ANSWER, answer.dispute, text.encode())
                await store.keep_answer(tx, answer.dispute, sealed, key, answer.person, now)
            elif text != self._said((await store.read_disputes(tx, [answer.dispute]))[row["id"]]):
                return AnswerStatus.ON_ITS_WAY
        papers = await self.filing.papers(answer.dispute)
        evidence = DisputeEvidence(
            derive(answer.dispute, "answer"), row["channel"], row["case_number"], text, papers
        )
        status = _ENDS[(await self._payments.send_evidence([evidence]))[0]]
        async with self._db.reading() as tx:
            if status is AnswerStatus.SENT:
                await store.mark_answered(tx, answer.dispute, now)
            elif status is not AnswerStatus.PROVIDER_AWAY:
                await store.end_answer(tx, answer.dispute)
        return status

    async def put_evidence(self, files: Sequence[PutEvidence]) -> list[PutEvidenceStatus]:
        """Keep files against disputes, sealed; they are sent with the answer."""
        return await self.filing.put_evidence(files)

    async def drop_evidence(self, files: Sequence[DropEvidence]) -> list[PutEvidenceStatus]:
        """Take files away that were not sent."""
        return await self.filing.drop_evidence(files)

    async def read_evidence(self, queries: Sequence[EvidenceQuery]) -> list[EvidenceFile | None]:
        """Open files; None where they are not there, or not theirs."""
        return await self.filing.read_evidence(queries)

    async def find_due(self, merchants: Sequence[UUID]) -> list[DisputesDue]:
        """Say how many of merchants' disputes wait to be answered, and until when."""
        async with self._db.reading() as tx:
            rows = await store.find_due(tx, merchants, self.clock.now())
        found = {row["merchant"]: DisputesDue(*row) for row in rows}
        return [found.get(each) or DisputesDue(each, 0, None) for each in merchants]

    def telling(self, notify: Notify, identity: Identity) -> Telling:
        """Give the room that hands letters on."""
        return Telling(self._db, self.clock, self._settings, self._orders, notify, identity)

    async def count_disputes(
        self, merchants: Sequence[UUID], since: datetime
    ) -> list[DisputeFigures]:
        """Count merchants' disputes that were opened since a moment, for their rates."""
        async with self._db.reading() as tx:
            counts = await store.count(tx, merchants, since)
        return [counts[each] for each in merchants]

    def _whole(self, row: Row, files: Sequence[Row]) -> DisputeView:
        view = replace(_view(row), evidence=[evidence_view(each) for each in files])
        return view if row["answer_sealed"] is None else replace(view, answer=self._said(row))

    def _said(self, row: Row) -> str:
        """Open what was said against a dispute."""
        key = self._vault.load_data_key(row["key_id"], row["key_sealed"])
        return self._vault.unseal(key, _ANSWER, row["id"], row["answer_sealed"]).decode()


def _found(row: Row) -> Found:
    merchants = (row["merchant"],) if row["merchant"] else ()
    number, at = row["case_number"], row["opened_at"]
    return Found(FoundKind.DISPUTE, row["id"], number, at, row["order_id"], merchants)


def _view(row: Row) -> DisputeView:
    return DisputeView(
        id=row["id"],
        state=decide.state_of(row["outcome"], is_answered=row["answered_at"] is not None),
        order=row["order_id"],
        merchant=row["merchant"],
        channel_name=row["channel_name"],
        case_number=row["case_number"],
        provider_number=row["provider_number"],
        reason=row["reason"],
        amount_minor=row["amount_minor"],
        currency=row["currency"],
        fee_minor=row["fee_minor"],
        frozen_minor=row["frozen_minor"],
        frozen_currency=row["price_currency"] or row["currency"],
        opened_at=row["opened_at"],
        answer_by=row["answer_by"],
        ended_at=row["ended_at"],
        problem=row["problem"],
    )
