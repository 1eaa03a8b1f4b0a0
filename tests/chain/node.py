"""A real EVM chain of our own, and wallets that pay on it."""

import hashlib
import hmac
import itertools
import json
import socket
import subprocess
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from base58 import b58encode_check
from coincurve import PrivateKey
from Cryptodome.Hash import RIPEMD160

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ANVIL = HERE / "node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
PEER = ROOT / ".venv-peers" / "bin" / "python"
CHAIN_ID = 31_337
HARDENED = 1 << 31
MNEMONIC = "test test test test test test test test test test test junk"
_TRANSFER = "0xa9059cbb"  # transfer(address,uint256)
_TWICE = "0x854dd2e2"  # transferTwice(address,uint256)


class Chain:
    """Anvil on a port of its own; accounts 0 to 9 of the test mnemonic are rich and unlocked."""

    def __init__(self, *options: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        command = [
            ANVIL, "--port", str(port), "--silent", "--mnemonic", MNEMONIC,
            "--hardfork", "paris", "--prune-history", "200",  # Else long chains grow slow.
            *options,
        ]  # fmt: skip
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        self._client = httpx.Client(trust_env=False, timeout=30)
        self._ids = itertools.count(1)
        due = time.monotonic() + 20
        while True:
            try:
                self.accounts: list[str] = self.ask("eth_accounts")
                break
            except httpx.TransportError:
                assert time.monotonic() < due, "anvil does not answer"
                time.sleep(0.05)

    def close(self) -> None:
        """End the node."""
        self._client.close()
        self._process.terminate()
        self._process.wait(10)

    def ask(self, method: str, *params: Any) -> Any:
        """Ask the node."""
        body = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(params)}
        reply = self._client.post(self.url, json=body).json()
        assert "error" not in reply, reply
        return reply["result"]

    @property
    def height(self) -> int:
        """Give the number of the last block."""
        return int(self.ask("eth_blockNumber"), 16)

    def mine(self, count: int = 1) -> None:
        """Add empty blocks."""
        self.ask("anvil_mine", hex(count))

    def send(
        self, source: str, target: str | None, data: str = "0x", value: int = 0, **fees: str
    ) -> dict:
        """Have an unlocked account send a transaction; give its receipt."""
        asked = {"from": source, "data": data, "value": hex(value), "gas": hex(3_000_000), **fees}
        hash = self.ask("eth_sendTransaction", asked | ({"to": target} if target else {}))
        due = time.monotonic() + 10
        while (receipt := self.ask("eth_getTransactionReceipt", hash)) is None:
            assert time.monotonic() < due, "no block holds it"
            time.sleep(0.02)
        assert receipt["status"] == "0x1", receipt
        return receipt

    def deploy(self, symbol: str, decimals: int) -> str:
        """Make a token; the first account holds all of it."""
        text = symbol.encode().hex().ljust(64, "0")
        words = f"{0x40:064x}{decimals:064x}{len(symbol):064x}{text}"
        receipt = self.send(self.accounts[0], None, "0x" + bytecode() + words)
        return receipt["contractAddress"]

    def pay(self, token: str, target: str, units: int, source: str = "") -> dict:
        """Pay tokens."""
        data = f"{_TRANSFER}{_word(target)}{units:064x}"
        return self.send(source or self.accounts[0], token, data)

    def pay_twice(self, token: str, target: str, units: int) -> dict:
        """Pay tokens twice in one transaction."""
        return self.send(self.accounts[0], token, f"{_TWICE}{_word(target)}{units:064x}")

    def pay_coins(self, target: str, wei: int, source: str = "") -> dict:
        """Pay coins."""
        return self.send(source or self.accounts[1], target, value=wei)

    def reorganize(self, depth: int, transactions: Sequence[Any] = ()) -> None:
        """Replace the last blocks by others."""
        self.ask("anvil_reorg", depth, list(transactions))

    def balance(self, token: str, address: str) -> int:
        """Say how many tokens an address holds."""
        data = f"0x70a08231{_word(address)}"
        return int(self.ask("eth_call", {"to": token, "data": data}, "latest"), 16)


def _word(address: str) -> str:
    return address[2:].lower().rjust(64, "0")


@cache
def bytecode() -> str:
    """Compile the token, once a run."""
    command = ["node", HERE / "compile.js"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def peer(**asked: Any) -> Any:
    """Ask the independent wallet: it is web3 and eth-account, in a program of its own."""
    told = subprocess.run(
        [PEER, HERE / "peer.py"],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


def xpub_of(account: int = 0) -> str:
    """Give the extended public key of m/44'/60'/<account>'/0: a row of addresses."""
    return xpub_at(44 | HARDENED, 60 | HARDENED, account | HARDENED, 0)


def xpub_at(*path: int, version: str = "0488b21e") -> str:
    """Give the extended public key at a path below the mnemonic's seed (BIP 32)."""
    seed = hashlib.pbkdf2_hmac("sha512", MNEMONIC.encode(), b"mnemonic", 2_048)
    digest = hmac.digest(b"Bitcoin seed", seed, "sha512")
    key, above = PrivateKey(digest[:32]), bytes(4)
    for number in path:
        public, place = key.public_key.format(), number.to_bytes(4, "big")
        told = b"\0" + key.secret if number & HARDENED else public
        above = RIPEMD160.new(hashlib.sha256(public).digest()).digest()[:4]
        digest = hmac.digest(digest[32:], told + place, "sha512")
        key = key.add(digest[:32])
    depth, last = bytes([len(path)]), (path[-1] if path else 0).to_bytes(4, "big")
    told = depth + above + last + digest[32:] + key.public_key.format()
    return b58encode_check(bytes.fromhex(version) + told).decode()
