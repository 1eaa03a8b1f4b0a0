"""Payouts over banks: each leaves in one file, and what the bank says of its line is its end."""

import asyncio
import csv
import io
from datetime import UTC, datetime
from importlib.resources import files
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xmlschema import XMLSchema

from vendrail.api.payouts import (
    Bank,
    BankAnswer,
    BankAnswerStatus,
    BankFileQuery,
    BankFileRequest,
    BankKind,
    BankLineQuery,
    BankNote,
    NewBankAnswer,
    NewPayee,
    PayeeId,
    PayeeTest,
    PayoutId,
    PayoutState,
    ReserveChange,
    ReserveSource,
)
from vendrail.app.audit.outgoing import CHECKS
from vendrail.kernel.ids import new_id, to_serial
from vendrail.payouts import bankfiles
from vendrail.payouts.bankfiles import Debtor, Line

from tests.compliance.conftest import Office  # isort: skip
from tests.payouts.conftest import World  # isort: skip

ACCOUNT, IBAN = "1202020219900123456", "DE89370400440532013000"
SPACE = "{urn:iso:std:iso:20022:tech:xsd:pain.001.001.09}"


def bank_of(world: World, kind: BankKind = BankKind.CN_BANK, **changes) -> Bank:
    """A bank that takes files."""
    values = {"name": "bank.icbc", "title": "ICBC", "currencies": ["CNY"],
              "holder": "Vendrail Ltd", "account": "1234567890123"}  # fmt: skip
    if kind is BankKind.IBAN:
        values |= {"name": "bank.berlin", "account": IBAN, "bic": "COBADEFFXXX"}
    return Bank(new_id(world.clock.now()), kind=kind, **(values | changes))


async def top_up(world: World, bank: Bank) -> None:
    """Put a thousand into the bank's reserve."""
    id = new_id(world.clock.now())
    change = ReserveChange(id, bank.name, "CNY", 100_000, ReserveSource.OWNER, "begin", "ops")
    assert ["done"] == await world.payouts.change_reserves([change])


async def file_of(world: World, bank: Bank, most: int = 10**9, id=None):
    """Make a file of what waits."""
    request = BankFileRequest(id or new_id(world.clock.now()), bank.id, "CNY", most, "ops")
    [made] = await world.payouts.make_files([request])
    return made


def table_of(*rows: tuple[object, ...]) -> bytes:
    """A table of results: number, result, amount, problem."""
    told = [("number", "result", "amount", "problem"), *rows]
    return "\r\n".join(",".join(str(cell) for cell in row) for row in told).encode()


async def take(world: World, file, content: bytes) -> BankAnswer:
    """Hand in what the bank has answered."""
    [taken] = await world.payouts.take_answers([NewBankAnswer(file.id, content, "ops")])
    assert BankAnswerStatus.READ is taken.status
    [answer] = await world.payouts.read_answers([taken.answer])
    return answer


async def say(world: World, file, payout, result: str, amount="", problem="") -> str:
    """Note what the bank has said of one payout, and let the books follow."""
    row = (to_serial(payout), result, amount, problem)
    answer = await take(world, file, table_of(row))
    note = BankNote(answer.id, "ops", answer.back_whole_minor)
    [noted] = await world.payouts.note_answers([note])
    await world.run()
    [line] = noted.lines
    assert line.status is answer.lines[0].status or answer.noted_at
    return line.status


async def verified(world: World, bank: Bank, account: str = f"{ACCOUNT} 工商银行") -> PayeeId:
    """An account at a bank, proven by a test that went in a file."""
    id = PayeeId(new_id(world.clock.now()))
    payee = NewPayee(id, world.merchant, bank.id, bank.kind, account, "张三", "o@a.example")
    assert ["created"] == await world.payouts.add_payees([payee])
    test = PayoutId(new_id(world.clock.now()))
    asked = PayeeTest(test, id, world.merchant, "CNY")
    assert ["taken"] == await world.payouts.test_payees([asked])
    await world.run()
    file = await file_of(world, bank)
    assert "noted" == await say(world, file, test, "succeeded")
    [content] = await world.payouts.read_contents([file.id])
    cents = int(content.content.decode("utf-8-sig").split(",")[-2].replace(".", ""))
    assert "verified" == await world.prove(id, cents)
    world.clock.advance(25 * 3_600)
    return id


async def opened(world: World) -> tuple[Bank, PayeeId]:
    """A bank with a reserve, and an account of the merchant's there."""
    bank = bank_of(world)
    assert ["created"] == await world.payouts.put_banks([bank])
    await top_up(world, bank)
    return bank, await verified(world, bank)


async def asked(world: World, payee: PayeeId, *amounts: int) -> list:
    """Payouts that wait for a file."""
    await world.earn(10_000)
    wanted = [world.ask(minor, payee=payee) for minor in amounts]
    assert ["taken"] * len(amounts) == await world.payouts.request_payouts(wanted)
    await world.run()
    return wanted


async def faults(world: World, name: str) -> list[str]:
    """What a check of the audit finds."""
    [check] = [each for each in CHECKS if each.name == name]
    async with world.house.databases["payouts"].transaction() as tx:
        return [row[0] for row in await tx.fetch(check.finds)]


async def test_a_payout_leaves_in_one_file_and_ends_as_the_bank_says(world: World) -> None:
    """Reserved, it waits for a file; sent, for a result; succeeded, it may still come back."""
    bank, payee = await opened(world)
    first, second, third = await asked(world, payee, 1_000, 2_000, 3_000)
    await world.later(3_600)
    assert [PayoutState.RESERVED] * 3 == [await world.state(e) for e in (first, second, third)]
    file = await file_of(world, bank)
    assert (3, 6_000, 3) == (file.lines, file.sum_minor, file.open_lines)
    assert file == await file_of(world, bank, id=file.id)
    assert await file_of(world, bank) is None
    await world.later(24 * 3_600)
    assert [PayoutState.SENT] * 3 == [await world.state(e) for e in (first, second, third)]
    assert [False] == await world.payouts.ask_payouts([first.id])

    assert "noted" == await say(world, file, first.id, "succeeded", "10.00")
    assert "noted" == await say(world, file, second.id, "failed", "", "account closed")
    assert "different" == await say(world, file, second.id, "succeeded")
    assert "unknown" == await say(world, file, third.id, "perhaps")
    assert "not_in_file" == await say(world, file, new_id(world.clock.now()), "succeeded")
    assert [PayoutState.SUCCEEDED, PayoutState.FAILED, PayoutState.SENT] == [
        await world.state(each) for each in (first, second, third)
    ]
    assert (9_000, -3_000) == (await world.books())["available"]
    assert "noted" == await say(world, file, first.id, "failed", "", "wrong name")
    assert PayoutState.RETURNED == await world.state(first)
    assert (10_000, -3_000) == (await world.books())["available"]
    [now] = await world.payouts.read_files([file.id])
    assert 1 == now.open_lines
    [lines] = await world.payouts.list_lines([BankLineQuery(file.id)])
    told = {each.payout: each.result for each in lines}
    assert {first.id: "returned", second.id: "failed", third.id: ""} == told


async def test_an_answer_is_looked_at_before_it_is_noted_and_noted_once(world: World) -> None:
    """Handed in, nothing moves; every line says what would become of it; noted twice, it is one."""
    bank, payee = await opened(world)
    first, second, third = await asked(world, payee, 1_000, 2_000, 3_000)
    file = await file_of(world, bank)
    content = table_of(
        (to_serial(first.id), "成功", "10.00", ""),
        (to_serial(first.id), "failed", "10.00", ""),
        (to_serial(second.id), "failed", "20.01", "too much"),
        (to_serial(third.id), "退回", "", "no such account"),
        ("nonsense", "succeeded", "", ""),
    )
    told = ["noted", "different", "amount_wrong", "noted", "not_in_file"]

    answer = await take(world, file, content)
    assert told == [each.status for each in answer.lines]
    assert (None, 6_000) == (answer.noted_at, answer.back_minor)
    assert [PayoutState.SENT] * 3 == [await world.state(e) for e in (first, second, third)]
    assert answer.id == (await take(world, file, content)).id
    made = await asyncio.gather(
        *(world.payouts.note_answers([BankNote(answer.id, f"ops{n}", 6_000)]) for n in range(5))
    )
    await world.run()

    assert 1 == len({noted.noted_by for [noted] in made})
    assert {tuple(told)} == {tuple(each.status for each in noted.lines) for [noted] in made}
    assert [PayoutState.SUCCEEDED, PayoutState.SENT, PayoutState.RETURNED] == [
        await world.state(each) for each in (first, second, third)
    ]
    assert (9_000, -2_000) == (await world.books())["available"]
    again = await take(world, file, content + b"\r\n")
    assert ["known", "different", "amount_wrong", "known", "not_in_file"] == [
        each.status for each in again.lines
    ]
    [heads] = await world.payouts.list_answers([file.id])
    assert {answer.id, again.id} == {each.id for each in heads}


async def test_answers_of_one_file_give_back_no_more_than_was_agreed_to(world: World) -> None:
    """Told apart and noted at once, they are one sum; what goes beyond it is not noted."""
    bank, payee = await opened(world)
    payouts = await asked(world, payee, 3_000, 2_000, 1_000)
    file = await file_of(world, bank)
    answers = [await take(world, file, table_of((to_serial(e.id), "failed"))) for e in payouts]
    notes = [BankNote(each.id, "ops", each.back_whole_minor) for each in answers]
    noted = await asyncio.gather(*(world.payouts.note_answers([each]) for each in notes))
    left = [each for [each] in noted if each.noted_at is None]
    again = await world.payouts.read_answers([each.id for each in left])

    assert left
    assert 6_000 >= sum(each.back_minor for [each] in noted if each.noted_at is not None)
    assert all(each.back_before_minor for each in again)
    whole = [BankNote(each.id, "two", 6_000) for each in left]
    assert all(each.noted_at for each in await world.payouts.note_answers(whole))


async def test_what_no_file_has_or_cannot_be_read_is_no_answer(world: World) -> None:
    """Of nothing that was handed in in vain is anything kept."""
    bank, payee = await opened(world)
    await asked(world, payee, 1_000)
    file = await file_of(world, bank)
    tries = [NewBankAnswer(new_id(world.clock.now()), table_of(), "ops"),
             NewBankAnswer(file.id, b"x" * (1 << 21), "ops"),
             NewBankAnswer(file.id, b"hello", "ops"),
             NewBankAnswer(file.id, table_of(), "ops")]  # fmt: skip

    told = ["file_not_found", "too_large", "not_readable", "empty"]
    assert told == [each.status for each in await world.payouts.take_answers(tries)]
    assert [[]] == await world.payouts.list_answers([file.id])


async def test_two_who_make_files_share_nothing(world: World) -> None:
    """Of twenty files made at once, each payout lies in one, and none is left out."""
    bank, payee = await opened(world)
    wanted = await asked(world, payee, *(100 + number for number in range(12)))
    id = new_id(world.clock.now())
    ids = [id, id, *(new_id(world.clock.now()) for _ in range(18))]
    made = await asyncio.gather(*(file_of(world, bank, 500, id=each) for each in ids))

    found = {each.id: each for each in made if each is not None}.values()
    assert 12 == sum(each.lines for each in found)
    assert all(each.sum_minor <= 500 for each in found)
    assert sum(new.amount_minor for new in wanted) == sum(each.sum_minor for each in found)
    [listed] = await world.payouts.list_files([BankFileQuery(files_max=len(found))])
    assert {each.id for each in found} == {each.id for each in listed}
    assert [] == await faults(world, "bank_files_fit")


async def test_a_file_stays_as_it_was_made_and_is_carried_once(world: World) -> None:
    """The bank's account changes; the file of yesterday is the same to the byte, and is told so."""
    bank = bank_of(world, BankKind.IBAN)
    await world.payouts.put_banks([bank])
    await top_up(world, bank)
    payee = NewPayee(PayeeId(new_id(world.clock.now())), world.merchant, bank.id, "iban",
                     "de89 3704 0044 0532 0130 00", "Jörg", "o@a.example")  # fmt: skip
    assert ["created"] == await world.payouts.add_payees([payee])
    test = PayeeTest(PayoutId(new_id(world.clock.now())), payee.id, world.merchant, "CNY")
    await world.payouts.test_payees([test])
    await world.run()
    file = await file_of(world, bank)
    before = await world.payouts.read_contents([file.id])
    other = bank_of(world, BankKind.IBAN, account="GB33BUKB20201555555555")
    changed = Bank(bank.id, bank.name, bank.title, bank.kind, bank.currencies, bank.holder,
                   other.account, is_open=False)  # fmt: skip
    assert ["changed"] == await world.payouts.put_banks([changed])

    assert before == await world.payouts.read_contents([file.id])
    assert IBAN in before[0].content.decode()
    assert [True] == await world.payouts.carry_files([(file.id, "ops")])
    assert [False] == await world.payouts.carry_files([(file.id, "other")])
    [now] = await world.payouts.read_files([file.id])
    assert "ops" == now.carried_by
    reserves = {each.channel_name for each in await world.payouts.list_reserves()}
    assert bank.name in reserves
    assert bank.id not in [each.channel for each in await world.payouts.list_ways()]


async def test_who_is_suspended_is_in_no_file(world: World) -> None:
    """What waits for a file comes back to a merchant whose payouts are stopped."""
    bank, payee = await opened(world)
    [new] = await asked(world, payee, 1_000)
    await world.payouts.suspend_merchants([(world.merchant, "stolen")])

    assert await file_of(world, bank) is None
    await world.run()
    assert PayoutState.DECLINED == await world.state(new)


async def test_who_is_not_known_is_in_no_file_but_for_tests(world: World) -> None:
    """A payout whose merchant's tier has fallen waits for a later file; tests prove accounts."""
    office = Office(world)
    bank, payee = await opened(world)
    [new] = await asked(world, payee, 1_000)
    await office.ask()
    assert await file_of(world, bank) is None
    await verified(world, bank, "6217000010001234567 建设银行"[3:])
    assert PayoutState.RESERVED == await world.state(new)
    await office.accept()
    assert 1_000 == (await file_of(world, bank)).sum_minor


async def test_banks_are_kept_as_they_must_be(world: World) -> None:
    """Names are one's own and stay; accounts have their shapes; a closed one takes nothing new."""
    bank = bank_of(world)
    wrong = [bank_of(world, name="alipay"), bank_of(world, account="12"),
             bank_of(world, BankKind.IBAN, account="DE00370400440532013000"),
             bank_of(world, currencies=["???"])]  # fmt: skip
    assert ["field_malformed"] * 4 == await world.payouts.put_banks(wrong)
    assert ["created", "unchanged"] == await world.payouts.put_banks([bank, bank])
    assert ["name_taken"] == await world.payouts.put_banks([bank_of(world)])
    assert bank.id in [each.channel for each in await world.payouts.list_ways()]


@pytest.mark.parametrize("account", ["6222021234567890128", "12", "1202020219900123456\n"])
async def test_cards_and_nonsense_are_no_accounts(world: World, account: str) -> None:
    """A card's number is not taken for an account, whoever hands it in."""
    bank = bank_of(world)
    await world.payouts.put_banks([bank])
    payee = NewPayee(PayeeId(new_id(world.clock.now())), world.merchant, bank.id, "cn_bank",
                     account, "张三")  # fmt: skip

    told = "created" if account.endswith("\n") else "account_malformed"
    assert [told] == await world.payouts.add_payees([payee])


async def test_the_audit_finds_a_payout_that_no_file_tells_of(world: World) -> None:
    """A line that is gone, a sum that is wrong, a result that the books do not follow: each is."""
    bank, payee = await opened(world)
    first, second = await asked(world, payee, 1_000, 2_000)
    file = await file_of(world, bank)
    await say(world, file, first.id, "succeeded")
    assert [] == await faults(world, "bank_files_fit")
    for spoiled in (
        "delete from payouts.bank_line where payout = $1",
        "update payouts.bank_line set result = 'failed' where payout = $1",
        "update payouts.bank_file f set sum_minor = sum_minor + 1 from payouts.bank_line l"  # noqa: ISC004
        " where l.file = f.id and l.payout = $1",
    ):
        with pytest.raises(ZeroDivisionError):  # noqa: PT012  # To undo it.
            async with world.house.databases["payouts"].transaction() as tx:
                await tx.execute(spoiled, first.id)
                [check] = [each for each in CHECKS if each.name == "bank_files_fit"]
                assert await tx.fetch(check.finds)
                raise ZeroDivisionError
    assert PayoutState.SENT == await world.state(second)


LETTERS = (
    "=+-@＝＋－＠\t\n '\",;工商银行Az09é"  # Those that a table or a spreadsheet may take amiss.
)
NUMBERS = st.integers(0, 1 << 128).map(lambda number: f"{number:026X}"[:26])
LINES = st.lists(
    st.builds(
        Line,
        NUMBERS,
        st.tuples(
            st.integers(10**7, 10**30),
            st.text(LETTERS, max_size=9),
        ).map(lambda pair: f"{pair[0]} {pair[1]}".strip()),
        st.text(LETTERS, min_size=1, max_size=40),
        st.integers(1, 10**11),
    ),
    min_size=1,
    max_size=5,
)


@given(LINES)
def test_no_cell_of_a_table_is_a_formula(lines) -> None:
    """Whatever accounts and names are, no cell begins as a formula does, and sums are right."""
    content = bankfiles.write_table(lines, "CNY").decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(content, newline="")))

    assert [line.number for line in lines] == [row["number"] for row in rows]
    assert [f"{line.amount_minor / 100:.2f}" for line in lines] == [row["amount"] for row in rows]
    for row in rows:
        assert not [cell for cell in row.values() if cell.startswith(("=", "+", "-", "@", "＝"))]
        assert row["account"].startswith("\t")


@given(
    st.lists(
        st.builds(Line, NUMBERS, st.just(IBAN),
                  st.text(min_size=1, max_size=100), st.integers(1, 10**11)),
        min_size=1, max_size=5,
    ),
    st.sampled_from(["EUR", "CNY", "JPY"]),
    st.sampled_from(["COBADEFFXXX", ""]),
)  # fmt: skip
def test_pain_001_is_as_its_schema_says(lines, currency, bic) -> None:
    """Whatever names and amounts are, the schema of ISO 20022 takes the file; its sums fit."""
    at = datetime(2026, 11, 29, 8, tzinfo=UTC)
    content = bankfiles.write_pain(lines, currency, Debtor("Vendrail Ltd", IBAN, bic), 7, at)
    SCHEMA.validate(content.decode())
    [initiation] = ET.fromstring(content)
    head, block = initiation

    paid = sum(float(each.text) for each in block.iter(f"{SPACE}InstdAmt"))
    for part in (head, block):
        assert str(len(lines)) == part.findtext(f"{SPACE}NbOfTxs")
        assert abs(paid - float(part.findtext(f"{SPACE}CtrlSum"))) < 0.001
    assert {currency} == {each.get("Ccy") for each in block.iter(f"{SPACE}InstdAmt")}


SCHEMA = XMLSchema(files("sepaxml").joinpath("schemas/pain.001.001.09.xsd").read_text())
BOMB = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">
<!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;"><!ENTITY e "&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;">]>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.002.001.10">&e;</Document>"""
REACHING = BOMB.replace(b'"lol"', b'SYSTEM "file:///etc/passwd"').replace(b"&e;", b"&a;")


def test_results_are_read_and_what_is_neither_is_not() -> None:
    """Tables and pain.002 tell the same ends; what is under way tells none; no entities are."""
    number = to_serial(new_id(datetime(2026, 11, 29, tzinfo=UTC)))
    table = f"\ufeffnumber,result,problem\r\n{number},失败,账户不存在\r\nX,pending,\r\n"
    space = "urn:iso:std:iso:20022:tech:xsd:pain.002.001.10"
    body = (
        f"<TxInfAndSts><OrgnlEndToEndId>{number}</OrgnlEndToEndId><TxSts>RJCT</TxSts>"
        "<StsRsnInf><Rsn><Cd>AC04</Cd></Rsn></StsRsnInf><OrgnlTxRef><Amt>"
        '<InstdAmt Ccy="EUR">1.50</InstdAmt></Amt></OrgnlTxRef></TxInfAndSts>'
        "<TxInfAndSts><OrgnlEndToEndId>X</OrgnlEndToEndId><TxSts>ACSP</TxSts></TxInfAndSts>"
    )
    status = f'<Document xmlns="{space}">{body}</Document>'.encode()
    told = [(number, "failed", "账户不存在", "", ""), ("X", "", "", "", "")]

    assert told == bankfiles.read_answer(table.encode())
    assert told == bankfiles.read_answer(table.replace("\ufeff", "").encode("gb18030"))
    assert told == bankfiles.read_answer(table.replace(",", ";").encode())
    assert [(number, "failed", "AC04", "1.50", "EUR"), ("X", "", "", "", "")] == (
        bankfiles.read_answer(status)
    )
    for bad in (
        BOMB,
        REACHING,
        b"<!DOCTYPE x>" + status,
        b"hello",
        b"<a/>",
        b"<",
        b"",
        b"\xff\xfe<",
    ):
        assert bankfiles.read_answer(bad) is None


@given(st.binary(max_size=400))
def test_no_content_breaks_the_reading(content: bytes) -> None:
    """Whatever is handed in, it is read or it is not; nothing is raised."""
    head = b"number,result,amount\r\n"
    for each in (content, head + content, b"<" + content):
        told = bankfiles.read_answer(each)
        for line in told or []:
            bankfiles.is_amount(line, 100, "CNY")
