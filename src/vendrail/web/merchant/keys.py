"""Keys: taken in from files, kept by batch, withdrawn, taken out; never shown on a page."""

import asyncio
import csv
import io
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from mimetypes import guess_type
from pathlib import PurePosixPath
from typing import BinaryIO, NamedTuple, cast
from urllib.parse import quote
from uuid import UUID

from litestar.handlers import HTTPRouteHandler
from litestar.response import Stream

from vendrail.api.catalog import (
    BatchQuery,
    Catalog,
    DeliveryKind,
    KeyId,
    KeyIntake,
    KeyLine,
    KeyReject,
    KeyState,
    KeyVoid,
    KeyVoidResult,
    PutStatus,
    StockedProduct,
    Variant,
)
from vendrail.api.identity import Permission
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import derive, new_id, to_serial
from vendrail.kernel.keyfiles import Line, in_batches, read_lines
from vendrail.kernel.soldfiles import SoldFiles
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.languages import message
from vendrail.web.merchant.acting import log, read_id
from vendrail.web.merchant.goods import find_product
from vendrail.web.pages import guards
from vendrail.web.storefront.front import Page
from vendrail.web.supplies import find_sold
from vendrail.web.uploads import Upload, read_upload

UPLOADS = "/merchant/intake/"  # Below it, bodies may be as large as a key file.
FILES = "/merchant/files/"  # Below it, as large as a file that is sold.
FILE_BYTES_MAX = 30_000_000
_ONE = "/merchant/products/{serial:str}/stock"
_BATCHES_MAX = 50
_REJECTS_MAX = 1_000
_SHOWN_MAX = 50
_PAGE = 5_000
_STATES = (KeyState.FREE, KeyState.SOLD, KeyState.VOID)
_REASON_MISSING = message("Say why: the reason is kept.")
_LOW_AT = message("Low at %(count)s")
_IS_LOW = message("Low: %(count)s or fewer")
_NEVER_LOW = message("Nobody is told when they are few")
_NO_FILE = message("Choose a file, or paste keys, one a line.")
_SUPPLIED = message("Another merchant supplies these keys: you are the agent.")
_NO_VARIANT = message("Choose a variant of this product.")
_NOT_READ = message(
    "Reading stopped there: a table must name its column of keys (key, code, …), and a line may not"
    " be endless. What was read before is taken in."
)
_FILE_WRONG = message("Choose one file that is not empty and not larger than is said below.")
_NOT_TEXT = message("The content is empty, or not what can be shown as text.")


@dataclass
class Intake:
    """What came of a file."""

    sku: str
    batch: UUID
    lines: int = 0
    added: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    rejects: list[KeyReject] = field(default_factory=list)  # The first thousand.
    problem: str = ""  # Where reading broke off.

    @property
    def report(self) -> str:
        """Give the list of rejects as an address of a file, which leaves nothing here."""
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(("line", "reason"))
        writer.writerows((each.number, each.reason) for each in self.rejects)
        return "data:text/csv;charset=utf-8," + quote(text.getvalue())


class FileFacts(NamedTuple):
    """What is known of the file that a variant delivers."""

    name: str
    kind: str  # `application/pdf`; empty: unknown.
    size: int
    is_there: bool  # False: it is gone from the folder, buyers cannot get it.


class Keys:
    """What is in stock."""

    entries: tuple[Entry, ...] = ()

    def __init__(self, desk: Desk, files: SoldFiles) -> None:
        self._desk = desk
        self._files = files
        self._file_bytes_max = desk.front.settings.sold_file_bytes_max
        self._catalog = desk.apis.catalog

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk = self._desk
        return [
            desk.get(_ONE, self.stock, Permission.KEYS_READ),
            desk.post(
                f"{UPLOADS}{{serial:str}}", self.take_in, Permission.KEYS_WRITE, is_streamed=True
            ),
            desk.post(
                f"{FILES}{{serial:str}}", self.put_file, Permission.KEYS_WRITE, is_streamed=True
            ),
            desk.post(f"{_ONE}/content", self.put_content, Permission.KEYS_WRITE),
            desk.post(f"{_ONE}/void", self.void, Permission.KEYS_WRITE, is_grave=True),
            desk.post(f"{_ONE}/export", self.export, Permission.KEYS_EXPORT, is_grave=True),
        ]

    async def stock(self, caller: Caller) -> Page:
        """Show where the keys of one variant are, batch by batch."""
        found = await find_product(self._catalog, caller, caller.part("serial"))
        if found is None:
            return self._desk.problem(caller.request, 404, caller)
        return await self._stock(caller, found, caller.asked("sku", 64))

    async def _stock(
        self,
        caller: Caller,
        found: StockedProduct,
        sku: str,
        *,
        problem: str = "",
        status: int = 200,
        intake: Intake | None = None,
        voided: KeyVoidResult | None = None,
    ) -> Page:
        variants = sorted(found.product.variants, key=lambda each: (each.position, each.id))
        variant = next((each for each in variants if each.sku == sku), variants[0])
        [batches] = await self._catalog.list_batches(
            [BatchQuery(variant.sku, batches_max=_BATCHES_MAX)]
        )
        counts = {each.sku: each for each in found.counts}
        is_supplied = await self._is_supplied(variant.sku)
        with_keys = voided.orders[:_SHOWN_MAX] if voided is not None else []
        return self._desk.page(
            caller,
            "merchant/stock.html",
            path="/merchant/products",
            status=status,
            found=found,
            product=found.product,
            variants=variants,
            variant=variant,
            count=counts[variant.sku],
            batches=batches,
            low_text=self._low(caller, found, variant, counts[variant.sku].free),
            has_keys=found.product.delivery is DeliveryKind.UNIQUE_KEY,
            is_file=found.product.delivery is DeliveryKind.FILE,
            has_content=variant.sku in found.contents,
            file=await self._read_file(found, variant.sku),
            file_bytes_max=self._file_bytes_max,
            files=FILES,
            may_write=caller.may(Permission.KEYS_WRITE) and not is_supplied,
            may_export=caller.may(Permission.KEYS_EXPORT) and not is_supplied,
            supplied=self._desk.say(caller, _SUPPLIED) if is_supplied and not problem else "",
            states=[each.value for each in _STATES],
            nonce=to_serial(new_id(self._desk.clock.now())),
            intake=intake,
            shown_max=_SHOWN_MAX,
            voided=voided,
            with_keys=with_keys,
            agents_sales=await find_sold(self._desk.apis.settlement, caller.merchant, with_keys),
            may_see_sales=caller.may(Permission.BALANCE_READ),
            uploads=UPLOADS,
            problem=self._desk.say(caller, problem) if problem else "",
        )

    async def _is_supplied(self, sku: str) -> bool:
        """Whether another merchant supplies the keys of a variant."""
        [offer] = await self._catalog.read_offers([sku])
        return offer is not None and offer.supply is not None

    def _low(self, caller: Caller, found: StockedProduct, variant: Variant, free: int) -> str:
        """Say from how few free keys on staff is told, and whether that is so now."""
        bound = variant.low_stock_max
        if bound is None:
            bound = found.shop.low_stock_max
        if bound is None:
            return ""  # The platform's own, which it keeps to itself.
        text = _IS_LOW if bound and free <= bound else _LOW_AT if bound else _NEVER_LOW
        return self._desk.say(caller, text) % {"count": bound}

    async def take_in(self, caller: Caller) -> Page:
        """Take a key file in: read as it comes, added batch by batch; the same form adds once."""
        found = await find_product(self._catalog, caller, caller.part("serial"))
        if found is None:
            return self._desk.problem(caller.request, 404, caller)
        upload = await read_upload(caller.request, FILE_BYTES_MAX)
        try:
            return await self._take_in(caller, found, upload)
        finally:
            upload.close()

    async def _take_in(self, caller: Caller, found: StockedProduct, upload: Upload) -> Page:
        fields = upload.fields
        sku, nonce = fields.get("sku", ""), read_id(fields.get("nonce", ""))
        pasted = fields.get("pasted", "")
        if nonce is None or not _has(found, sku):
            return await self._stock(caller, found, sku, problem=_NO_VARIANT, status=422)
        if not upload.size and not pasted.strip():
            return await self._stock(caller, found, sku, problem=_NO_FILE, status=422)
        if await self._is_supplied(sku):
            return await self._stock(caller, found, sku, problem=_SUPPLIED, status=422)
        name = upload.name if upload.size else "pasted"
        intake = Intake(sku, derive(nonce, f"intake:{found.product.id}:{sku}"))
        await log(
            self._desk,
            caller,
            "keys.added",
            f"sku:{sku}",
            after={"intake": to_serial(intake.batch), "file": name[:100]},
        )
        source = cast("BinaryIO", upload.file) if upload.size else io.BytesIO(pasted.encode())
        is_csv = name.lower().endswith((".csv", ".tsv"))
        column = fields.get("column", "").strip() or None
        lines = in_batches(read_lines(source, "csv" if is_csv else "txt", column))
        try:
            await _add(self._catalog, intake, lines)
        except Malformed:
            intake.problem = self._desk.say(caller, _NOT_READ)
        found = await find_product(self._catalog, caller, caller.part("serial")) or found
        return await self._stock(caller, found, sku, intake=intake)

    async def put_content(self, caller: Caller) -> Page:
        """Set what a variant without end delivers."""
        found = await find_product(self._catalog, caller, caller.part("serial"))
        if found is None:
            return self._desk.problem(caller.request, 404, caller)
        sku = caller.written("sku")
        is_given = found.product.delivery in (DeliveryKind.TEXT, DeliveryKind.REUSABLE_KEY)
        if not _has(found, sku) or not is_given:
            return await self._stock(caller, found, sku, problem=_NO_VARIANT, status=422)
        text = caller.form.get("content", "").replace("\r\n", "\n").strip()
        await log(self._desk, caller, "content.changed", f"sku:{sku}")
        [status] = await self._catalog.put_contents([(sku, text)])
        if status is PutStatus.FIELD_MALFORMED:
            return await self._stock(caller, found, sku, problem=_NOT_TEXT, status=422)
        found = await find_product(self._catalog, caller, caller.part("serial")) or found
        return await self._stock(caller, found, sku)

    async def _read_file(self, found: StockedProduct, sku: str) -> FileFacts | None:
        """Tell which file a variant delivers; None: none, or it delivers something else."""
        if found.product.delivery is not DeliveryKind.FILE or sku not in found.contents:
            return None
        [path] = await self._catalog.read_paths([sku])
        name = PurePosixPath(path).name
        opened = await asyncio.to_thread(self._files.open, path)
        if opened is None:
            return FileFacts(name, "", 0, is_there=False)
        with opened as file:
            return FileFacts(name, guess_type(name)[0] or "", file.size, is_there=True)

    async def put_file(self, caller: Caller) -> Page:
        """Take in the file that a variant delivers; it takes the place of the one before."""
        found = await find_product(self._catalog, caller, caller.part("serial"))
        if found is None:
            return self._desk.problem(caller.request, 404, caller)
        try:
            upload = await read_upload(caller.request, self._file_bytes_max)
        except Malformed:
            return await self._stock(caller, found, "", problem=_FILE_WRONG, status=422)
        try:
            return await self._put_file(caller, found, upload)
        finally:
            upload.close()

    async def _put_file(self, caller: Caller, found: StockedProduct, upload: Upload) -> Page:
        sku = upload.fields.get("sku", "")
        if not _has(found, sku) or found.product.delivery is not DeliveryKind.FILE:
            return await self._stock(caller, found, sku, problem=_NO_VARIANT, status=422)
        if not upload.size:
            return await self._stock(caller, found, sku, problem=_FILE_WRONG, status=422)
        own = f"merchants/{to_serial(caller.merchant)}/"
        id = to_serial(new_id(self._desk.clock.now()))
        path = f"{own}{id}/{_file_name(upload.name)}"
        told = {"file": PurePosixPath(path).name, "bytes": str(upload.size)}
        await log(self._desk, caller, "content.changed", f"sku:{sku}", after=told)
        [before] = await self._catalog.read_paths([sku])
        source = cast("BinaryIO", upload.file)
        await asyncio.to_thread(self._files.take_in, source, path)
        [status] = await self._catalog.put_contents([(sku, path)])
        if status is PutStatus.FIELD_MALFORMED:
            await asyncio.to_thread(self._files.remove, path)
            return await self._stock(caller, found, sku, problem=_FILE_WRONG, status=422)
        if before.startswith(own):
            await asyncio.to_thread(self._files.remove, before)
        found = await find_product(self._catalog, caller, caller.part("serial")) or found
        return await self._stock(caller, found, sku)

    async def void(self, caller: Caller) -> Page:
        """Withdraw free keys, of one batch or all; what buyers have stays theirs."""
        found = await find_product(self._catalog, caller, caller.part("serial"))
        if found is None:
            return self._desk.problem(caller.request, 404, caller)
        sku, reason = caller.written("sku"), caller.written("reason")[:200]
        batch = read_id(caller.written("batch"))
        is_all = caller.written("batch") == "all"
        if not _has(found, sku) or (batch is None and not is_all):
            return await self._stock(caller, found, sku, problem=_NO_VARIANT, status=422)
        if not reason:
            return await self._stock(caller, found, sku, problem=_REASON_MISSING, status=422)
        count = next(each for each in found.counts if each.sku == sku)
        await log(
            self._desk,
            caller,
            "keys.voided",
            f"sku:{sku}",
            before={"free": str(count.free), "void": str(count.void)},
            after={"batch": to_serial(batch) if batch else "all"},
            reason=reason,
        )
        [voided] = await self._catalog.void_keys([KeyVoid(sku, batch)])
        found = await find_product(self._catalog, caller, caller.part("serial")) or found
        if voided is None:
            return self._desk.problem(caller.request, 404, caller)
        return await self._stock(caller, found, sku, voided=voided)

    async def export(self, caller: Caller) -> Page:
        """Give the keys of a variant in one state as a file; who took them and why is kept."""
        found = await find_product(self._catalog, caller, caller.part("serial"))
        if found is None:
            return self._desk.problem(caller.request, 404, caller)
        states = {each.value: each for each in _STATES}
        sku, reason = caller.written("sku"), caller.written("reason")[:200]
        state = states.get(caller.written("state"))
        if not _has(found, sku) or state is None:
            return await self._stock(caller, found, sku, problem=_NO_VARIANT, status=422)
        if not reason:
            return await self._stock(caller, found, sku, problem=_REASON_MISSING, status=422)
        if (turned := await self._desk.turn_away(caller)) is not None:
            return turned
        count = next(each for each in found.counts if each.sku == sku)
        await log(
            self._desk,
            caller,
            "keys.exported",
            f"sku:{sku}",
            after={"state": state.value, "count": str(getattr(count, state.value))},
            reason=reason,
        )
        headers = {
            "content-disposition": f'attachment; filename="{sku}-{state.value}.csv"',
            "cache-control": "no-store",
            **guards(),
        }
        told = _lines(self._catalog, sku, state)
        return Stream(told, media_type="text/csv", headers=headers)  # type: ignore[return-value]


def _file_name(name: str) -> str:
    """Give a file the name that its buyers see: letters of any language, and few other signs."""
    cleaned = re.sub(r"[^\w .()+,&'-]+", "-", PurePosixPath(name.replace("\\", "/")).name)
    stem, dot, ending = cleaned.strip(" .-_").rpartition(".")
    short = f"{stem[:100]}{dot}{ending[:20]}" if dot else ending[:100]
    return short if re.match(r"[^\W_]", short) else f"file-{short}".rstrip("-")


def _has(found: StockedProduct, sku: str) -> bool:
    """Whether a SKU is one of this product: a form may name anything."""
    variants: list[Variant] = found.product.variants
    return any(each.sku == sku for each in variants)


async def _add(catalog: Catalog, intake: Intake, batches: Iterator[list[Line]]) -> None:
    while batch := await asyncio.to_thread(next, batches, None):
        lines = [KeyLine(*line) for line in batch]
        [result] = await catalog.add_keys([KeyIntake(intake.sku, intake.batch, lines)])
        intake.lines += len(lines)
        intake.added += result.added_count
        intake.reasons.update(each.reason for each in result.rejects)
        intake.rejects += result.rejects[: max(0, _REJECTS_MAX - len(intake.rejects))]


async def _lines(catalog: Catalog, sku: str, state: KeyState) -> AsyncIterator[str]:
    """Write keys page by page, as a table."""
    yield "key_id,key\r\n"
    after: KeyId | None = None
    while page := await catalog.export_keys(sku, state, after, _PAGE):
        text = io.StringIO()
        csv.writer(text).writerows((to_serial(id), key) for id, key in page)
        yield text.getvalue()
        after = page[-1][0]
