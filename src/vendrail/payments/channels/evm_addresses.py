"""Addresses of EVM chains: derived from an extended public key, written with their check. Pure.

The server holds no key that can move money: the seed stays with its owner, offline.
Source: BIP 32 (extended keys and their public children), ERC-55 (the letter case of addresses).
"""

import hmac
import re
from dataclasses import dataclass
from functools import lru_cache

from base58 import b58decode_check
from coincurve import PublicKey
from Cryptodome.Hash import keccak

PLACE_MAX = 2**31 - 1
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_DEPTH_ACCOUNT = 3  # m/44'/60'/0'
_DEPTH_CHANGE = 4  # m/44'/60'/0'/0
_VERSION = bytes.fromhex("0488b21e")  # What begins with xpub when it is written.
_LENGTH = 78  # Version 4, depth 1, parent's fingerprint 4, number 4, chain code 32, point 33.


@dataclass(frozen=True, slots=True)
class _Opened:
    depth: int
    chain: bytes
    point: PublicKey


def hash_of(data: bytes) -> bytes:
    """Give the Keccak-256 of bytes: not the SHA-3 that became a standard."""
    return keccak.new(digest_bits=256, data=data).digest()


def checked(address: str) -> str:
    """Write an address with the letter case that shows a slip of the hand (EIP-55)."""
    plain = address.lower().removeprefix("0x")
    digest = hash_of(plain.encode()).hex()
    pairs = zip(plain, digest, strict=False)
    return "0x" + "".join(c.upper() if int(nibble, 16) >= 8 else c for c, nibble in pairs)


def is_address(text: str) -> bool:
    """Tell whether a text is an address; where letters differ in case, the check must hold."""
    if not _ADDRESS.fullmatch(text):
        return False
    digits = text[2:]
    return digits in {digits.lower(), digits.upper()} or checked(text) == text


def problem_of(xpub: str) -> str:
    """Say what is wrong with an extended public key, or nothing; never what it is."""
    if xpub[1:4] == "prv":
        return "is a private key: give the public one, and keep this one offline."
    try:
        depth = _opened(xpub).depth
    except ValueError:
        return "is an extended public key, beginning with xpub."
    if depth not in {_DEPTH_ACCOUNT, _DEPTH_CHANGE}:
        return "is the key of m/44'/60'/0' or of m/44'/60'/0'/0."
    return ""


def address_at(xpub: str, place: int) -> str:
    """Give the address at a place of the receiving chain."""
    row = _opened(xpub)
    if row.depth == _DEPTH_ACCOUNT:
        row = _child(row, 0)
    point = _child(row, place).point.format(compressed=False)
    return checked("0x" + hash_of(point[1:])[-20:].hex())


def path_at(place: int) -> str:
    """Say where the private key of a place is found, in the words of wallets."""
    return f"m/44'/60'/0'/0/{place}"


@lru_cache(maxsize=64)
def _opened(xpub: str) -> _Opened:
    data = b58decode_check(xpub)
    if len(data) != _LENGTH or not data.startswith(_VERSION):
        raise ValueError("not an extended public key")
    return _Opened(data[4], data[13:45], PublicKey(data[45:]))


def _child(parent: _Opened, place: int) -> _Opened:
    told = parent.point.format() + place.to_bytes(4, "big")
    digest = hmac.digest(parent.chain, told, "sha512")
    return _Opened(parent.depth + 1, digest[32:], parent.point.add(digest[:32]))
