"""The bench of chains: a real node, wallets of nobody else's, and an operator who signs."""

import asyncio
import itertools
import secrets

from tests.chain import proxy
from tests.chain.node import CHAIN_ID, MNEMONIC, Chain, peer, xpub_of

from vendrail.api.payments.deposits import PlanKind, PlanRequest, SignedTransaction
from vendrail.channelkit.bench import Bench, Operation, Sale, Trouble, Twist
from vendrail.payments.channels.evm_addresses import checked, is_address

CONFIRMATIONS = 6
TREASURY_PATH = "m/44'/60'/0'/0/9"
_CENT = 10**4  # Of a token with six places.
_rows = itertools.count(1_000)


def settings_of(chain: Chain, token: str, url: str = "", **changes: str) -> dict[str, str]:
    """Give the settings of an account with a row of addresses that nobody has paid to."""
    return {
        "url": url or chain.url,
        "chain_id": str(CHAIN_ID),
        "network": "Anvil",
        "xpub": xpub_of(next(_rows)),
        "tokens": f"USDT {checked(token)} 6",
        "finality": "3",
        "treasury": checked(chain.accounts[9]),
        "pace_s": "0.1",
        "allows_http": "yes",
        **changes,
    }


def plain(transaction) -> dict:
    """Give a planned transaction as the wallet that signs reads it."""
    return {name: getattr(transaction, name) for name in transaction.__struct_fields__}


class EvmBench(Bench):
    """A chain that makes a block of every transaction; money is final after six of them."""

    kind = "evm"
    currency = "USD"
    has_callbacks = False
    is_chain = True

    def __init__(self, chain: Chain, token: str, node: proxy.Proxy) -> None:
        self.chain = chain
        self.token = token
        self.node = node
        finality = str(CONFIRMATIONS)
        self._settings = settings_of(chain, token, node.url, finality=finality)
        self._other = settings_of(chain, token, node.url, finality=finality)
        self._payers: dict[str, str] = {}

    async def settings(self):
        """Give the settings of an account."""
        return self._settings

    async def other_settings(self):
        """Give the settings of another."""
        return self._other

    async def open(self, action):
        """Look at what is to be scanned: a chain is not told of it."""
        return is_address(action.text) and action.fields["uri"].startswith("ethereum:0x")

    async def see(self, sale: Sale) -> None:
        """Pay, from a wallet of the buyer's own."""
        await asyncio.to_thread(self._pay, sale)

    def _pay(self, sale: Sale) -> None:
        payer = checked("0x" + secrets.token_hex(20))
        self._payers[sale.number] = payer
        self.chain.ask("anvil_setBalance", payer, hex(10**18))
        self.chain.ask("anvil_impersonateAccount", payer)
        units = sale.amount_minor * _CENT
        self.chain.pay(self.token, payer, units)
        self.chain.pay(self.token, sale.action.text, units, payer)

    async def settle(self, sale: Sale) -> None:
        """Bury it under blocks."""
        await asyncio.to_thread(self.chain.mine, CONFIRMATIONS)

    async def undo(self, sale: Sale) -> None:
        """Replace the block that it stands in, and those above."""
        await asyncio.to_thread(self.chain.reorganize, CONFIRMATIONS + 1)

    async def pay(self, sale: Sale) -> None:
        """Pay, and let it become final."""
        await self.see(sale)
        await self.settle(sale)

    async def paid(self, sale: Sale, twist: Twist = Twist.NONE):
        """Say that a chain calls nobody."""
        return

    def forgeries(self, message):
        """Make none: there is nothing to forge."""
        return []

    async def known_minor(self, sale: Sale) -> int:
        """Give what the code asks for."""
        return int(sale.action.fields["uri"].rpartition("uint256=")[2]) // _CENT

    async def returned_minor(self, sale: Sale) -> int:
        """Give what the buyer's wallet holds: it had no more than the price."""
        payer = self._payers[sale.number]
        return await asyncio.to_thread(self.chain.balance, self.token, payer) // _CENT

    async def carry_out(self, payments, channel) -> None:
        """Sign the plan of refunds as its owner does, and send it."""
        await asyncio.to_thread(
            self.chain.pay, self.token, self._settings["treasury"], 100 * 100 * _CENT
        )
        (plan,) = await payments.plan_transactions([PlanRequest(channel, PlanKind.REFUNDS)])
        assert plan.status == "planned", plan
        if not plan.transactions:
            return
        raws = await asyncio.to_thread(
            peer,
            do="sign",
            mnemonic=MNEMONIC,
            treasury_path=TREASURY_PATH,
            transactions=[plain(each) for each in plan.transactions],
        )
        await payments.publish_transactions([SignedTransaction(channel, raw) for raw in raws])
        await asyncio.to_thread(self.chain.mine, CONFIRMATIONS)

    async def trouble(self, trouble: Trouble, operation: Operation, *, count: int = 1) -> bool:
        """Let the node fail; nothing is asked of it to show an address, or to move money."""
        if operation is not Operation.QUERY or trouble in {Trouble.LOST, Trouble.DENIES}:
            return False
        self.node.order(trouble.value, count)
        return True

    async def calm(self) -> None:
        """Take all trouble back."""
        self.node.calm()
