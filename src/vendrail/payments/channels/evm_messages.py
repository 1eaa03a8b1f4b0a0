"""The messages of EVM nodes: JSON-RPC 2.0, ERC-20 calls and logs, read as strictly as money needs.

Pure. A symbol means nothing: a token is the contract at an address of the operator's list.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple
from uuid import UUID

from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import from_serial, to_serial
from vendrail.payments.channels.evm_addresses import checked
from vendrail.payments.channels.line import ProviderAway
from vendrail.payments.channels.watching import Block, Sighting

NATIVE = "native"
NATIVE_DECIMALS = 18
# keccak256("Transfer(address,address,uint256)"), and the selectors of transfer and decimals.
TRANSFER_TOPIC = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
_TRANSFER = "a9059cbb"
DECIMALS = "0x313ce567"
_BALANCE_OF = "0x70a08231"
_QUANTITY = re.compile(r"0x(0|[1-9a-f][0-9a-f]{0,63})")
_HASH = re.compile(r"0x[0-9a-f]{64}")
_WORD = re.compile(r"0x[0-9a-f]{64}")


class NodeRefused(ProviderAway):
    """The node answered that it will not, or what cannot be read; nothing may be assumed."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class Token(NamedTuple):
    """A contract that counts as money."""

    symbol: str
    contract: str
    decimals: int


@dataclass(frozen=True)
class EvmSettings:
    """An account on one chain, ready for use."""

    url: str
    chain_id: int
    network: str
    xpub: str
    tokens: tuple[Token, ...]
    confirmations: int  # 0: the chain's own `finalized`.
    treasury: str
    native_symbol: str
    native_rate: Decimal | None  # One coin in the account's currency; None: coins are not taken.
    pace_s: float

    def token(self, asset: str) -> Token:
        """Say how an asset is written; one that is not listed, as it is."""
        if asset == NATIVE:
            return Token(self.native_symbol, NATIVE, NATIVE_DECIMALS)
        found = next((token for token in self.tokens if token.contract == asset), None)
        return found or Token(asset, asset, 0)

    def worth(self, asset: str) -> Fraction | None:
        """Give what a unit counts for, in the account's currency; None: it is not taken now."""
        if asset == NATIVE:
            rate = self.native_rate
            return None if rate is None else Fraction(rate) / 10**NATIVE_DECIMALS
        listed = (token for token in self.tokens if token.contract == asset)
        return next((Fraction(1, 10**token.decimals) for token in listed), None)


# What goes out.


def request(id: int, method: str, params: Sequence[Any]) -> dict[str, Any]:
    """Make one call."""
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": list(params)}


def padded(address: str) -> str:
    """Write an address as a word of 32 bytes."""
    return "0x" + address.lower().removeprefix("0x").rjust(64, "0")


def transfer_data(target: str, units: int, refund: str = "") -> str:
    """Call `transfer`; a refund's number stands behind the arguments, where contracts do not look.

    So a refund is known by its transaction, and the same one cannot count for two.
    """
    mark = from_serial(refund).hex if refund else ""
    return f"0x{_TRANSFER}{padded(target)[2:]}{units:064x}{mark}"


def balance_call(contract: str, address: str) -> list[Any]:
    """Ask a token what an address holds."""
    return [{"to": contract, "data": _BALANCE_OF + padded(address)[2:]}, "latest"]


def payment_uri(asset: str, address: str, units: int, chain_id: int) -> str:
    """Write what wallets scan (EIP-681)."""
    if asset == NATIVE:
        return f"ethereum:{address}@{chain_id}?value={units}"
    return f"ethereum:{asset}@{chain_id}/transfer?address={address}&uint256={units}"


# What comes back.


def read_replies(body: bytes, count: int) -> list[Any]:
    """Read a batch of replies, in the order asked; the first refusal is raised."""
    try:
        replies = json.loads(body)
    except ValueError as error:
        raise NodeRefused("its answer is not JSON") from error
    if isinstance(replies, dict):
        replies = [replies]
    if not isinstance(replies, list):
        raise NodeRefused("its answer is no JSON-RPC")
    by_id: dict[int, Any] = {}
    for reply in replies:
        if not isinstance(reply, dict):
            raise NodeRefused("its answer is no JSON-RPC")
        if reply.get("error") is not None:
            raise _refusal(reply["error"])
        if isinstance(reply.get("id"), int):
            by_id[reply["id"]] = reply.get("result")
    if by_id.keys() != set(range(count)):
        raise NodeRefused("it did not answer every call")
    return [by_id[id] for id in range(count)]


def _refusal(error: Any) -> NodeRefused:
    if not isinstance(error, dict):
        return NodeRefused("it refused without a word")
    code = error.get("code")
    said = f"{code}: {str(error.get('message', ''))[:200]}"
    return NodeRefused(said, code if isinstance(code, int) else 0)


def quantity(value: Any) -> int:
    """Read a number as nodes write it, without leading zeros."""
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise NodeRefused("a number in its answer cannot be read")
    return int(value, 16)


def word(value: Any) -> int:
    """Read a word of 32 bytes as a number."""
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise NodeRefused("a word in its answer cannot be read")
    return int(value, 16)


def digest(value: Any) -> str:
    """Read the hash of a block or a transaction."""
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise NodeRefused("a hash in its answer cannot be read")
    return value


def address_in(value: Any) -> str:
    """Read an address, plain or as a word, and write it with its check."""
    if not isinstance(value, str) or not re.fullmatch(r"0x(0{24})?[0-9a-fA-F]{40}", value):
        raise NodeRefused("an address in its answer cannot be read")
    return checked(value[-40:])


def read_block(value: Any) -> Block | None:
    """Read a block's head; None where there is none yet."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise NodeRefused("a block in its answer cannot be read")
    return Block(
        quantity(value.get("number")),
        digest(value.get("hash")),
        digest(value.get("parentHash")),
        datetime.fromtimestamp(quantity(value.get("timestamp")), UTC),
    )


class Log(NamedTuple):
    """A token's word that units moved."""

    transaction: str
    place: int
    block: int
    block_hash: str
    contract: str
    source: str
    target: str
    units: int

    def sighting(self, at: datetime, refund: str = "") -> Sighting:
        """Make the transfer of it."""
        number = f"{self.transaction}:{self.place}"
        return Sighting(
            number, self.block, self.block_hash, at,
            self.contract, self.source, self.target, self.units, refund,
        )  # fmt: skip


def read_logs(value: Any, settings: EvmSettings, first: int, last: int) -> list[Log]:
    """Read transfers of the tokens on the list; what was not asked for is refused, not skipped.

    Transfers of nothing cost nothing and anybody can make thousands: they are left out.
    """
    if not isinstance(value, list):
        raise NodeRefused("the logs in its answer cannot be read")
    contracts = {token.contract for token in settings.tokens}
    found = []
    for each in value:
        if not isinstance(each, Mapping) or each.get("removed") is True:
            raise NodeRefused("a log in its answer cannot be read")
        topics = each.get("topics")
        if not isinstance(topics, list) or len(topics) != 3 or topics[0] != TRANSFER_TOPIC:
            raise NodeRefused("it gave a log that is no transfer")
        log = Log(
            digest(each.get("transactionHash")),
            quantity(each.get("logIndex")),
            quantity(each.get("blockNumber")),
            digest(each.get("blockHash")),
            address_in(each.get("address")),
            address_in(topics[1]),
            address_in(topics[2]),
            word(each.get("data")),
        )
        if log.contract not in contracts or not first <= log.block <= last:
            raise NodeRefused("it gave a log that was not asked for")
        if log.units:
            found.append(log)
    return found


def refund_in(transaction: Any, settings: EvmSettings) -> str:
    """Give the number of the refund that a transaction of the treasury carries out, or nothing."""
    if not isinstance(transaction, Mapping):
        return ""
    data = str(transaction.get("input") or transaction.get("data") or "0x").lower()
    if address_in(transaction.get("from")) != settings.treasury:
        return ""
    is_token = data.startswith(f"0x{_TRANSFER}") and len(data) == 2 + 8 + 128 + 32
    if not is_token and len(data) != 2 + 32:
        return ""
    try:
        return to_serial(UUID(hex=data[-32:]))
    except (ValueError, Malformed):
        return ""


def refund_data(refund: str) -> str:
    """Write a refund's number as the data of a plain transfer of coins."""
    return "0x" + from_serial(refund).hex
