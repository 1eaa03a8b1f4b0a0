"""Coins and tokens of EVM chains: an address for each attempt, watched until what came is final.

Nobody stands between buyer and shop, so nobody calls: the chain is read. The server knows an
extended public key and can take money, never move it; what leaves is signed offline.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation

from vendrail.api.payments import ActionKind, Callback, CallbackAnswer, PaymentAction
from vendrail.kernel.money import exponent
from vendrail.payments.channels.base import (
    Account,
    Ask,
    CallbackFacts,
    CallbackRefusal,
    CloseOutcome,
    Doubt,
    MethodOffer,
    Presentation,
    QueryAnswer,
    QueryOutcome,
    RefundAnswer,
    RefundAsk,
    RefundOutcome,
    Setting,
    SettingProblem,
    away,
)
from vendrail.payments.channels.deposit import Deposit
from vendrail.payments.channels.evm_addresses import (
    address_at,
    checked,
    is_address,
    path_at,
    problem_of,
)
from vendrail.payments.channels.evm_messages import (
    DECIMALS,
    NATIVE,
    NATIVE_DECIMALS,
    EvmSettings,
    NodeRefused,
    Token,
    payment_uri,
    quantity,
    read_block,
    word,
)
from vendrail.payments.channels.evm_node import Call
from vendrail.payments.channels.evm_node import ask as ask_node
from vendrail.payments.channels.evm_plans import EvmPlans
from vendrail.payments.channels.evm_sightings import look
from vendrail.payments.channels.line import ProviderAway
from vendrail.payments.channels.watching import Block, Horizon, Sighting, Unit, amount_text

_CURRENCY = "USD"
_NETWORKS = {
    1: "Ethereum", 10: "Optimism", 56: "BNB Chain", 137: "Polygon", 8453: "Base",
    42161: "Arbitrum", 43114: "Avalanche",
}  # fmt: skip
_TOKEN = re.compile(r"([A-Za-z0-9.]{2,12})\s+(0x[0-9a-fA-F]{40})\s+([0-9]{1,2})")
_DECIMALS = range(2, 31)
# A price in coins is rounded up to so many of their places, so that a person can type it.
_COIN_STEP = 10 ** (NATIVE_DECIMALS - 6)


def _is_url(value: str) -> str:
    is_good = re.fullmatch(r"https?://[^\s#]+", value)
    return "" if is_good else "is the address of a node's JSON-RPC."


def _is_number(value: str) -> str:
    return "" if re.fullmatch(r"[1-9][0-9]{0,17}", value) else "is the chain's number, as 137."


def _is_tokens(value: str) -> str:
    try:
        read_tokens(value)
    except ValueError as error:
        return str(error)
    return ""


def _is_finality(value: str) -> str:
    is_good = value == "finalized" or re.fullmatch(r"[1-9][0-9]{0,3}", value)
    return "" if is_good else "is finalized, or a number of blocks."


def _is_treasury(value: str) -> str:
    return "" if is_address(value) else "is an address; its letters must pass their check."


def _is_rate(value: str) -> str:
    try:
        rate = Decimal(value)
    except InvalidOperation:
        return "is a price, as 2500.00."
    return "" if rate.is_finite() and 0 < rate < 10**9 else "is a price, as 2500.00."


def _is_pace(value: str) -> str:
    is_good = re.fullmatch(r"[0-9]{1,3}(\.[0-9])?", value) and Decimal(value) > 0
    return "" if is_good else "is a number of seconds, as 4."


def _is_network(value: str) -> str:
    return "" if re.fullmatch(r"[\w .-]{1,24}", value) else "is a short name, as Polygon."


def _is_symbol(value: str) -> str:
    return "" if re.fullmatch(r"[A-Za-z0-9.]{2,12}", value) else "is a short name, as ETH."


def _yes_or_no(value: str) -> str:
    return "" if value in {"yes", "no"} else "is yes or no."


def read_tokens(text: str) -> tuple[Token, ...]:
    """Read the list of tokens, one a line; raise `ValueError` with what is wrong."""
    tokens: list[Token] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        match = _TOKEN.fullmatch(line)
        if match is None:
            raise ValueError("has lines as: USDT 0xdAC17F958D2ee523a2206206994597C13D831ec7 6")
        if not is_address(match[2]):
            raise ValueError(f"has an address whose letters do not pass their check: {match[1]}.")
        if int(match[3]) not in _DECIMALS:
            raise ValueError(f"has a token with {match[3]} places; 2 to 30 can be used.")
        tokens.append(Token(match[1].upper(), checked(match[2]), int(match[3])))
    if len({token.symbol for token in tokens}) < len(tokens):
        raise ValueError("has a name twice.")
    if len({token.contract for token in tokens}) < len(tokens):
        raise ValueError("has a contract twice.")
    return tuple(tokens)


class EvmChannel(EvmPlans):
    """An account on one EVM chain."""

    kind = "evm"
    name = "EVM"
    currencies: Sequence[str] = (_CURRENCY,)
    expires_max = timedelta(days=1)
    settings_table: Sequence[Setting] = (
        Setting("url", "Address of the node", "JSON-RPC over HTTPS; a key in it stays secret.",
                {"zh-Hans": ("节点地址", "HTTPS 的 JSON-RPC 地址；其中的密钥会保密。")},
                is_secret=True, is_required=True, check=_is_url),
        Setting("chain_id", "Number of the chain", "As 1 for Ethereum, 137 for Polygon.",
                {"zh-Hans": ("链编号", "例如 1 为 Ethereum，137 为 Polygon。")},
                is_required=True, check=_is_number),
        Setting("network", "Name of the network", "What buyers read; empty: the usual name.",
                {"zh-Hans": ("网络名称", "买家看到的名称；留空则用通用名称。")}, check=_is_network),
        Setting("xpub", "Extended public key",
                "Of m/44'/60'/0'/0 or m/44'/60'/0'. The seed stays offline.",
                {"zh-Hans": ("扩展公钥",
                              "m/44'/60'/0'/0 或 m/44'/60'/0' 的扩展公钥。种子须离线保存。")},
                is_secret=True, is_required=True, check=problem_of),
        Setting("tokens", "Tokens",
                "One a line: name, contract, decimal places. One token counts as one dollar.",
                {"zh-Hans": ("代币", "每行一个：名称、合约地址、小数位数。1 代币按 1 美元计。")},
                is_multiline=True, check=_is_tokens),
        Setting("finality", "When money is final",
                "finalized: as the chain says; or a number of blocks.",
                {"zh-Hans": ("何时最终确认", "finalized：以链为准；或填写确认区块数。")},
                default="finalized", check=_is_finality),
        Setting("treasury", "Treasury",
                "The address that money is swept to, and that refunds are paid from.",
                {"zh-Hans": ("资金地址", "归集到此地址，退款也从此地址付出。")},
                is_required=True, check=_is_treasury),
        Setting("native_rate", "Price of one coin",
                "In dollars; empty: the chain's own coin is not taken.",
                {"zh-Hans": ("原生币单价", "以美元计；留空则不收原生币。")}, check=_is_rate),
        Setting("native_symbol", "Name of the coin", "As ETH, BNB, POL.",
                {"zh-Hans": ("原生币名称", "例如 ETH、BNB、POL。")},
                default="ETH", check=_is_symbol),
        Setting("pace_s", "Pace", "Seconds between two looks at the chain.",
                {"zh-Hans": ("查看间隔", "两次查看链之间的秒数。")},
                default="4", check=_is_pace),
        Setting("allows_http", "Without HTTPS", "yes: for a node of one's own, on a safe network.",
                {"zh-Hans": ("允许不加密", "yes：仅用于安全网络中的自有节点。")},
                default="no", check=_yes_or_no),
    )  # fmt: skip

    def read_settings(self, values: Mapping[str, str]) -> EvmSettings:
        """Give typed settings; there must be something to take."""
        if values["url"].startswith("http://") and values["allows_http"] != "yes":
            raise SettingProblem("url", "begins with https://, or the node could be played.")
        tokens = read_tokens(values["tokens"])
        rate = values["native_rate"]
        if not tokens and not rate:
            raise SettingProblem("tokens", "names a token, or give a price of the coin.")
        chain_id = int(values["chain_id"])
        finality = values["finality"]
        return EvmSettings(
            values["url"],
            chain_id,
            values["network"] or _NETWORKS.get(chain_id, f"EVM {chain_id}"),
            values["xpub"],
            tokens,
            0 if finality == "finalized" else int(finality),
            checked(values["treasury"]),
            values["native_symbol"].upper(),
            Decimal(rate) if rate else None,
            float(values["pace_s"]),
        )

    def offers(self, settings: EvmSettings) -> list[MethodOffer]:
        """Offer each token, and the coin where it has a price."""
        symbols = [token.symbol for token in settings.tokens]
        if settings.native_rate is not None:
            symbols.append(settings.native_symbol)
        slug = re.sub(r"[^a-z0-9]+", "", settings.network.lower())
        return [
            MethodOffer(
                f"{symbol.lower()}_{slug}", "address", title=f"{symbol} · {settings.network}"
            )
            for symbol in symbols
        ]

    async def present(
        self, asks: Sequence[Ask], account: Account[EvmSettings], now: datetime
    ) -> list[Presentation]:
        """Show the address and the exact amount; the chain hears of neither."""
        return [self._present(ask, account.settings) for ask in asks]

    def _present(self, ask: Ask, settings: EvmSettings) -> Presentation:
        deposit = ask.deposit
        if deposit is None:
            return away()
        if settings.worth(deposit.asset) is None:
            return away()  # It was taken off the list.
        token = settings.token(deposit.asset)
        fields = {
            "amount": amount_text(deposit.units, token.decimals),
            "asset": token.symbol,
            "network": settings.network,
            "contract": "" if deposit.asset == NATIVE else deposit.asset,
            "uri": payment_uri(deposit.asset, deposit.address, deposit.units, settings.chain_id),
        }
        action = PaymentAction(ActionKind.ADDRESS, text=deposit.address, fields=fields)
        return Presentation(action, reference=deposit.address, is_kept=True)

    # Watching.

    def book(self, settings: EvmSettings) -> str:
        """Name the row of addresses by the first of them."""
        return address_at(settings.xpub, 0)

    def deposit(self, ask: Ask, place: int, settings: EvmSettings) -> Deposit | None:
        """Give the address at a place, and the units that an amount is worth now."""
        symbol = ask.method.partition("_")[0].upper()
        address = address_at(settings.xpub, place)
        minor = 10 ** exponent(ask.currency)
        for token in settings.tokens:
            if token.symbol == symbol:
                units = ask.amount_minor * 10**token.decimals // minor
                return Deposit(place, address, token.contract, units)
        rate = settings.native_rate
        if rate is None or symbol != settings.native_symbol:
            return None
        numerator, denominator = rate.as_integer_ratio()
        wei = -(-ask.amount_minor * 10**NATIVE_DECIMALS * denominator // (minor * numerator))
        return Deposit(place, address, NATIVE, -(-wei // _COIN_STEP) * _COIN_STEP)

    def unit(self, asset: str, settings: EvmSettings) -> Unit:
        """Say how an asset is written."""
        token = settings.token(asset)
        return Unit(token.symbol, token.decimals, settings.network)

    def convert(self, units: int, source: str, target: str, settings: EvmSettings) -> int | None:
        """Count tokens one for one, by their places, and coins at their price."""
        if source == target:
            return units
        given, wanted = settings.worth(source), settings.worth(target)
        if given is None or wanted is None:
            return None
        return int(units * given / wanted)

    def is_steady(self, source: str, target: str) -> bool:
        """Say that tokens keep their worth, and coins do not."""
        return NATIVE not in {source, target}

    def path(self, place: int) -> str:
        """Say where the key of a place is found."""
        return path_at(place)

    def treasury(self, settings: EvmSettings) -> str:
        """Give the address that money is swept to, and that refunds leave from."""
        return settings.treasury

    def address(self, text: str) -> str | None:
        """Give an address with the letter case that is checked; None: it is none."""
        return checked(text) if is_address(text) else None

    def pace_s(self, settings: EvmSettings) -> float:
        """Say how long to wait before the chain is looked at again."""
        return settings.pace_s

    async def verify(self, account: Account[EvmSettings]) -> str:
        """Say why the chain or a token is not what the settings tell, or nothing."""
        settings = account.settings
        calls: list[Call] = [
            ("eth_chainId", []),
            *(
                ("eth_call", [{"to": token.contract, "data": DECIMALS}, "latest"])
                for token in settings.tokens
            ),
        ]
        chain_id, *decimals = await ask_node(account, calls)
        if quantity(chain_id) != settings.chain_id:
            return f"the node is of chain {quantity(chain_id)}, not {settings.chain_id}"
        for token, said in zip(settings.tokens, decimals, strict=True):
            if said == "0x":
                return f"there is no token at the contract of {token.symbol}"
            if word(said) != token.decimals:
                return f"{token.symbol} has {word(said)} places, not {token.decimals}"
        return ""

    async def horizon(self, account: Account[EvmSettings]) -> Horizon:
        """Ask how far the chain reaches, and which block is final."""
        needed = account.settings.confirmations
        if needed:
            (latest,) = await ask_node(account, [("eth_blockNumber", [])])
            return Horizon(quantity(latest), quantity(latest) - needed + 1, needed)
        latest, final = await ask_node(
            account, [("eth_blockNumber", []), ("eth_getBlockByNumber", ["finalized", False])]
        )
        block = read_block(final)
        return Horizon(quantity(latest), block.number if block is not None else -1, 0)

    async def read_blocks(
        self, numbers: Sequence[int], account: Account[EvmSettings]
    ) -> list[Block | None]:
        """Read the heads of blocks."""
        calls = [("eth_getBlockByNumber", [hex(number), False]) for number in numbers]
        found = [read_block(value) for value in await ask_node(account, calls)]
        for number, block in zip(numbers, found, strict=True):
            if block is not None and block.number != number:
                raise NodeRefused("it gave another block than was asked for")
        return found

    async def look(
        self, first: int, last: int, addresses: Sequence[str], account: Account[EvmSettings]
    ) -> list[Sighting]:
        """Find transfers to the addresses, and refunds that left the treasury."""
        return await look(first, last, addresses, account)

    # What a chain has not.

    async def query(self, ask: Ask, account: Account[EvmSettings], now: datetime) -> QueryAnswer:
        """Say whether the node answers and is the right one: what came is in the books."""
        if ask.deposit is not None:
            return QueryAnswer(QueryOutcome.UNKNOWN, problem="it is watched, not asked")
        try:
            problem = await self.verify(account)
            if not problem:
                await self.horizon(account)
        except ProviderAway as error:
            problem = str(error)
        outcome = QueryOutcome.UNKNOWN if problem else QueryOutcome.NOT_FOUND
        return QueryAnswer(outcome, problem=problem)

    def doubt(self, problem: str) -> Doubt:
        """Tell a key that is not taken from a node that is not the right one."""
        is_refused = re.search(r"HTTP 40[13]|-32001|api.?key|unauthori", problem, re.IGNORECASE)
        return Doubt.CREDENTIALS if is_refused else Doubt.OTHER

    async def close(self, ask: Ask, account: Account[EvmSettings], now: datetime) -> CloseOutcome:
        """Say that no address can be closed: it is watched long after."""
        return CloseOutcome.UNSUPPORTED

    async def refund(
        self, ask: RefundAsk, account: Account[EvmSettings], now: datetime
    ) -> RefundAnswer:
        """Say that a refund waits for who signs it: nothing here can move money."""
        return RefundAnswer(RefundOutcome.PENDING, "waits for a signed transaction")

    async def query_refund(
        self, ask: RefundAsk, account: Account[EvmSettings], now: datetime
    ) -> RefundAnswer:
        """Say the same: its transaction is seen by watching."""
        return RefundAnswer(RefundOutcome.PENDING, "waits for a signed transaction")

    def read_callback(
        self, raw: Callback, settings: EvmSettings, now: datetime
    ) -> CallbackFacts | CallbackRefusal:
        """Refuse every callback: a chain calls nobody."""
        return CallbackRefusal("never_called")

    def success_answer(self) -> CallbackAnswer:
        """Answer plainly; it is never needed."""
        return CallbackAnswer(200, b"ok")

    def failure_answer(self) -> CallbackAnswer:
        """Answer whoever calls that nothing is here."""
        return CallbackAnswer(404, b"nothing is called here")
