"""The chain over the log: each seal covers the one before, so that no act changes unseen."""

from vendrail.kernel.vault import Vault


def seal(vault: Vault, before: bytes, number: int, text: str) -> bytes:
    """Seal one act: a keyed hash, which nobody makes anew who only holds the database."""
    return vault.keyed_hash("identity.seal", before + number.to_bytes(8, "big") + text.encode())
