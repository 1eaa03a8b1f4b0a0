"""Banks without an API in both consoles: a file is made, carried and answered; much by two."""

import re

import pytest
from tests.payments.conftest import alipay, alipay_home, alipay_server, cert_app  # noqa: F401
from tests.web.test_payouts import PATH, Place, ask, place  # noqa: F401

from vendrail.api.identity import Role
from vendrail.api.payouts import BankFileQuery, PayoutState, ReserveChange, ReserveSource
from vendrail.kernel.ids import new_id, to_serial

BANKS, FILES = "/operator/banks", "/operator/bank-files"
FIELDS = {
    "kind": "cn_bank", "name": "icbc", "title": "ICBC 工商银行", "holder": "Vendrail Ltd",
    "account": "1234567890123", "currencies": "cny", "reason": "our account there",
}  # fmt: skip
MUCH = "12000.00"  # More than one person may.


@pytest.fixture
async def desk(place: Place):  # noqa: F811
    """Who works with files, once the bank is written down and its reserve has money."""
    first = await place.world.join("fin@rail.example", Role.OPERATOR_FINANCE)
    await first.go(BANKS)
    await first.send(BANKS, nonce=place.nonce(first), **(FIELDS | {"account": "12"}))
    assert "Look at every field" in first.text
    await first.send(BANKS, nonce=place.nonce(first), **FIELDS)
    assert "1234567890123" in first.text
    [bank] = await place.money.payouts.list_banks()
    assert ("bank.icbc", ["CNY"]) == (bank.name, bank.currencies)
    change = ReserveChange(
        new_id(place.world.clock.now()), bank.name, "CNY", 10_000_000, ReserveSource.OWNER,
        "begin", "ops",
    )  # fmt: skip
    assert ["done"] == await place.money.payouts.change_reserves([change])
    return first


async def make(place: Place, desk):  # noqa: F811
    """Make a file of what waits by the page; give it, if it is made."""
    [before] = await place.money.payouts.list_files([BankFileQuery()])
    await desk.go(FILES)
    bank = re.search(r'name="bank" value="([^"]+)"', desk.page.text)[1]
    fields = {"nonce": place.nonce(desk), "bank": bank, "currency": "CNY"}
    await desk.send(FILES, **fields)
    assert "Say why" in desk.text
    await desk.send(FILES, **fields, reason="Monday's")
    [after] = await place.money.payouts.list_files([BankFileQuery()])
    return after[0] if len(after) > len(before) else None


async def hand_in(desk, path: str, content: bytes):
    """Hand in an answer of the bank on a file's page."""
    await desk.go(path)
    address = f"{path}/answers?form_token={desk.token()}"
    files = {"file": ("answer.csv", content, "text/csv")}
    headers = {"referer": str(desk.page.url)}
    desk.page = await desk.http.post(address, files=files, headers=headers, follow_redirects=True)
    return re.search(rf'action="({path}/answers/[^"]+)"', desk.page.text)


async def prove(place: Place, desk, owner) -> str:  # noqa: F811
    """Add a bank account and prove it by a test that goes in a file; give the file's page."""
    [bank] = await place.money.payouts.list_banks()
    await owner.go(PATH)
    assert "Of a bank: its account number, never a card's." in owner.text
    assert "Bank card" not in owner.text
    way = f"{to_serial(bank.id)}|cn_bank"
    fields = {"nonce": place.nonce(owner), "way": way, "account": "1202020219900123456 工商银行"}
    await owner.send(f"{PATH}/accounts", **fields, name="张三")
    assert "120***3456 工商银行" in owner.text
    payee = re.search(r'name="payee" value="([^"]+)"', owner.page.text)[1]
    await owner.send(f"{PATH}/tests", nonce=place.nonce(owner), payee=payee)
    await place.money.run()
    file = await make(place, desk)
    path = f"{FILES}/{to_serial(file.id)}"
    taken = await desk.send(f"{path}/content", raw=True)
    assert taken.headers["content-disposition"].startswith('attachment; filename="payouts-1.csv"')
    [_, line, _] = taken.content.decode("utf-8-sig").split("\r\n")
    number, account, holder, _, amount, _ = line.split(",")
    assert ("\t1202020219900123456", "张三") == (account, holder)
    found = await hand_in(desk, path, f"number,result\r\n{number},成功\r\n".encode())
    assert "Nothing has come of it" in desk.text
    await desk.send(found[1], reason="as the bank says")
    assert "Answer, noted" in desk.text
    await place.money.run()
    await owner.send(f"{PATH}/proofs", payee=payee, arrived=amount)
    assert "The account is proven." in owner.text
    return path


async def test_a_payout_goes_to_a_bank_and_comes_back(place: Place, desk) -> None:  # noqa: F811
    """Made, carried, answered and bounced by pages alone; every step is in the log."""
    owner = await place.world.join("own@a.example", Role.OWNER)
    await prove(place, desk, owner)
    await place.money.earn(100_000)
    await ask(place, owner, "200.00")
    await place.money.run()
    [new] = await place.payouts(PayoutState.RESERVED)
    await owner.go(f"{PATH}/{to_serial(new.id)}")
    assert "next file for the bank" in owner.text
    file = await make(place, desk)
    path = f"{FILES}/{to_serial(file.id)}"
    await desk.go(path)
    await desk.send(f"{path}/carried", reason="handed in")
    await desk.send(f"{path}/carried", reason="handed in again")
    assert "was decided so before" in desk.text
    assert await hand_in(desk, path, b"hello") is None
    assert "no answer that can be read" in desk.text
    wrong = f"number,result,amount\n{to_serial(new.id)},failed,1.00\nnobody,failed,\n".encode()
    assert await hand_in(desk, path, wrong)
    assert "Another amount" in desk.text
    assert "Not in this file" in desk.text
    found = await hand_in(desk, path, f"number,result\n{to_serial(new.id)},退票\n".encode())
    await desk.send(found[1], reason="as the bank says")
    await desk.send(found[1], reason="once more")
    await place.money.run()

    assert PayoutState.RETURNED == await place.money.state(new)
    assert (100_000, 0) == (await place.money.books())["available"]
    acts = {"bank.written", "bank_file.made", "bank_file.taken", "bank_file.carried",
            "bank_answer.read", "bank_answer.noted"}  # fmt: skip
    assert acts <= set(await place.world.acts())
    await desk.go(BANKS)
    assert "ICBC 工商银行" in desk.text


async def test_much_leaves_and_comes_back_by_two(place: Place, desk) -> None:  # noqa: F811
    """Above the limit one person makes no file and notes nothing that goes back to merchants."""
    owner = await place.world.join("own@a.example", Role.OWNER)
    await prove(place, desk, owner)
    await place.money.earn(2_000_000)
    await ask(place, owner, MUCH)
    await place.money.run()
    assert await make(place, desk) is None
    assert "second person" in desk.text
    second = await place.world.join("boss@rail.example", Role.OPERATOR_ADMIN)

    async def approve() -> None:
        await second.go("/operator/approvals")
        address = re.search(r'action="(/operator/approvals/[^"]+)"', second.page.text)[1]
        await second.send(address, decision="approve")
        assert "Approved, and done." in second.text

    await approve()
    [[file, _]] = await place.money.payouts.list_files([BankFileQuery()])
    assert 1_200_000 == file.sum_minor
    [new] = await place.payouts(PayoutState.SENT)
    path = f"{FILES}/{to_serial(file.id)}"
    found = await hand_in(desk, path, f"number,result\n{to_serial(new.id)},failed\n".encode())
    await desk.send(found[1], reason="as the bank says")
    await place.money.run()
    assert PayoutState.SENT == await place.money.state(new)
    await approve()
    await place.money.run()

    assert PayoutState.FAILED == await place.money.state(new)


async def test_much_comes_back_by_two_however_it_is_told(place: Place, desk) -> None:  # noqa: F811
    """Answers that are small one by one are one sum: beyond the limit a second person is asked."""
    owner = await place.world.join("own@a.example", Role.OWNER)
    await prove(place, desk, owner)
    await place.money.earn(2_000_000)
    for each in ("3000.00", "1500.00", "2000.00"):
        await ask(place, owner, each)
    await place.money.run()
    assert await make(place, desk) is None
    second = await place.world.join("boss@rail.example", Role.OPERATOR_ADMIN)
    await second.go("/operator/approvals")
    address = re.search(r'action="(/operator/approvals/[^"]+)"', second.page.text)[1]
    await second.send(address, decision="approve")
    [[file, _]] = await place.money.payouts.list_files([BankFileQuery()])
    path, sent = f"{FILES}/{to_serial(file.id)}", await place.payouts(PayoutState.SENT)
    for new in sorted(sent, key=lambda each: each.amount_minor):
        found = await hand_in(desk, path, f"number,result\n{to_serial(new.id)},failed\n".encode())
        await desk.send(found[1], reason="as the bank says")
    await place.money.run()

    states = {each.amount_minor: await place.money.state(each) for each in sent}
    assert {150_000: "failed", 200_000: "failed", 300_000: "sent"} == states


async def test_who_pays_nobody_out_sees_no_file(place: Place, desk) -> None:  # noqa: F811
    """A merchant's owner finds no such page; support may neither see nor take a file."""
    owner = await place.world.join("own@a.example", Role.OWNER)
    path = await prove(place, desk, owner)
    other = await place.world.join("help@rail.example", Role.OPERATOR_SUPPORT)

    for who, codes in ((owner, (403, 404)), (other, (403,))):
        assert (await who.go(path)).status_code in codes
        await who.go("/console")
        assert (await who.send(f"{path}/content", raw=True)).status_code in codes
