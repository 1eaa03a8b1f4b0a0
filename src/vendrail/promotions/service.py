"""The service: coupons and their codes; every use under the lock of its coupon's row."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from vendrail.api.orders import OrderId, OrderQuery, Orders, OrderState, OrderView
from vendrail.api.promotions import (
    CodePage,
    Coupon,
    CouponCode,
    CouponHold,
    CouponId,
    CouponQuery,
    CouponQuestion,
    CouponResult,
    CouponStatus,
    CouponUse,
    CouponUseQuery,
    CouponUseState,
    CouponView,
    MakeCouponCodes,
    PutCouponStatus,
    discount_minor,
)
from vendrail.kernel.clock import Clock
from vendrail.kernel.db import Database, Transaction
from vendrail.kernel.http import limit_key
from vendrail.kernel.telemetry import Metrics
from vendrail.kernel.vault import Vault
from vendrail.promotions import decide, store
from vendrail.promotions.decide import Book
from vendrail.promotions.settings import PromotionsSettings

_CODE_LENGTH = 16  # Eighty bits, in four groups.
_LOOKS_MAX = 200
_WRITTEN = (PutCouponStatus.CREATED, PutCouponStatus.CHANGED)


class PromotionsService:
    """Fulfils `api.promotions.Promotions`."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        clock: Clock,
        metrics: Metrics,
        settings: PromotionsSettings,
    ) -> None:
        self._db = db
        self._vault = vault
        self.clock = clock
        self._metrics = metrics
        self._settings = settings
        for status in CouponStatus:
            metrics.count("vendrail_coupons_total", status.value, by=0)

    def _code(self, coupon: UUID, number: int) -> str:
        """Derive a code from our key: always the same, and kept nowhere."""
        token = self._vault.token("promotions.code", coupon.bytes + number.to_bytes(4, "big"))
        return token[:_CODE_LENGTH].upper()

    def _hash(self, merchant: UUID, code: str) -> bytes:
        data = merchant.bytes + decide.normal(code).encode()
        return self._vault.keyed_hash("promotions.code", data)[:16]

    def _network(self, asked: CouponQuestion) -> str:
        """Name the network that somebody asks from, without telling it."""
        key = limit_key(asked.address).encode()
        return self._vault.keyed_hash("promotions.guess", key)[:16].hex()

    async def put_coupons(self, coupons: Sequence[Coupon]) -> list[PutCouponStatus]:
        """Write coupons whole, by id."""
        statuses = []
        async with self._db.transaction() as tx:
            await store.lock_words(tx, [coupon.merchant for coupon in coupons])
            views = await store.lock_coupons(tx, [coupon.id for coupon in coupons])
            known = {id: view.coupon for id, view in views.items()}
            for new in coupons:
                word = self._hash(new.merchant, new.word)
                found = await store.load_codes(tx, [word]) if new.word else {}
                is_taken = any(row["coupon"] != new.id for row in found.values())
                view = views.get(new.id)
                taken = view.held_count + view.used_count if view else 0
                was = known.get(new.id)
                is_less = was is not None and new.uses_per_code < was.uses_per_code
                of_code = await store.read_most_taken(tx, new.id) if is_less else 0
                status = decide.put(new, was, taken, taken_of_code=of_code, is_word_taken=is_taken)
                if status in _WRITTEN:
                    await store.put_coupons(tx, [new])
                    known[new.id] = new
                if status is PutCouponStatus.CREATED and new.word:
                    await store.add_codes(tx, new.id, [(word, 0)])
                statuses.append(status)
        return statuses

    async def make_codes(self, requests: Sequence[MakeCouponCodes]) -> list[int | None]:
        """Make codes; gives how many there are now. None: no such coupon of the merchant's."""
        counts: list[int | None] = []
        async with self._db.transaction() as tx:
            views = await store.lock_coupons(tx, [request.coupon for request in requests])
            made = {id: view.codes_count for id, view in views.items()}
            for request in requests:
                view = views.get(request.coupon)
                if view is None or view.coupon.merchant != request.merchant:
                    counts.append(None)
                    continue
                before = made[request.coupon]
                wanted = min(request.codes_count, decide.CODES_MAX)
                numbers = range(before + 1, wanted + 1)
                codes = [
                    (self._hash(request.merchant, self._code(request.coupon, number)), number)
                    for number in numbers
                ]
                if codes:
                    await store.add_codes(tx, request.coupon, codes)
                    await store.set_codes_count(tx, request.coupon, wanted)
                made[request.coupon] = max(before, wanted)
                counts.append(made[request.coupon])
        return counts

    async def list_codes(self, pages: Sequence[CodePage]) -> list[list[CouponCode]]:
        """List codes in the clear, by number; a short page is the last."""
        async with self._db.reading() as tx:
            found = [await store.list_codes(tx, page) for page in pages]
        return [
            [
                CouponCode(
                    row["number"],
                    self._code(page.coupon, row["number"]) if row["number"] else row["word"],
                    row["taken_count"],
                )
                for row in rows
            ]
            for page, rows in zip(pages, found, strict=True)
        ]

    async def list_coupons(self, queries: Sequence[CouponQuery]) -> list[list[CouponView]]:
        """List coupons; a short page is the last."""
        async with self._db.reading() as tx:
            return [await store.list_coupons(tx, query) for query in queries]

    async def read_coupons(self, ids: Sequence[CouponId]) -> list[CouponView | None]:
        """Read coupons by id."""
        async with self._db.reading() as tx:
            found = await store.read_coupons(tx, ids)
        return [found.get(id) for id in ids]

    async def list_uses(self, queries: Sequence[CouponUseQuery]) -> list[list[CouponUse]]:
        """List what coupons were used for; a short page is the last."""
        async with self._db.reading() as tx:
            return [await store.list_uses(tx, query) for query in queries]

    async def price_coupons(self, questions: Sequence[CouponQuestion]) -> list[CouponResult]:
        """Say what codes would take off; wrong ones are counted against who asks."""
        now = self.clock.now()
        hashes = [self._hash(each.merchant, each.code) for each in questions]
        results = []
        async with self._db.transaction() as tx:
            guessers = await self._find_guessers(tx, questions, now)
            codes = await store.load_codes(tx, hashes)
            views = await store.read_coupons(tx, [row["coupon"] for row in codes.values()])
            for asked, code in zip(questions, hashes, strict=True):
                row = codes.get(code)
                if self._network(asked) in guessers:
                    results.append(CouponResult(CouponStatus.TOO_MANY_GUESSES))
                elif row is None:
                    results.append(CouponResult(CouponStatus.CODE_NOT_FOUND))
                else:
                    book = _book(views[row["coupon"]])
                    status = decide.ask(book, asked, now)
                    is_used_up = row["taken_count"] >= book.terms.uses_per_code
                    if status is CouponStatus.HELD and is_used_up:
                        status = CouponStatus.USED_UP
                    results.append(_result(status, book.terms, asked, is_told=True))
            await self._count_guesses(tx, questions, results, now)
        return results

    async def hold_coupons(self, holds: Sequence[CouponHold]) -> list[CouponResult]:
        """Take coupons with orders; several of one coupon in a batch see each other, in order."""
        now = self.clock.now()
        asked = [each.asked for each in holds]
        hashes = [self._hash(each.merchant, each.code) for each in asked]
        async with self._db.transaction() as tx:
            guessers = await self._find_guessers(tx, asked, now)
            found = await store.load_codes(tx, hashes)
            views = await store.lock_coupons(tx, [row["coupon"] for row in found.values()])
            # Read once the coupons are held: nobody takes one of them meanwhile.
            codes = await store.load_codes(tx, list(found))
            taken = await store.load_uses(tx, [each.order for each in holds])
            books = {id: _book(view) for id, view in views.items()}
            for code, row in codes.items():
                books[row["coupon"]].by_code[code] = row["taken_count"]
            await store.count_buyers(
                tx,
                books,
                [each.contact for each in holds],
                [each.buyer for each in holds if each.buyer is not None],
            )
            results = []
            new: list[store.Use] = []
            for each, code in zip(holds, hashes, strict=True):
                kept = codes.get(code)
                book = books[kept["coupon"]] if kept is not None else None
                use = taken.get(each.order)
                if self._network(each.asked) in guessers:
                    result = CouponResult(CouponStatus.TOO_MANY_GUESSES)
                elif book is None or (use is not None and not _is_same(use, code)):
                    result = CouponResult(CouponStatus.CODE_NOT_FOUND)
                elif use is not None:
                    coupon, minor = CouponId(use.coupon), use.discount_minor
                    result = CouponResult(CouponStatus.EXISTS, coupon, book.terms.title, minor)
                else:
                    status = decide.hold(book, code, each.asked, each.contact, each.buyer, now)
                    result = _result(status, book.terms, each.asked)
                    if status is CouponStatus.HELD:
                        taken[each.order] = use = _use(each, book, code, result, now)
                        new.append(use)
                results.append(result)
            if new:
                look_at = now + timedelta(seconds=self._settings.look_s)
                await store.add_uses(tx, new, look_at)
            again = [
                each.order
                for each, result in zip(holds, results, strict=True)
                if result.status is CouponStatus.EXISTS
            ]
            if again:
                await store.note_asked_again(tx, again, now)
            await self._count_guesses(tx, asked, results, now)
        self._metrics.count_each(
            "vendrail_coupons_total", [(each.status.value,) for each in results]
        )
        return results

    async def _find_guessers(
        self, tx: Transaction, questions: Sequence[CouponQuestion], now: datetime
    ) -> set[str]:
        addresses = [self._network(each) for each in questions if each.address]
        if not addresses:
            return set()
        since = now - timedelta(seconds=self._settings.guesses_s)
        return await store.find_guessers(tx, addresses, since, self._settings.guesses_max)

    async def _count_guesses(
        self,
        tx: Transaction,
        questions: Sequence[CouponQuestion],
        results: Sequence[CouponResult],
        now: datetime,
    ) -> None:
        wrong = [
            self._network(asked)
            for asked, result in zip(questions, results, strict=True)
            if result.status is CouponStatus.CODE_NOT_FOUND and asked.address
        ]
        if wrong:
            await store.add_guesses(tx, wrong, now, timedelta(seconds=self._settings.guesses_s))

    async def release_coupons(self, orders: Sequence[UUID]) -> list[bool]:
        """Give back what was held for orders that never came to be; true where there was any.

        What was asked for again stays: another try may write the order, or has. Looking will tell.
        """
        fate = decide.Fate(CouponUseState.RETURNED, None)
        settled = await self._settle(
            dict.fromkeys(orders, fate), (CouponUseState.HELD,), is_first_try=True
        )
        return [order in settled for order in orders]

    async def look_at_coupons(self, orders: Sequence[UUID]) -> None:
        """Look soon at what has become of orders: some of their money went back."""
        async with self._db.reading() as tx:
            await store.look_soon(tx, orders, self.clock.now())

    async def look_at_due(self, orders: Orders) -> bool:
        """Ask what has become of orders whose coupons are due; true: there may be more."""
        now = self.clock.now()
        async with self._db.reading() as tx:
            due = await store.find_due(tx, now, _LOOKS_MAX)
            await store.forget_guesses(tx, now - timedelta(seconds=self._settings.guesses_s))
        if not due:
            return False
        views = await orders.read_orders([OrderQuery(OrderId(use.order), None) for use in due])
        fates = {
            use.order: decide.look(
                use.state,
                use.asked_again_at or use.held_at,
                use.ending_at,
                _seen(view),
                now,
                self._settings.look_s,
            )
            for use, view in zip(due, views, strict=True)
        }
        await self._settle(fates, (CouponUseState.HELD, CouponUseState.USED))
        return len(due) == _LOOKS_MAX

    async def _settle(
        self,
        fates: dict[UUID, decide.Fate],
        states: tuple[CouponUseState, ...],
        *,
        is_first_try: bool = False,
    ) -> set[UUID]:
        """Write what becomes of uses that are in one of these states; give those that were."""
        async with self._db.transaction() as tx:
            known = await store.load_uses(tx, list(fates))
            await store.lock_coupons(tx, [use.coupon for use in known.values()])
            # Read again under the lock: another process may have been faster.
            known = await store.load_uses(tx, list(fates))
            uses = [
                use
                for use in known.values()
                if use.state in states and not (is_first_try and use.asked_again_at is not None)
            ]
            if uses:
                mine = [fates[use.order] for use in uses]
                await store.settle_uses(tx, uses, mine)
        return {use.order for use in uses}


def _is_same(use: store.Use, code: bytes) -> bool:
    return use.code == code and use.state is not CouponUseState.RETURNED


def _use(
    asked: CouponHold, book: Book, code: bytes, result: CouponResult, now: datetime
) -> store.Use:
    return store.Use(
        asked.order,
        book.terms.id,
        code,
        asked.contact,
        asked.buyer,
        result.discount_minor,
        asked.asked.currency,
        CouponUseState.HELD,
        now,
    )


def _book(view: CouponView) -> Book:
    return Book(view.coupon, view.held_count + view.used_count)


def _result(
    status: CouponStatus, terms: Coupon, asked: CouponQuestion, *, is_told: bool = False
) -> CouponResult:
    if status is not CouponStatus.HELD:
        return CouponResult(status)
    minor = discount_minor(terms, asked.amount_minor)
    return CouponResult(status, terms.id, terms.title, minor, terms if is_told else None)


def _seen(view: OrderView | None) -> decide.Seen | None:
    if view is None:
        return None
    is_whole = view.state is OrderState.REFUNDED or (
        view.state is OrderState.DELIVERED and view.refunded_minor >= view.amount_minor
    )
    return decide.Seen(view.state, is_whole)
