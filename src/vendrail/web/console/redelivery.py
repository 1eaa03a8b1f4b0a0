"""Redelivery: keys that do not work are replaced, and the letter of a delivery leaves again."""

import re
from typing import NamedTuple
from uuid import UUID

from vendrail.api.notify import LetterRepeat, RepeatStatus
from vendrail.api.orders import OrderState, OrderView, ReplaceItems, ReplaceStatus
from vendrail.kernel.ids import derive
from vendrail.web.console.apis import Apis
from vendrail.web.languages import message

_WAS_SENT = message("The letter leaves within moments.")
_WERE_REPLACED = message("Replaced. The buyer's page shows the new keys, and a letter tells of it.")
_POSITIONS_WRONG = message("Write which keys, by their numbers on the buyer's page: 1, 3.")
_UNKNOWN = message("No order has that number.")
_REPLACED = {
    ReplaceStatus.REPLACED: _WERE_REPLACED,
    ReplaceStatus.EXISTS: _WERE_REPLACED,
    ReplaceStatus.EXISTS_DIFFERENT: message("This form has been sent before, for other keys."),
    ReplaceStatus.ORDER_NOT_FOUND: _UNKNOWN,
    ReplaceStatus.NOT_DELIVERED: message(
        "Only keys of a delivered order are replaced, and none once its money goes back."
    ),
    ReplaceStatus.NOT_UNIQUE: message(
        "Everybody gets the same here: change the content of the variant instead."
    ),
    ReplaceStatus.POSITIONS_MALFORMED: _POSITIONS_WRONG,
    ReplaceStatus.SUPPLY_SPENT: message(
        "As many of the supplier's keys were replaced as the order is of. Give money back instead."
    ),
    ReplaceStatus.CHANGED_SINCE: message(
        "Somebody else has just replaced a key of this order. Look at it again before you go on."
    ),
    ReplaceStatus.SOLD_OUT: message(
        "Not enough keys of this variant are free: nothing was changed. Take keys in first."
    ),
}
_SENT = {
    RepeatStatus.TAKEN: _WAS_SENT,
    RepeatStatus.EXISTS: _WAS_SENT,
    RepeatStatus.OFF: message("No letters leave this platform: it has no mail server."),
    RepeatStatus.TOO_MANY: message("It was sent as often as it may be in one day."),
}
_GOOD = {ReplaceStatus.REPLACED, ReplaceStatus.EXISTS, RepeatStatus.TAKEN, RepeatStatus.EXISTS}
_NUMBERS_MAX = 100


class Ending(NamedTuple):
    """How it ended: in words to be translated, and whether it was done."""

    text: str
    is_good: bool
    why: str = ""  # The status, for the log.


def beside(path: str, problem: str, **is_shown: bool) -> dict[str, str]:
    """Put a problem beside the form that was sent, where it still shows; else over the page.

    A form goes by the last word of the path that it is sent to.
    """
    form = path.rpartition("/")[2]
    where = form if is_shown.get(form) else "page"
    return {**dict.fromkeys((*is_shown, "page"), ""), where: problem}


def can_replace(order: OrderView) -> bool:
    """Whether an order is of those whose keys can be replaced."""
    return order.state is OrderState.DELIVERED and order.delivery == "unique_key"


def can_tell(order: OrderView, contact: str) -> bool:
    """Whether a letter of the delivery can reach the buyer."""
    return order.state is OrderState.DELIVERED and "@" in contact


def read_positions(text: str, order: OrderView) -> list[int]:
    """Read which keys are meant; of an order of one key it is that one. Empty: nothing sensible."""
    if order.quantity == 1:
        return [1]
    words = [word for word in re.split(r"[\s,;，、；]+", text.strip()) if word]
    if len(words) > _NUMBERS_MAX or any(not re.fullmatch(r"[0-9]{1,5}", word) for word in words):
        return []
    return list(dict.fromkeys(int(word) for word in words))


def read_count(text: str) -> int:
    """Read how many replacements a page has shown; what is no number fits no order."""
    return int(text) if re.fullmatch(r"[0-9]{1,5}", text) else -1


async def replace(
    apis: Apis,
    order: OrderView,
    positions: list[int],
    *,
    nonce: UUID,
    seen: int,
    reason: str,
    person: str,
) -> Ending:
    """Have keys of an order replaced; the same form twice replaces once."""
    id = derive(order.id, f"replacement:{nonce}")
    asked = ReplaceItems(id, order.id, positions, reason, person, seen)
    [status] = await apis.orders.replace_items([asked])
    return Ending(_REPLACED[status], status in _GOOD, status)


async def send_again(apis: Apis, order: OrderView, nonce: UUID) -> Ending:
    """Send the letter of a delivery once more; the same form twice sends one."""
    repeat = LetterRepeat(derive(order.id, f"letter:again:{nonce}"), order.id)
    [status] = await apis.notify.repeat_letters([repeat])
    return Ending(_SENT[status], status in _GOOD, status)


def told(code: str) -> str:
    """Say what a page is told in its address that was done; empty: nothing."""
    return {"letter": _WAS_SENT, "replaced": _WERE_REPLACED}.get(code, "")


POSITIONS_WRONG = Ending(_POSITIONS_WRONG, is_good=False)
