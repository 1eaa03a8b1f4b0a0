"""What a node answers is read as strictly as money needs; settings are refused with a reason."""

import copy
import json
from uuid import UUID

import pytest
from tests.chain.node import HARDENED, xpub_at, xpub_of

from vendrail.kernel.ids import to_serial
from vendrail.payments.channels.base import SettingProblem, check_settings
from vendrail.payments.channels.evm import EvmChannel
from vendrail.payments.channels.evm_addresses import checked, hash_of, is_address, problem_of
from vendrail.payments.channels.evm_messages import (
    NATIVE,
    TRANSFER_TOPIC,
    NodeRefused,
    padded,
    quantity,
    read_block,
    read_logs,
    read_replies,
    refund_in,
    transfer_data,
)

USDT = "0xdAC17F958D2ee523a2206206994597C13D831ec7"
OTHER = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
SHOP = "0x90F79bf6EB2c4f870365E785982E1f101E93b906"
PAYER = "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65"
REFUND = to_serial(UUID("018f0000-0000-7000-8000-000000000005"))
HASH = "0x" + "ab" * 32
GOOD = {
    "url": "https://node.example/v2/key",
    "chain_id": "1",
    "xpub": xpub_of(0),
    "tokens": f"USDT {USDT} 6",
    "treasury": SHOP,
}
LOG = {
    "address": USDT.lower(),
    "topics": [TRANSFER_TOPIC, padded(PAYER), padded(SHOP)],
    "data": "0x" + f"{5_000_000:064x}",
    "transactionHash": HASH,
    "blockHash": HASH,
    "blockNumber": "0x10",
    "logIndex": "0x3",
    "removed": False,
}
SETTINGS = check_settings(EvmChannel(), GOOD)


def test_a_transfer_is_read():
    """A log of a token on the list is a transfer, under its transaction and place."""
    (log,) = read_logs([LOG], SETTINGS, 16, 16)

    assert (f"{HASH}", 3, 16, PAYER, SHOP, 5_000_000) == (
        log.transaction,
        log.place,
        log.block,
        log.source,
        log.target,
        log.units,
    )


@pytest.mark.parametrize(
    "change",
    [
        {"address": OTHER.lower()},
        {"address": "0x12"},
        {"topics": [TRANSFER_TOPIC, padded(PAYER)]},
        {"topics": ["0x" + "00" * 32, padded(PAYER), padded(SHOP)]},
        {"topics": [TRANSFER_TOPIC, "0x" + "1" * 64, padded(SHOP)]},
        {"topics": None},
        {"data": "0x"},
        {"data": "0x5"},
        {"data": "0x" + "f" * 128},
        {"transactionHash": None},
        {"transactionHash": "0x1"},
        {"blockHash": "latest"},
        {"blockNumber": None},
        {"blockNumber": "0x010"},
        {"blockNumber": "16"},
        {"blockNumber": "0x11"},
        {"logIndex": -1},
        {"removed": True},
    ],
)
def test_a_log_that_is_not_what_was_asked_for_is_refused(change):
    """Another contract, event or block, numbers that are none: nothing is believed."""
    with pytest.raises(NodeRefused):
        read_logs([{**LOG, **change}], SETTINGS, 16, 16)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"null",
        b"[]",
        b"5",
        b"[5]",
        b'{"jsonrpc": "2.0"}',
        b'{"id": 1, "result": "0x1"}',
        b'{"id": 0, "error": {"code": -32000, "message": "no"}}',
        b'{"id": 0, "error": "no"}',
        b'[{"id": 0, "result": 1}, {"id": 1, "result": 1}]',
    ],
)
def test_a_reply_that_does_not_answer_is_no_answer(body):
    """Not JSON, not the calls that were made, an error among them: all is refused."""
    with pytest.raises(NodeRefused):
        read_replies(body, 1)


def test_transfers_of_nothing_are_left_out():
    """They cost their sender nothing, and nobody anything."""
    nothing = {**LOG, "data": "0x" + "0" * 64}

    assert 1 == len(read_logs([nothing, LOG], SETTINGS, 16, 16))


def test_what_is_not_on_the_list_has_no_worth():
    """An asset off the list counts for nothing in another, not by places that nobody knows."""
    channel = EvmChannel()
    rated = check_settings(channel, {**GOOD, "native_rate": "2500"})

    assert channel.convert(1_000, OTHER, USDT, SETTINGS) is None
    assert channel.convert(1_000, USDT, OTHER, SETTINGS) is None
    assert channel.convert(10**18, NATIVE, USDT, SETTINGS) is None
    assert 2_500 * 10**6 == channel.convert(10**18, NATIVE, USDT, rated)
    assert 10**18 == channel.convert(2_500 * 10**6, USDT, NATIVE, rated)


def test_replies_are_put_in_order():
    """A batch may be answered in any order."""
    replies = [{"id": 1, "result": "b"}, {"id": 0, "result": "a"}]

    assert ["a", "b"] == read_replies(json.dumps(replies).encode(), 2)


@pytest.mark.parametrize("value", [None, 5, "", "0x", "0x00", "0xG", "-0x1", "0x" + "1" * 65])
def test_a_number_is_written_as_nodes_write_it(value):
    """No leading zeros, no other base, no more than a word."""
    with pytest.raises(NodeRefused):
        quantity(value)


def test_a_block_without_its_parent_is_none():
    """A head must say what it is, and what came before it."""
    head = {"number": "0x1", "hash": HASH, "parentHash": HASH, "timestamp": "0x5"}

    assert 1 == read_block(head).number
    assert read_block(None) is None
    for name in head:
        with pytest.raises(NodeRefused):
            read_block({**head, name: None})


def test_a_refund_is_known_by_its_number_alone():
    """Only the treasury's own transaction that carries the number is the refund."""
    sent = {"from": SHOP.lower(), "to": USDT, "input": transfer_data(PAYER, 5, REFUND)}

    assert REFUND == refund_in(sent, SETTINGS)
    assert "" == refund_in({**sent, "from": PAYER}, SETTINGS)
    assert "" == refund_in({**sent, "input": transfer_data(PAYER, 5)}, SETTINGS)
    assert "" == refund_in({**sent, "input": "0x"}, SETTINGS)
    assert "" == refund_in(None, SETTINGS)


def test_the_hash_is_the_one_of_ethereum():
    """The hash of nothing is the one that everybody knows, and not that of SHA-3."""
    known = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"

    assert known == hash_of(b"").hex()


def test_a_slip_of_the_hand_shows():
    """An address with one letter in the wrong case is refused; without case there is no check."""
    assert is_address(USDT)
    assert is_address(USDT.lower())
    assert not is_address(USDT.replace("A", "a", 1))
    assert not is_address(USDT[:-1])
    assert USDT == checked(USDT.lower())


@pytest.mark.parametrize(
    "change",
    [
        {"url": "http://node.example/"},
        {"url": "ws://node.example/"},
        {"chain_id": "0"},
        {"chain_id": "one"},
        {"xpub": "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmP"},
        {"xpub": xpub_at()},
        {"xpub": xpub_at(44 | HARDENED, 60 | HARDENED, HARDENED, version="043587cf")},
        {"xpub": xpub_of(0)[:-1] + ("1" if xpub_of(0)[-1] != "1" else "2")},
        {"xpub": xpub_of(0)[:-1]},
        {"xpub": ""},
        {"xpub": "hello"},
        {"tokens": ""},
        {"tokens": "USDT 0x12 6"},
        {"tokens": f"USDT {USDT} 6\nUSDT {OTHER} 6"},
        {"tokens": f"USDT {USDT} 6\nUSDC {USDT} 6"},
        {"tokens": f"USDT {USDT} 1"},
        {"tokens": f"USDT {USDT.replace('A', 'a', 1)} 6"},
        {"finality": "0"},
        {"finality": "soon"},
        {"treasury": SHOP.replace("F", "f", 1)},
        {"native_rate": "-1"},
        {"native_rate": "NaN"},
        {"pace_s": "0"},
    ],
)  # fmt: skip
def test_settings_that_would_lose_money_are_refused(change):
    """A private key, an unsealed line, a token without contract: each is refused."""
    with pytest.raises(SettingProblem):
        check_settings(EvmChannel(), {**GOOD, **change})


def test_what_is_wrong_with_a_key_never_says_the_key():
    """The message about a private key tells what to do, and nothing of it."""
    private = "xprv" + "9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPq"

    assert private[4:20] not in problem_of(private)
    assert "offline" in problem_of(private)


def test_reading_changes_nothing():
    """The node's answer is left as it came."""
    before = copy.deepcopy(LOG)
    read_logs([LOG], SETTINGS, 0, 100)

    assert before == LOG
