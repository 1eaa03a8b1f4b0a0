"""A node, asked over the account's line: calls in batches, answers read or refused."""

import json
from collections.abc import Sequence
from typing import Any

from vendrail.payments.channels.base import Account
from vendrail.payments.channels.evm_messages import EvmSettings, NodeRefused, read_replies, request
from vendrail.payments.channels.line import ProviderAway

_BATCH_MAX = 50
_HEADERS = {"content-type": "application/json"}
Call = tuple[str, Sequence[Any]]


async def ask(account: Account[EvmSettings], calls: Sequence[Call]) -> list[Any]:
    """Make calls, several to a request; give their results in order, or raise `ProviderAway`."""
    results: list[Any] = []
    for start in range(0, len(calls), _BATCH_MAX):
        some = calls[start : start + _BATCH_MAX]
        results += await _send(account, some)
    return results


async def ask_one(account: Account[EvmSettings], method: str, *params: Any) -> Any:
    """Make one call."""
    return (await ask(account, [(method, params)]))[0]


async def _send(account: Account[EvmSettings], calls: Sequence[Call]) -> list[Any]:
    url = account.settings.url
    asked: Any = [request(id, method, params) for id, (method, params) in enumerate(calls)]
    content = json.dumps(asked[0] if len(asked) == 1 else asked).encode()
    try:
        reply = await account.line.send("POST", url, content=content, headers=_HEADERS)
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
