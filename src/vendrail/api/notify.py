"""Notify: messages out, once each."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from vendrail.kernel.codec import Record


class Message(Record, frozen=True):
    """One message to one person; sending the same id again sends nothing."""

    id: UUID
    recipient: str  # An e-mail address.
    template: str  # `lookup_code`, …
    locale: str
    values: dict[str, str]
    stream: UUID | None = None  # Messages of one stream leave in the order they were taken in.


class MessageStatus(StrEnum):
    """How taking one message ended."""

    TAKEN = "taken"
    EXISTS = "exists"
    OFF = "off"  # No letters about what happened leave this platform.
    TEMPLATE_UNKNOWN = "template_unknown"
    RECIPIENT_MALFORMED = "recipient_malformed"


class LetterState(StrEnum):
    """Where one letter, a message on its way, stands."""

    WAITING = "waiting"
    SENDING = "sending"  # Its last bytes are leaving.
    SENT = "sent"
    STALE = "stale"  # Too late to be of use: dropped.
    OVERTAKEN = "overtaken"  # What it tells is no longer so: dropped.
    FAILED = "failed"  # Refused for good, or tried often enough.
    UNKNOWN = "unknown"  # It may have left: not sent again by itself.
    UNWANTED = "unwanted"  # Its reader has switched letters of its kind off: dropped.


class LetterQuery(Record, frozen=True):
    """A page of letters, the newest first; no states: whatever they are."""

    states: list[LetterState] = []
    letters_max: int = 100
    subject: UUID | None = None  # Only what is about this, an order for example.


class LetterWay(StrEnum):
    """By which ways letters of a kind reach a reader who has linked a chat."""

    MAIL = "mail"
    TELEGRAM = "telegram"  # By e-mail only where Telegram does not take it.
    BOTH = "both"


class LetterView(Record, frozen=True):
    """A letter as it stands, without what it says and to whom."""

    id: UUID
    template: str
    state: LetterState
    subject: UUID | None
    attempts: int
    problem: str
    taken_at: datetime
    due_at: datetime
    stale_at: datetime
    way: LetterWay = LetterWay.MAIL


class RetryStatus(StrEnum):
    """How asking for a letter to be sent again ended, in the order in which it is checked."""

    WAITING = "waiting"  # It is tried again now.
    LETTER_NOT_FOUND = "letter_not_found"
    NOT_ENDED = "not_ended"  # It is on its way.
    SENT_ALREADY = "sent_already"
    CONTENT_ERASED = "content_erased"  # Codes and links are erased; a new one must be asked for.
    STALE = "stale"


class LetterRepeat(Record, frozen=True):
    """Tell the buyer once more that an order is delivered, with the link that opens it."""

    id: UUID  # Chosen by the caller: sending it again sends nothing.
    order: UUID


class RepeatStatus(StrEnum):
    """How asking for one more letter ended, in the order in which it is checked."""

    TAKEN = "taken"
    OFF = "off"  # No letters about orders leave this platform.
    EXISTS = "exists"
    TOO_MANY = "too_many"  # As many as one order may have in a day were asked for.


class LetterChoice(Record, frozen=True):
    """Whether a merchant's staff get letters of one template; without a choice they do."""

    merchant: UUID
    template: str
    is_wanted: bool


class ChoiceStatus(StrEnum):
    """How writing one choice ended."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    TEMPLATE_UNKNOWN = "template_unknown"  # No letter to a merchant's staff about what stands.


class LetterPreferences(Record, frozen=True):
    """What one reader wants: which letters that can be done without, and when to be left alone."""

    address: str  # Where letters reach them; kept as a keyed hash alone.
    unwanted: list[str] = []  # Templates, of `OPTIONAL_LETTERS`.
    quiet_from: int | None = None  # Minutes after midnight; from then until …
    quiet_until: int | None = None  # … then nothing comes that can wait. None: at any time.
    zone: str = "UTC"  # Whose midnight.
    ways: dict[str, LetterWay] = {}  # By kind, of `TELEGRAM_KINDS`; both for kinds that are not in.


# Kinds of letters that may go by Telegram: none carries a code, a key, or a link that opens alone.
TELEGRAM_KINDS = (
    "stock_low",
    "complaint_staff",
    "message_unread",
    "dispute_staff",
    "money",
    "shop",
    "operator_alert",
    "security",
)
ALWAYS_BY_MAIL = ("security",)  # By Telegram only beside it.
OPTIONAL_LETTERS = (
    "stock_low",
    "message_unread",
    "complaint_staff",
    "complaint_buyer",
    "agency",
    "supplied_refunded",
)


class PreferencesStatus(StrEnum):
    """How writing one reader's preferences ended. Where several would fit, the first is given."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    ADDRESS_MALFORMED = "address_malformed"
    TEMPLATE_UNKNOWN = "template_unknown"  # Such letters cannot be switched off.
    HOURS_MALFORMED = "hours_malformed"
    ZONE_UNKNOWN = "zone_unknown"
    WAY_UNKNOWN = "way_unknown"  # No such kind, or security without e-mail.


class StopStatus(StrEnum):
    """What a letter's link that switches its kind off is good for."""

    OPEN = "open"  # Letters of this kind still come.
    STOPPED = "stopped"
    OVERTAKEN = "overtaken"  # The reader has chosen otherwise since that letter was written.
    LINK_MALFORMED = "link_malformed"


class LetterStop(Record, frozen=True):
    """What came of a link, and of which kind it is."""

    status: StopStatus
    template: str = ""


class ChatState(StrEnum):
    """Whether a reader gets letters by Telegram."""

    OFF = "off"  # The platform has no bot.
    AWAY = "away"  # It has one that was never reached.
    OPEN = "open"  # A chat can be linked.
    LINKED = "linked"


class ChatView(Record, frozen=True):
    """A reader's chat with the platform's bot at Telegram."""

    state: ChatState
    bot: str = ""  # The bot's name there.
    name: str = ""  # What the reader calls themselves there.
    linked_at: datetime | None = None


class ChatAsk(Record, frozen=True):
    """Ask for a link by which a reader links a chat."""

    address: str  # Where letters reach them.
    locale: str  # What the bot answers in.
    merchant: UUID | None = None  # Whose log says that a chat was linked; None: the platform's.


class ChatTicketStatus(StrEnum):
    """How asking for such a link ended, in the order in which it is checked."""

    OPENED = "opened"  # Those that were asked for before are good for nothing.
    OFF = "off"
    AWAY = "away"
    ADDRESS_MALFORMED = "address_malformed"


class ChatTicket(Record, frozen=True):
    """A link that opens the bot and links the chat of whoever follows it first."""

    status: ChatTicketStatus
    link: str = ""
    ends_at: datetime | None = None


class ChatEndStatus(StrEnum):
    """How ending one reader's chat ended."""

    ENDED = "ended"  # What waited to leave by it leaves by e-mail.
    NOT_LINKED = "not_linked"


class CheckReport(Record, frozen=True):
    """What was found by somebody who looked from outside: an audit, a backup."""

    name: str  # `audit`, `backup`.
    at: datetime
    is_good: bool
    findings: dict[str, int] = {}  # How many, by what they break.


class CheckStatus(StrEnum):
    """How telling of one check ended."""

    RECORDED = "recorded"
    OLDER = "older"  # A newer one of that name is known.


class Notify(Protocol):
    """Take messages durably; deliver them in the background."""

    async def send_messages(self, messages: Sequence[Message]) -> list[MessageStatus]:
        """Take messages; they are delivered by themselves, once each."""
        ...

    async def list_letters(self, queries: Sequence[LetterQuery]) -> list[list[LetterView]]:
        """List letters, the newest first."""
        ...

    async def read_letters(self, ids: Sequence[UUID]) -> list[LetterView | None]:
        """Read letters as they stand."""
        ...

    async def retry_letters(self, ids: Sequence[UUID]) -> list[RetryStatus]:
        """Send again what failed, or may have left; a person has decided that."""
        ...

    async def repeat_letters(self, repeats: Sequence[LetterRepeat]) -> list[RepeatStatus]:
        """Send the letters of delivered orders once more; what is not so when they leave is not."""
        ...

    async def choose_letters(self, choices: Sequence[LetterChoice]) -> list[ChoiceStatus]:
        """Write which letters merchants' staff get; what waits and is not wanted is dropped."""
        ...

    async def read_choices(self, merchants: Sequence[UUID]) -> list[list[LetterChoice]]:
        """Give merchants' choices, one for each template there is."""
        ...

    async def put_preferences(
        self, preferences: Sequence[LetterPreferences]
    ) -> list[PreferencesStatus]:
        """Write what readers want; what waits for them is judged by it as it leaves."""
        ...

    async def read_preferences(self, addresses: Sequence[str]) -> list[LetterPreferences]:
        """Give what readers want; who has never said gets everything, at any time."""
        ...

    async def read_stops(self, links: Sequence[str]) -> list[LetterStop]:
        """Say what links of letters would switch off; nothing is done."""
        ...

    async def stop_letters(self, links: Sequence[str]) -> list[LetterStop]:
        """Switch off the one kind that each link is of, for the one reader it was written to."""
        ...

    async def read_chats(self, addresses: Sequence[str]) -> list[ChatView]:
        """Say whether readers get letters by Telegram."""
        ...

    async def open_chats(self, asks: Sequence[ChatAsk]) -> list[ChatTicket]:
        """Give links that link a chat, good once and for ten minutes."""
        ...

    async def end_chats(self, addresses: Sequence[str]) -> list[ChatEndStatus]:
        """Send readers nothing by Telegram any more."""
        ...

    async def report_checks(self, reports: Sequence[CheckReport]) -> list[CheckStatus]:
        """Keep the newest outcome of each check; operators are told what it found, once."""
        ...

    async def list_checks(self) -> list[CheckReport]:
        """Give the newest outcome of each check that was ever made, by name."""
        ...
