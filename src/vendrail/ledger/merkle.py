"""Merkle trees as RFC 6962 has them: one root speaks for all leaves, a short path for each."""

from collections.abc import Sequence
from hashlib import sha256

_LEAF = b"\x00"
_NODE = b"\x01"


def leaf_hash(data: bytes) -> bytes:
    """Hash what a leaf holds; never mistaken for a node."""
    return sha256(_LEAF + data).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(_NODE + left + right).digest()


def _levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """Pair the hashes level by level; the last of an odd level goes up as it is.

    This is RFC 6962's tree: its left part is always the largest power of two below the count.
    """
    levels = [list(leaves)]
    while len(levels[-1]) > 1:
        below = levels[-1]
        above = [_node(left, right) for left, right in zip(below[::2], below[1::2], strict=False)]
        if len(below) % 2:
            above.append(below[-1])
        levels.append(above)
    return levels


def root(leaves: Sequence[bytes]) -> bytes:
    """Give the root over hashes of leaves; of none, the hash of nothing."""
    return _levels(leaves)[-1][0] if leaves else sha256(b"").digest()


def path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Give what a leaf is hashed with on its way to the root, from below."""
    found = []
    for level in _levels(leaves)[:-1]:
        beside = index ^ 1
        if beside < len(level):
            found.append(level[beside])
        index //= 2
    return found


def root_of_path(leaf: bytes, index: int, count: int, path: Sequence[bytes]) -> bytes | None:
    """Give the root that a path leads to; None where it cannot be a path of that leaf."""
    steps, reached = list(path), leaf
    while count > 1:
        if index % 2 or index + 1 < count:
            if not steps:
                return None
            beside = steps.pop(0)
            reached = _node(beside, reached) if index % 2 else _node(reached, beside)
        index, count = index // 2, (count + 1) // 2
    return None if steps or index else reached
