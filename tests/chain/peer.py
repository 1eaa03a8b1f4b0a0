"""An independent wallet: web3 and eth-account, which know nothing of our code.

Never imported by the tests: it is started as a program with the interpreter of `.venv-peers`, one
JSON object in, one out.
"""

import json
import sys

from eth_abi import decode
from eth_account import Account
from web3 import Web3

Account.enable_unaudited_hdwallet_features()


def addresses(mnemonic, count, path="m/44'/60'/0'/0"):
    """Derive addresses from the words, as any wallet does."""
    return [
        Account.from_mnemonic(mnemonic, account_path=f"{path}/{place}").address
        for place in range(count)
    ]


def selector(signature):
    """Give the four bytes that call a function."""
    return Web3.keccak(text=signature)[:4].hex()


def sign(mnemonic, treasury_path, transactions):
    """Sign a plan offline, each transaction by the key of its path."""
    raws = []
    for each in transactions:
        account = Account.from_mnemonic(mnemonic, account_path=each["path"] or treasury_path)
        assert account.address == each["source"], (account.address, each)
        signed = account.sign_transaction(
            {
                "chainId": each["chain_id"],
                "nonce": each["nonce"],
                "to": each["to"],
                "value": int(each["value"]),
                "data": each["data"],
                "gas": each["gas"],
                "maxFeePerGas": int(each["fee_max"]),
                "maxPriorityFeePerGas": int(each["tip_max"]),
            }
        )
        raws.append(Web3.to_hex(signed.raw_transaction))
    return raws


def read_call(data):
    """Read a call of `transfer` as a contract does: what stands behind is not looked at."""
    raw = bytes.fromhex(data[2:])
    assert raw[:4] == Web3.keccak(text="transfer(address,uint256)")[:4]
    target, units = decode(["address", "uint256"], raw[4:68])
    return [Web3.to_checksum_address(target), units]


def pay_uri(url, key, uri):
    """Pay what a code says (EIP-681), as a wallet that scanned it."""
    web3 = Web3(Web3.HTTPProvider(url))
    account = Account.from_key(key)
    target, _, rest = uri.removeprefix("ethereum:").partition("@")
    chain, _, query = rest.partition("?")
    chain, _, function = chain.partition("/")
    fields = dict(part.split("=") for part in query.split("&"))
    assert web3.eth.chain_id == int(chain)
    if function:
        assert function == "transfer"
        abi = [
            {
                "name": "transfer",
                "type": "function",
                "stateMutability": "nonpayable",
                "inputs": [
                    {"name": "to", "type": "address"},
                    {"name": "value", "type": "uint256"},
                ],
                "outputs": [{"name": "", "type": "bool"}],
            }
        ]
        contract = web3.eth.contract(Web3.to_checksum_address(target), abi=abi)
        call = contract.functions.transfer(fields["address"], int(fields["uint256"]))
        asked = call.build_transaction(
            {
                "from": account.address,
                "nonce": web3.eth.get_transaction_count(account.address),
            }
        )
    else:
        asked = {
            "from": account.address,
            "to": Web3.to_checksum_address(target),
            "value": int(fields["value"]),
            "nonce": web3.eth.get_transaction_count(account.address),
            "gas": 21_000,
            "maxFeePerGas": web3.eth.gas_price * 2,
            "maxPriorityFeePerGas": web3.eth.max_priority_fee,
            "chainId": int(chain),
        }
    sent = web3.eth.send_raw_transaction(account.sign_transaction(asked).raw_transaction)
    receipt = web3.eth.wait_for_transaction_receipt(sent)
    return {"hash": Web3.to_hex(sent), "status": receipt["status"]}


asked = json.load(sys.stdin)
json.dump(globals()[asked.pop("do")](**asked), sys.stdout)
