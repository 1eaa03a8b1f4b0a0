"""What is carried to a bank, and what is read from it; no I/O, no clock."""

import csv
import io
import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import NamedTuple
from xml.etree import ElementTree as ET

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring
from schwifty import IBAN
from schwifty.exceptions import SchwiftyException

from vendrail.kernel.cards import holds_card
from vendrail.kernel.money import to_text

_SPACE = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"
_STATUS_SPACE = "{urn:iso:std:iso:20022:tech:xsd:pain.002."
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_HEAD = ("number", "account", "holder", "bank", "amount", "currency")
_COLUMNS: Mapping[str, str] = {
    "number": "number", "编号": "number", "result": "result", "结果": "result",
    "problem": "problem", "原因": "problem", "amount": "amount", "金额": "amount",
    "currency": "currency", "币种": "currency",
}  # fmt: skip
_ENDS: Mapping[str, str] = {
    "succeeded": "succeeded", "success": "succeeded", "ok": "succeeded", "成功": "succeeded",
    "failed": "failed", "fail": "failed", "rejected": "failed", "失败": "failed",
    "returned": "returned", "退回": "returned", "退票": "returned", "退汇": "returned",
}  # fmt: skip
_TOLD = {"ACSC": "succeeded", "ACCC": "succeeded", "RJCT": "failed"}  # Others are under way.
_NOT_LATIN = re.compile(r"[^A-Za-z0-9/\-?:().,'+ ]")
LINES_MAX = 5_000
BYTES_MAX = 1 << 20


class Line(NamedTuple):
    """One payout of a file."""

    number: str  # The payout's serial: its end-to-end number for ever.
    account: str
    holder: str
    amount_minor: int


class Debtor(NamedTuple):
    """The platform's account that a file is paid from."""

    holder: str
    account: str
    bic: str


class Told(NamedTuple):
    """What a bank says of one line."""

    number: str
    result: str  # Empty: it does not know yet, or says it in no word that is known.
    problem: str = ""
    amount: str = ""  # As it is written; empty: it is not.
    currency: str = ""


def is_iban(text: str) -> bool:
    """Tell whether an IBAN has its country's shape and the right check digits."""
    try:
        IBAN(text)
    except SchwiftyException:
        return False
    return True


def is_cn_account(text: str) -> bool:
    """Tell whether it looks like a Chinese bank account, perhaps with its bank behind a blank.

    Cards are accounts too, but their numbers are not taken: they belong nowhere on the platform.
    """
    return bool(re.fullmatch(r"[0-9]{8,30}( \S.{1,60})?", text)) and not holds_card(text.encode())


def write_table(lines: Sequence[Line], currency: str) -> bytes:
    """Write a table that no spreadsheet takes for formulas, and opens with its Chinese right."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\r\n")
    table.writerow(_HEAD)
    for line in lines:
        account, _, bank = line.account.partition(" ")
        # Long numbers lose their end where a table takes them for numbers: the tab keeps them text.
        told = (line.number, f"\t{account}", _safe(line.holder), _safe(bank))
        table.writerow([*told, to_text(line.amount_minor, currency), currency])
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def _safe(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def write_pain(
    lines: Sequence[Line], currency: str, debtor: Debtor, number: int, made_at: datetime
) -> bytes:
    """Write pain.001.001.09: one payment information block, its sums checked by the bank."""
    ET.register_namespace("", _SPACE)
    root = ET.Element(f"{{{_SPACE}}}Document")
    initiation = _add(root, "CstmrCdtTrfInitn")
    total = to_text(sum(line.amount_minor for line in lines), currency)
    head = _add(initiation, "GrpHdr")
    _add(head, "MsgId", message_id(number))
    _add(head, "CreDtTm", f"{made_at:%Y-%m-%dT%H:%M:%S}Z")
    _add(head, "NbOfTxs", str(len(lines)))
    _add(head, "CtrlSum", total)
    _add(_add(head, "InitgPty"), "Nm", _latin(debtor.holder))
    block = _add(initiation, "PmtInf")
    _add(block, "PmtInfId", f"{message_id(number)}-1")
    _add(block, "PmtMtd", "TRF")
    _add(block, "NbOfTxs", str(len(lines)))
    _add(block, "CtrlSum", total)
    _add(_add(block, "ReqdExctnDt"), "Dt", f"{made_at:%Y-%m-%d}")
    _add(_add(block, "Dbtr"), "Nm", _latin(debtor.holder))
    _add(_add(_add(block, "DbtrAcct"), "Id"), "IBAN", _compact(debtor.account))
    agent = _add(_add(block, "DbtrAgt"), "FinInstnId")
    if debtor.bic:
        _add(agent, "BICFI", debtor.bic)
    else:
        _add(_add(agent, "Othr"), "Id", "NOTPROVIDED")
    _add(block, "ChrgBr", "SLEV" if currency == "EUR" else "SHAR")
    for line in lines:
        transfer = _add(block, "CdtTrfTxInf")
        _add(_add(transfer, "PmtId"), "EndToEndId", line.number)
        amount = _add(_add(transfer, "Amt"), "InstdAmt", to_text(line.amount_minor, currency))
        amount.set("Ccy", currency)
        _add(_add(transfer, "Cdtr"), "Nm", _latin(line.holder))
        _add(_add(_add(transfer, "CdtrAcct"), "Id"), "IBAN", _compact(line.account))
        _add(_add(transfer, "RmtInf"), "Ustrd", line.number)
    declared: bytes = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
    return declared


def message_id(number: int) -> str:
    """Give what a file is called at the bank."""
    return f"VENDRAIL-{number}"


def _add(parent: ET.Element, name: str, text: str = "") -> ET.Element:
    child = ET.SubElement(parent, f"{{{_SPACE}}}{name}")
    if text:
        child.text = text
    return child


def _compact(account: str) -> str:
    return "".join(account.split()).upper()


def _latin(text: str) -> str:
    """Write a name in the letters that all banks take; what is none becomes a point."""
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    bare = "".join(each for each in plain if not unicodedata.combining(each))
    return _NOT_LATIN.sub(".", bare)[:70].strip() or "."


def read_answer(content: bytes) -> list[Told] | None:
    """Read an answer: a table with `number` and `result`, or pain.002; None: it is neither."""
    if content.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<"):
        return _read_status(content)
    return _read_table(content)


def _read_table(content: bytes) -> list[Told] | None:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("gb18030", "replace")  # As Chinese banks and spreadsheets save it.
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        names = [_COLUMNS.get(name.strip().lower(), "") for name in next(rows, [])]
        if not {"number", "result"} <= set(names):
            return None
        told = [_told(dict(zip(names, row, strict=False))) for row in rows if any(row)]
    except csv.Error:
        return None
    return told


def _told(row: Mapping[str, str]) -> Told:
    cells = {name: cell.strip().lstrip("'") for name, cell in row.items()}
    return Told(
        cells.get("number", "")[:60],
        _ENDS.get(cells.get("result", "").lower(), ""),
        cells.get("problem", "")[:200],
        cells.get("amount", "")[:30],
        cells.get("currency", "")[:10].upper(),
    )


def _read_status(content: bytes) -> list[Told] | None:
    try:
        # No document type at all: entities that grow without end, or reach out, cannot be declared.
        root = fromstring(content, forbid_dtd=True)
    except (ET.ParseError, DefusedXmlException, ValueError, LookupError):
        return None
    if not root.tag.startswith(_STATUS_SPACE):
        return None
    space = root.tag[: root.tag.index("}") + 1]
    told = []
    for status in root.iter(f"{space}TxInfAndSts"):
        amount = status.find(f"{space}OrgnlTxRef/{space}Amt/{space}InstdAmt")
        reasons = (*status.iter(f"{space}Cd"), *status.iter(f"{space}AddtlInf"))
        told.append(
            Told(
                (status.findtext(f"{space}OrgnlEndToEndId") or "").strip()[:60],
                _TOLD.get((status.findtext(f"{space}TxSts") or "").strip(), ""),
                " ".join(text.strip() for each in reasons if (text := each.text))[:200],
                (amount.text or "").strip()[:30] if amount is not None else "",
                amount.get("Ccy", "").strip()[:10] if amount is not None else "",
            )
        )
    return told


def is_amount(told: Told, amount_minor: int, currency: str) -> bool:
    """Tell whether what the bank says of an amount, if it does, is what it was told to pay."""
    if told.currency not in ("", currency):
        return False
    if not told.amount:
        return True
    try:
        written = Decimal(told.amount.replace(",", ""))
    except InvalidOperation:
        return False
    return written.is_finite() and written == Decimal(to_text(amount_minor, currency))
