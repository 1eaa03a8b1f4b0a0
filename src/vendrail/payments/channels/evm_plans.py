"""Plans for who signs offline: refunds, sweeps, and the fees that a sweep needs first.

Every nonce is written down, so that a plan that is signed twice moves money once.
"""

from collections.abc import Sequence
from fractions import Fraction
from math import ceil

from vendrail.api.payments.deposits import PlannedTransaction, Published, PublishStatus
from vendrail.payments.channels.base import Account
from vendrail.payments.channels.evm_addresses import path_at
from vendrail.payments.channels.evm_messages import (
    NATIVE,
    NATIVE_DECIMALS,
    EvmSettings,
    NodeRefused,
    Token,
    balance_call,
    digest,
    quantity,
    refund_data,
    transfer_data,
    word,
)
from vendrail.payments.channels.evm_node import Call, ask, ask_one
from vendrail.payments.channels.line import ProviderAway
from vendrail.payments.channels.watching import Held, Place, Repayment

_GAS_COIN = 21_000
_GAS_MARKED = 30_000  # A transfer of coins that carries a refund's number.
_GAS_TOKEN = 100_000  # Tokens of today need from 35,000 to 65,000; what is not used stays.


class _Fees:
    """What a unit of gas may cost."""

    def __init__(self, base: int, tip: int) -> None:
        self.tip = tip
        self.most = 2 * base + tip
        self.likely = base + tip


class EvmPlans:
    """Reads what addresses hold, and makes transactions of it; signs nothing."""

    async def holdings(self, addresses: Sequence[str], account: Account[EvmSettings]) -> list[Held]:
        """Ask what addresses hold of the coin and of each token."""
        tokens = account.settings.tokens
        calls: list[Call] = []
        for address in addresses:
            calls.append(("eth_getBalance", [address, "latest"]))
            calls += [("eth_call", balance_call(token.contract, address)) for token in tokens]
        said = iter(await ask(account, calls) if calls else [])
        found = []
        for address in addresses:
            units = {NATIVE: quantity(next(said))}
            for token in tokens:
                units[token.contract] = word(next(said))
            found.append(Held(address, units))
        return found

    async def plan_refunds(
        self, refunds: Sequence[Repayment], final: int, account: Account[EvmSettings]
    ) -> list[PlannedTransaction]:
        """Make a transaction for each refund, under the nonce it was given before where it holds.

        One whose nonce is used after the final block waits: it may be its own. One whose nonce
        was used before is not: the books were read up to there, and do not know it. What is not on
        the list now is not watched when it leaves, so nobody would know that it was paid.
        """
        settings = account.settings
        refunds = [each for each in refunds if settings.worth(each.asset) is not None]
        pending, latest, used = await _counts(account, final)
        fees = await _fees(account)
        kept = [each.nonce for each in refunds if each.nonce is not None and each.nonce >= latest]
        free = max([pending, *(nonce + 1 for nonce in kept)])
        planned = []
        for each in refunds:
            nonce = each.nonce
            if nonce is not None and used <= nonce < latest:
                continue
            if nonce is None or nonce < used:
                nonce, free = free, free + 1
            is_coin = each.asset == NATIVE
            token = settings.token(each.asset)
            planned.append(
                PlannedTransaction(
                    "refund",
                    each.refund,
                    "",
                    settings.treasury,
                    each.to if is_coin else each.asset,
                    nonce,
                    str(each.units if is_coin else 0),
                    refund_data(each.refund)
                    if is_coin
                    else transfer_data(each.to, each.units, each.refund),
                    _GAS_MARKED if is_coin else _GAS_TOKEN,
                    str(fees.most),
                    str(fees.tip),
                    settings.chain_id,
                    f"{each.units} units of {token.symbol} to {each.to}",
                )
            )
        return planned

    async def plan_sweep(
        self, places: Sequence[Place], nonce_min: int, account: Account[EvmSettings]
    ) -> list[PlannedTransaction]:
        """Make what empties addresses into the treasury, and the coins that pays for it first."""
        settings = account.settings
        held = await self.holdings([each.address for each in places], account)
        fees = await _fees(account)
        pending = quantity(
            await ask_one(account, "eth_getTransactionCount", settings.treasury, "pending")
        )
        free = max(pending, nonce_min)
        calls: list[Call] = [
            ("eth_getTransactionCount", [each.address, "pending"]) for each in places
        ]
        nonces = [quantity(each) for each in await ask(account, calls)] if calls else []
        funds: list[PlannedTransaction] = []
        sweeps: list[PlannedTransaction] = []
        for place, holding, nonce in zip(places, held, nonces, strict=True):
            made = _empty(place, holding, nonce, fees, settings)
            need = sum(int(each.fee_max) * each.gas + int(each.value) for each in made)
            short = need - holding.units[NATIVE]
            if made and short > 0:
                funds.append(_fund(place, short, free, fees, settings))
                free += 1
            sweeps += made
        return [*funds, *sweeps]

    async def publish(
        self, signed: Sequence[str], account: Account[EvmSettings]
    ) -> list[Published]:
        """Hand signed transactions to the node, one by one: a refused one spoils no other."""
        said = []
        for raw in signed:
            try:
                hash = digest(await ask_one(account, "eth_sendRawTransaction", raw))
                said.append(Published(PublishStatus.TAKEN, hash))
            except NodeRefused as error:
                said.append(Published(PublishStatus.REFUSED, str(error)))
            except ProviderAway as error:
                said.append(Published(PublishStatus.UNKNOWN, str(error)))
        return said


def _empty(
    place: Place, holding: Held, nonce: int, fees: _Fees, settings: EvmSettings
) -> list[PlannedTransaction]:
    """Send every token on the list, then the coins that are left, where coins are taken.

    What is worth less than a cent, or than what its transfer costs, stays.
    """
    made: list[PlannedTransaction] = []

    def add(to: str, value: int, data: str, gas: int, note: str) -> None:
        made.append(
            PlannedTransaction(
                "sweep",
                place.address,
                path_at(place.place),
                place.address,
                to,
                nonce + len(made),
                str(value),
                data,
                gas,
                str(fees.most),
                str(fees.tip),
                settings.chain_id,
                note,
            )
        )

    for token in settings.tokens:
        units = holding.units[token.contract]
        if units >= _least(token, fees, settings):
            data = transfer_data(settings.treasury, units)
            add(token.contract, 0, data, _GAS_TOKEN, f"{units} units of {token.symbol}")
    rest = holding.units[NATIVE] - (len(made) * _GAS_TOKEN + _GAS_COIN) * fees.most
    if settings.native_rate is not None and rest > _GAS_COIN * fees.likely:
        add(settings.treasury, rest, "0x", _GAS_COIN, f"{rest} wei of {settings.native_symbol}")
    return made


def _least(token: Token, fees: _Fees, settings: EvmSettings) -> int:
    """Give how many units are worth a cent, and their transfer where the coin has a price."""
    worth = Fraction(1, 100)
    if settings.native_rate is not None:
        cost = _GAS_TOKEN * fees.likely * Fraction(settings.native_rate) / 10**NATIVE_DECIMALS
        worth = max(worth, cost)
    least: int = ceil(worth * 10**token.decimals)
    return least


def _fund(
    place: Place, value: int, nonce: int, fees: _Fees, settings: EvmSettings
) -> PlannedTransaction:
    return PlannedTransaction(
        "fund",
        place.address,
        "",
        settings.treasury,
        place.address,
        nonce,
        str(value),
        "0x",
        _GAS_COIN,
        str(fees.most),
        str(fees.tip),
        settings.chain_id,
        "pays for the sweep",
    )


async def _counts(account: Account[EvmSettings], final: int) -> tuple[int, int, int]:
    """Say how many transactions the treasury has sent: told, in a block, and for good."""
    treasury = account.settings.treasury
    blocks = ("pending", "latest", hex(max(0, final)))
    calls: list[Call] = [("eth_getTransactionCount", [treasury, block]) for block in blocks]
    pending, latest, used = map(quantity, await ask(account, calls))
    return pending, latest, used


async def _fees(account: Account[EvmSettings]) -> _Fees:
    block, tip = await ask(
        account,
        [("eth_getBlockByNumber", ["latest", False]), ("eth_maxPriorityFeePerGas", [])],
    )
    base = block.get("baseFeePerGas", "0x0") if isinstance(block, dict) else None
    return _Fees(quantity(base), quantity(tip))
