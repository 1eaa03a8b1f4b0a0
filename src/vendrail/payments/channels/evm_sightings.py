"""What stands in the blocks: tokens by their logs, coins by their transactions.

A token's transfer is believed by its contract's log. A coin that a contract hands on leaves none
and is not seen here: it shows as a holding.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from vendrail.payments.channels.base import Account
from vendrail.payments.channels.evm_messages import (
    NATIVE,
    TRANSFER_TOPIC,
    EvmSettings,
    Log,
    NodeRefused,
    address_in,
    digest,
    padded,
    quantity,
    read_block,
    read_logs,
    refund_in,
)
from vendrail.payments.channels.evm_node import Call, ask, ask_one
from vendrail.payments.channels.line import TooLarge
from vendrail.payments.channels.watching import Moved, Sighting

_ADDRESSES_MAX = 500
_BLOCKS_WHOLE_MAX = 4  # Whole blocks to a request.
_RANGE_REFUSALS = {-32005, -32602, -32000, -32011, -32062, 413}


async def look(
    first: int, last: int, addresses: Sequence[str], account: Account[EvmSettings]
) -> list[Sighting]:
    """Find transfers to the addresses, and refunds that left the treasury."""
    settings = account.settings
    logs: list[Log] = []
    if settings.tokens:
        for start in range(0, len(addresses), _ADDRESSES_MAX):
            some = [padded(address) for address in addresses[start : start + _ADDRESSES_MAX]]
            logs += await _read_logs(first, last, [TRANSFER_TOPIC, None, some], account)
        sent = await _read_logs(first, last, [TRANSFER_TOPIC, [padded(settings.treasury)]], account)
    else:
        sent = []
    refunds = await _refunds_of(sent, account)
    moments = await _moments(logs + sent, account)
    # What the treasury sends is ours, and pays nobody's order.
    came = [log for log in logs if log.source != settings.treasury]
    found = {log: log.sighting(moments[log.block]) for log in came} | {
        log: log.sighting(moments[log.block], refunds[log.transaction])
        for log in sent
        if refunds.get(log.transaction)
    }
    coins: list[Sighting] = []
    if settings.native_rate is not None:
        coins = await _read_coins(first, last, frozenset(addresses), account)
    return [*found.values(), *coins]


async def _read_logs(
    first: int, last: int, topics: Sequence[Any], account: Account[EvmSettings]
) -> list[Log]:
    """Read logs; where the range or its answer is too large, its halves are asked for."""
    asked = {
        "fromBlock": hex(first),
        "toBlock": hex(last),
        "address": [token.contract for token in account.settings.tokens],
        "topics": list(topics),
    }
    try:
        value = await ask_one(account, "eth_getLogs", asked)
    except (NodeRefused, TooLarge) as error:
        is_range = isinstance(error, TooLarge) or error.code in _RANGE_REFUSALS
        if first == last or not is_range:
            raise
        middle = (first + last) // 2
        return [
            *await _read_logs(first, middle, topics, account),
            *await _read_logs(middle + 1, last, topics, account),
        ]
    return read_logs(value, account.settings, first, last)


async def _refunds_of(sent: Sequence[Log], account: Account[EvmSettings]) -> dict[str, str]:
    """Read which refunds the treasury's transactions carry out."""
    hashes = list(dict.fromkeys(log.transaction for log in sent))
    calls: list[Call] = [("eth_getTransactionByHash", [each]) for each in hashes]
    found = await ask(account, calls) if calls else []
    if any(each is None for each in found):
        raise Moved
    return {
        number: refund_in(each, account.settings)
        for number, each in zip(hashes, found, strict=True)
    }


async def _moments(logs: Sequence[Log], account: Account[EvmSettings]) -> dict[int, datetime]:
    """Read when the blocks of logs were made, and that they are still the same blocks."""
    hashes = {log.block: log.block_hash for log in logs}
    numbers = sorted(hashes)
    calls: list[Call] = [("eth_getBlockByNumber", [hex(number), False]) for number in numbers]
    moments: dict[int, datetime] = {}
    for number, value in zip(numbers, await ask(account, calls) if calls else [], strict=True):
        block = read_block(value)
        if block is None or block.hash != hashes[number]:
            raise Moved
        moments[number] = block.at
    if any(hashes[log.block] != log.block_hash for log in logs):
        raise Moved
    return moments


async def _read_coins(
    first: int, last: int, addresses: frozenset[str], account: Account[EvmSettings]
) -> list[Sighting]:
    """Read whole blocks for coins sent to the addresses, and for refunds in coins."""
    found: list[Sighting] = []
    for start in range(first, last + 1, _BLOCKS_WHOLE_MAX):
        numbers = range(start, min(start + _BLOCKS_WHOLE_MAX, last + 1))
        calls: list[Call] = [("eth_getBlockByNumber", [hex(number), True]) for number in numbers]
        for value in await ask(account, calls):
            found += await _coins_in(value, addresses, account)
    return found


async def _coins_in(
    value: Any, addresses: frozenset[str], account: Account[EvmSettings]
) -> list[Sighting]:
    block = read_block(value)
    transactions = value.get("transactions") if isinstance(value, Mapping) else None
    if block is None or not isinstance(transactions, list):
        raise Moved
    sightings = []
    for each in transactions:
        if not isinstance(each, Mapping):
            raise NodeRefused("a transaction in its answer cannot be read")
        units = quantity(each.get("value"))
        if not units or not each.get("to"):
            continue
        source, target = address_in(each.get("from")), address_in(each.get("to"))
        # What the treasury sends pays nobody's order: it carries out a refund, or pays for a sweep.
        is_sent = source == account.settings.treasury
        refund = refund_in(each, account.settings) if is_sent else ""
        if refund or (target in addresses and not is_sent):
            number = f"{digest(each.get('hash'))}:coin"
            sightings.append(
                Sighting(
                    number,
                    block.number,
                    block.hash,
                    block.at,
                    NATIVE,
                    source,
                    target,
                    units,
                    refund,
                )
            )
    if not sightings:
        return []
    hashes = [each.number.partition(":")[0] for each in sightings]
    receipts = await ask(account, [("eth_getTransactionReceipt", [each]) for each in hashes])
    if any(not isinstance(each, Mapping) for each in receipts):
        raise Moved
    if any(each.get("blockHash") != block.hash for each in receipts):
        raise Moved
    return [
        sighting
        for sighting, receipt in zip(sightings, receipts, strict=True)
        if quantity(receipt.get("status")) == 1
    ]
