"""Payouts, whole: what the api promises, each promise kept in the room that knows how."""

from collections.abc import Sequence
from uuid import UUID

from vendrail.api.compliance import Compliance
from vendrail.api.identity import Identity
from vendrail.api.ledger import Ledger
from vendrail.api.notify import Notify
from vendrail.api.payments import Payments
from vendrail.api.payouts import (
    Bank,
    BankAnswer,
    BankFile,
    BankFileContent,
    BankFileQuery,
    BankFileRequest,
    BankLine,
    BankLineQuery,
    BankNote,
    BankStatus,
    BankWaiting,
    Batch,
    BatchVerdict,
    BatchVerdictStatus,
    NewBankAnswer,
    NewBatch,
    NewPayee,
    NewPayout,
    PaidOut,
    PaidOutQuery,
    Payee,
    PayeeId,
    PayeeProof,
    PayeeState,
    PayeeStatus,
    PayeeTest,
    PayoutChannel,
    PayoutId,
    PayoutOrigin,
    PayoutQuery,
    PayoutSchedule,
    PayoutState,
    PayoutStatus,
    PayoutStep,
    PayoutTerms,
    PayoutVerdict,
    PayoutVerdictStatus,
    PayoutView,
    Remittance,
    RemittanceQuery,
    RemittanceStatus,
    RemittanceView,
    Reserve,
    ReserveChange,
    ReserveForecast,
    ReserveStatus,
    ReviewSum,
    SchedulePutStatus,
    ScheduleView,
    Taken,
    TakenAnswer,
    TermsPutStatus,
    VerifyStatus,
)
from vendrail.kernel.clock import Clock
from vendrail.kernel.db import Database, Row
from vendrail.kernel.ids import to_serial
from vendrail.kernel.numbers import Found, FoundKind, by_number, check, ids_in
from vendrail.kernel.outbox import Cursor, EventPage, Wakeups, read_events, trim_events
from vendrail.kernel.telemetry import Metrics
from vendrail.kernel.vault import Vault
from vendrail.payouts import decide
from vendrail.payouts.advancing import Advancing
from vendrail.payouts.answers import Answers
from vendrail.payouts.banks import Banks
from vendrail.payouts.books import Posting
from vendrail.payouts.forecasting import Forecasting
from vendrail.payouts.knowing import Knowing
from vendrail.payouts.payees import Payees
from vendrail.payouts.remitting import Remitting
from vendrail.payouts.requesting import Requesting
from vendrail.payouts.reserves import Reserves
from vendrail.payouts.reviewing import Reviewing
from vendrail.payouts.scheduling import Scheduling
from vendrail.payouts.settings import PayoutsSettings
from vendrail.payouts.store import payees as payees_store
from vendrail.payouts.store import payouts as payouts_store
from vendrail.payouts.store import terms as terms_store
from vendrail.payouts.telling import Telling
from vendrail.payouts.terms import Terms
from vendrail.payouts.tracing import Tracing
from vendrail.payouts.ways import Ways

TOPIC = "payouts"
_LISTED_MAX = 200


class PayoutsService:
    """Fulfils `api.payouts.Payouts`."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        clock: Clock,
        wakeups: Wakeups,
        metrics: Metrics,
        settings: PayoutsSettings,
        ledger: Ledger,
        payments: Payments,
        identity: Identity,
        notify: Notify,
        compliance: Compliance,
    ) -> None:
        self._db = db
        self._settings = settings
        self.clock = clock
        self.wakeups = wakeups
        for state in PayoutState:
            metrics.count("vendrail_payouts_total", state, by=0)
        posting = Posting(ledger)
        self._terms = Terms(db, settings)
        self._ways = Ways(db, payments)
        self._payees = Payees(db, vault, clock, settings, ledger, self._ways)
        self._telling = Telling(db, clock, settings, identity, notify)
        knowing = Knowing(compliance)
        self._banks = Banks(db, clock, self._payees, knowing)
        self._answers = Answers(db, clock)
        self._reviewing = Reviewing(db, clock)
        self._advancing = Advancing(
            db, clock, metrics, settings, posting, payments, self._payees, self._terms, knowing
        )
        self._requesting = Requesting(
            db, clock, ledger, knowing, self._payees, self._terms, self._advancing
        )
        self._reserves = Reserves(db, clock, posting, self._ways)
        self._forecasting = Forecasting(
            db, clock, metrics, settings, self._reserves, identity, notify
        )
        self._remitting = Remitting(db, clock, posting, payments)
        self._tracing = Tracing(db, clock, ledger)
        self._scheduling = Scheduling(db, clock, ledger, self._terms, self._requesting)

    async def add_payees(self, payees: Sequence[NewPayee]) -> list[PayeeStatus]:
        """Add accounts that merchants want to be paid to; a letter tells their people."""
        return await self._payees.add(payees)

    async def list_payees(self, merchants: Sequence[UUID]) -> list[list[Payee]]:
        """List merchants' payees, the newest first, closed ones left out."""
        return await self._payees.list_open(merchants)

    async def close_payees(self, payees: Sequence[tuple[PayeeId, UUID]]) -> list[bool]:
        """Close payees, each (payee, merchant): nothing more goes there."""
        closed = await self._payees.close(payees)
        self.wakeups.wake(TOPIC)
        return closed

    async def test_payees(self, tests: Sequence[PayeeTest]) -> list[PayoutStatus]:
        """Send small secret amounts of the platform's money to payees."""
        statuses = await self._requesting.test(tests)
        self.wakeups.wake(TOPIC)
        return statuses

    async def verify_payees(self, proofs: Sequence[PayeeProof]) -> list[VerifyStatus]:
        """Compare what merchants say with what was sent."""
        return await self._payees.verify(proofs)

    async def request_payouts(self, payouts: Sequence[NewPayout]) -> list[PayoutStatus]:
        """Hold the money and take the payouts; they go out by themselves."""
        statuses = await self._requesting.request(payouts)
        self.wakeups.wake(TOPIC)
        return statuses

    async def read_payouts(self, ids: Sequence[PayoutId]) -> list[PayoutView | None]:
        """Read payouts as they stand."""
        async with self._db.reading() as tx:
            rows = await payouts_store.load_payouts(tx, ids)
        return [_view(rows[each]) if each in rows else None for each in ids]

    async def find_numbers(self, numbers: Sequence[str]) -> list[list[Found]]:
        """Find payouts by their numbers or the provider's."""
        check(numbers)
        async with self._db.reading() as tx:
            rows = await payouts_store.find_payouts(tx, list(ids_in(numbers).values()), numbers)
        found = [(key, _found(row)) for row in rows for key in (row["id"], row["provider_number"])]
        return by_number(numbers, found)

    async def list_payouts(self, queries: Sequence[PayoutQuery]) -> list[list[PayoutView]]:
        """List payouts, the newest first."""
        pages = []
        async with self._db.reading() as tx:
            for query in queries:
                most = max(0, min(query.payouts_max, _LISTED_MAX))
                pages.append(
                    [_view(row) for row in await payouts_store.list_payouts(tx, query, most)]
                )
        return pages

    async def read_steps(self, ids: Sequence[PayoutId]) -> list[list[PayoutStep]]:
        """Read what happened to payouts, oldest first."""
        async with self._db.reading() as tx:
            found = await payouts_store.read_steps(tx, ids)
        return [found.get(each, []) for each in ids]

    async def trim_events(self) -> bool:
        """Delete some events that are old and were read by all; true: there may be more."""
        return await trim_events(self._db, self.clock.now(), self._settings.events_keep_days)

    async def read_events(self, cursors: Sequence[Cursor]) -> list[EventPage]:
        """Read what became of payouts, after a cursor."""
        async with self._db.reading() as tx:
            return [await read_events(tx, "payouts", cursor) for cursor in cursors]

    async def review_payouts(self, verdicts: Sequence[PayoutVerdict]) -> list[PayoutVerdictStatus]:
        """Say yes or no to payouts that wait for a person; a no also to what is not sent yet."""
        statuses = await self._reviewing.review(verdicts)
        self.wakeups.wake(TOPIC)
        return statuses

    async def sum_reviews(self, merchants: Sequence[UUID | None]) -> list[list[ReviewSum]]:
        """Sum what waits for a person, by currency; None: of all merchants."""
        return await self._reviewing.sum_up(merchants)

    async def make_batches(self, batches: Sequence[NewBatch]) -> list[Batch | None]:
        """Put together what waits, a thousand at most; the same id is the same. None: nothing."""
        return await self._reviewing.make(batches)

    async def read_batches(self, batches: Sequence[UUID]) -> list[Batch | None]:
        """Read batches as they stand."""
        return await self._reviewing.read(batches)

    async def decide_batches(self, verdicts: Sequence[BatchVerdict]) -> list[BatchVerdictStatus]:
        """Say yes or no to batches, once; their payouts follow one by one."""
        statuses = await self._reviewing.decide(verdicts)
        self.wakeups.wake(TOPIC)
        return statuses

    async def ask_payouts(self, ids: Sequence[PayoutId]) -> list[bool]:
        """Let the provider be asked at once about payouts that are out; false: there is no such."""
        async with self._db.transaction() as tx:
            found = await payouts_store.hasten(tx, ids, self.clock.now())
        self.wakeups.wake(TOPIC)
        return [each in found for each in ids]

    async def read_terms(self, currencies: Sequence[str]) -> list[PayoutTerms]:
        """Read the terms of currencies."""
        return await self._terms.read(currencies)

    async def put_terms(self, terms: Sequence[PayoutTerms]) -> list[TermsPutStatus]:
        """Write the terms of currencies; payouts that were asked for keep theirs."""
        return await self._terms.put(terms)

    async def suspend_merchants(self, merchants: Sequence[tuple[UUID, str]]) -> list[bool]:
        """Stop merchants' payouts, each (merchant, reason), or let them go on: an empty reason."""
        now, ids = self.clock.now(), {merchant for merchant, _ in merchants}
        async with self._db.transaction() as tx:
            await payees_store.lock_merchants(tx, ids)
            changed = [
                await terms_store.put_suspension(tx, merchant, reason.strip(), now)
                for merchant, reason in merchants
            ]
            await payouts_store.decline_stopped(tx, ids, now)
        self.wakeups.wake(TOPIC)
        return changed

    async def read_suspensions(self, merchants: Sequence[UUID]) -> list[str]:
        """Read why merchants' payouts are stopped; empty: they are not."""
        async with self._db.reading() as tx:
            found = await terms_store.load_suspensions(tx, merchants)
        return [found.get(each, "") for each in merchants]

    async def put_schedules(self, schedules: Sequence[PayoutSchedule]) -> list[SchedulePutStatus]:
        """Write what merchants have chosen; a day, week or month is paid out once at most."""
        return await self._scheduling.put(schedules)

    async def read_schedules(self, keys: Sequence[tuple[UUID, str]]) -> list[ScheduleView]:
        """Read schedules by (merchant, currency); without any, it is by hand."""
        return await self._scheduling.read(keys)

    async def find_paid_out(self, queries: Sequence[PaidOutQuery]) -> list[list[PaidOut]]:
        """Find the payouts that took orders' shares, oldest first; a minute after they ended."""
        return await self._tracing.find(queries)

    async def find_taken(self, payouts: Sequence[PayoutId]) -> list[list[Taken]]:
        """Find what payouts were made of, the newest hundred first; after a minute as well."""
        return await self._tracing.find_taken(payouts)

    async def list_ways(self) -> list[PayoutChannel]:
        """List all that pays out now: channels, then banks."""
        return await self._ways.list_all()

    async def put_banks(self, banks: Sequence[Bank]) -> list[BankStatus]:
        """Write banks; closed ones take no new payees."""
        return await self._banks.put(banks)

    async def list_banks(self) -> list[Bank]:
        """List banks by name, closed ones too."""
        return await self._banks.list_all()

    async def list_waiting(self) -> list[BankWaiting]:
        """List what waits for a file."""
        return await self._banks.list_waiting()

    async def make_files(self, requests: Sequence[BankFileRequest]) -> list[BankFile | None]:
        """Put what is reserved into files: it counts as sent. None: nothing was there."""
        return await self._banks.make(requests)

    async def carry_files(self, files: Sequence[tuple[UUID, str]]) -> list[bool]:
        """Note that banks have files, each (file, by); false: it was known, or there is no such."""
        return await self._banks.carry(files)

    async def list_files(self, queries: Sequence[BankFileQuery]) -> list[list[BankFile]]:
        """List files, the newest first."""
        return await self._banks.list_files(queries)

    async def read_files(self, files: Sequence[UUID]) -> list[BankFile | None]:
        """Read files as they stand."""
        return await self._banks.read_files(files)

    async def list_lines(self, queries: Sequence[BankLineQuery]) -> list[list[BankLine]]:
        """List what lies in files, in its order."""
        return await self._banks.list_lines(queries)

    async def read_contents(self, files: Sequence[UUID]) -> list[BankFileContent | None]:
        """Read files' contents: accounts are told whole here. The same to the byte, always."""
        return await self._banks.read_contents(files)

    async def take_answers(self, answers: Sequence[NewBankAnswer]) -> list[TakenAnswer]:
        """Read what banks say and keep it; the same content is the same answer."""
        return await self._answers.take(answers)

    async def read_answers(self, answers: Sequence[UUID]) -> list[BankAnswer | None]:
        """Read answers: before they are noted, what would become of each line just now."""
        return await self._answers.read(answers)

    async def list_answers(self, files: Sequence[UUID]) -> list[list[BankAnswer]]:
        """List files' answers, the newest first, without their lines."""
        return await self._answers.list_of(files)

    async def note_answers(self, notes: Sequence[BankNote]) -> list[BankAnswer | None]:
        """Note answers and let the books follow; twice changes nothing."""
        noted = await self._answers.note(notes)
        self.wakeups.wake(TOPIC)
        return noted

    async def change_reserves(self, changes: Sequence[ReserveChange]) -> list[ReserveStatus]:
        """Put money into reserves or take it out; payouts that waited for it go on."""
        statuses = await self._reserves.change(changes)
        self.wakeups.wake(TOPIC)
        return statuses

    async def list_reserves(self) -> list[Reserve]:
        """List the reserves of all channels that pay out, by name and currency."""
        return await self._reserves.list_all()

    async def book_remittances(self, remittances: Sequence[Remittance]) -> list[RemittanceStatus]:
        """Book what providers have settled; payouts that waited for the reserve go on."""
        statuses = await self._remitting.book(remittances)
        self.wakeups.wake(TOPIC)
        return statuses

    async def check_remittances(self, remittances: Sequence[Remittance]) -> list[RemittanceStatus]:
        """Say how booking them, one after the other, would end."""
        return await self._remitting.check(remittances)

    async def list_remittances(self, query: RemittanceQuery) -> list[RemittanceView]:
        """List what was booked, the newest first."""
        return await self._remitting.list_all(query)

    async def forecast_reserves(self) -> list[ReserveForecast]:
        """Forecast the reserves of all channels that pay out, by name and currency."""
        return await self._forecasting.list_all()

    # Jobs.

    async def advance_due(self) -> bool:
        """Carry on what is due; true: there may be more at once."""
        is_more = await self._reviewing.advance_due()
        return await self._advancing.advance_due() or is_more

    async def look_due(self) -> bool:
        """Ask for payouts that schedules want now; true: there may be more at once."""
        is_more = await self._scheduling.look_due()
        if is_more:
            self.wakeups.wake(TOPIC)
        return is_more

    async def mark_due(self) -> bool:
        """Mark payouts that have ended, to find orders' shares by; true: there may be more."""
        return await self._tracing.mark_due()

    async def tell_due(self) -> bool:
        """Tell merchants' people of payees, and of payouts that did not arrive."""
        return await self._telling.tell_due()

    async def look_ahead(self) -> bool:
        """Look ahead for reserves, and tell who fills them; never more to do at once."""
        return await self._forecasting.look()

    async def book_due(self) -> bool:
        """Book what providers have settled where that broke off; true: there may be more."""
        return await self._remitting.book_due()


def _found(row: Row) -> Found:
    serial = to_serial(row["id"])
    return Found(
        FoundKind.PAYOUT, row["id"], serial, row["asked_at"], row["id"], (row["merchant"],)
    )


def _view(row: Row) -> PayoutView:
    is_secret = row["origin"] == PayoutOrigin.TEST and row["payee_state"] == PayeeState.UNVERIFIED
    is_out = row["state"] in decide.OPEN
    return PayoutView(
        PayoutId(row["id"]),
        row["merchant"],
        PayeeId(row["payee"]),
        row["channel"],
        row["channel_name"],
        row["payee_kind"],
        row["shown"],
        0 if is_secret else row["amount_minor"],
        row["fee_minor"],
        row["currency"],
        PayoutOrigin(row["origin"]),
        PayoutState(row["state"]),
        row["asked_at"],
        row["asked_by"],
        row["sent_at"],
        row["ended_at"],
        row["due_at"],
        row["tries"],
        row["provider_number"],
        row["problem"],
        row["confirm_url"] if is_out else "",
        row["confirm_package"] if is_out else "",
        row["is_filed"],
    )
