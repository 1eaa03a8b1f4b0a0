"""What a buyer does next to pay: go somewhere, scan, or send."""

from enum import StrEnum
from uuid import UUID

from vendrail.kernel.codec import Record


class ActionKind(StrEnum):
    """What the buyer has to do next."""

    REDIRECT = "redirect"  # Go to `url`.
    FORM = "form"  # Post `fields` to `url`.
    INVOKE = "invoke"  # Hand `fields` to the wallet in whose browser the page is: `text` names it.
    EMBED = "embed"  # Fill in the provider's own form: its script is at `url`, `text` names it.
    QR = "qr"  # Scan `text`.
    ADDRESS = "address"  # Send `fields`' amount of its asset to the address in `text`.
    NONE = "none"  # Nothing: paid already, closed, or the provider is away (see `problem`).


class PaymentAction(Record, frozen=True):
    """How to pay one attempt, signed when it is asked for."""

    kind: ActionKind
    url: str = ""
    text: str = ""
    fields: dict[str, str] = {}
    problem: str = ""  # A code: `attempt_not_found`, `captured`, `closed`, `provider_away`, ….
    attempt: UUID | None = None  # The one that took over, where its channel failed to open.
