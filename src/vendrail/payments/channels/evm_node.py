"""A node, asked over the account's line: calls in batches, answers read or refused.

Anybody can fill a block with what we must read. So answers may be large, and where they are too
large for all, less is asked for at a time.
"""

import json
from collections.abc import Sequence
from typing import Any

from vendrail.payments.channels.base import Account
from vendrail.payments.channels.evm_messages import EvmSettings, NodeRefused, read_replies, request
from vendrail.payments.channels.line import ProviderAway, TooLarge

_BATCH_MAX = 50
REPLY_BYTES_MAX = 64 << 20  # More than a full block of any chain, whole or by its logs.
_HEADERS = {"content-type": "application/json"}
Call = tuple[str, Sequence[Any]]


async def ask(account: Account[EvmSettings], calls: Sequence[Call]) -> list[Any]:
    """Make calls, several to a request; give their results in order, or raise `ProviderAway`."""
    results: list[Any] = []
    for start in range(0, len(calls), _BATCH_MAX):
        some = calls[start : start + _BATCH_MAX]
        results += await _send_parts(account, some)
    return results


async def ask_one(account: Account[EvmSettings], method: str, *params: Any) -> Any:
    """Make one call."""
    return (await ask(account, [(method, params)]))[0]


async def _send_parts(account: Account[EvmSettings], calls: Sequence[Call]) -> list[Any]:
    """Make calls in one request; in several, where their answer is too large."""
    try:
        return await _send(account, calls)
    except TooLarge:
        if len(calls) == 1:
            raise
    middle = len(calls) // 2
    return [
        *await _send_parts(account, calls[:middle]),
        *await _send_parts(account, calls[middle:]),
    ]


async def _send(account: Account[EvmSettings], calls: Sequence[Call]) -> list[Any]:
    url = account.settings.url
    asked: Any = [request(id, method, params) for id, (method, params) in enumerate(calls)]
    content = json.dumps(asked[0] if len(asked) == 1 else asked).encode()
    try:
        reply = await account.line.send(
            "POST", url, content=content, headers=_HEADERS, bytes_max=REPLY_BYTES_MAX
        )
    except TooLarge:
        raise
    except ProviderAway as error:
        raise ProviderAway(_safe(str(error), url)) from None
    if reply.status_code != 200:
        raise NodeRefused(f"it answered HTTP {reply.status_code}", reply.status_code)
    try:
        return read_replies(reply.body, len(calls))
    except NodeRefused as error:
        raise NodeRefused(_safe(str(error), url), error.code) from None


def _safe(text: str, url: str) -> str:
    """Give an error's words without the node's address, which often carries a key."""
    return text.replace(url, "********")
