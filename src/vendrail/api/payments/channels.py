"""Channel accounts: our accounts with providers, what they offer, and how they are."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import NewType
from uuid import UUID

from vendrail.kernel.codec import Record

ChannelId = NewType("ChannelId", UUID)


class ChannelAccount(Record, frozen=True):
    """Our account with one provider: where callbacks arrive and which keys sign."""

    id: ChannelId
    name: str  # Unique, [a-z0-9-]; the ledger's `provider:<name>`.
    kind: str  # Which channel of the registry: `alipay`, …
    title: str  # What buyers see: 支付宝.
    currencies: list[str]
    settings: dict[str, str]  # As the channel's settings table says; secrets are write-only.
    is_active: bool = True
    confirm_above_minor: int = 0  # Captures above are confirmed by asking the provider; 0 = never.
    amount_minor_min: int = 0  # It takes no payment below; 0 = no bound.
    amount_minor_max: int = 0  # It takes no payment above; 0 = no bound.


class ChannelStatus(StrEnum):
    """How writing one channel account ended."""

    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    KIND_UNKNOWN = "kind_unknown"
    NAME_TAKEN = "name_taken"
    SETTING_MISSING = "setting_missing"
    SETTING_MALFORMED = "setting_malformed"


class ChannelCheck(Record, frozen=True):
    """How writing one channel account would end, and what is the matter with which field."""

    status: ChannelStatus
    field: str = ""  # A field of the account, or one of its settings.
    problem: str = ""  # What is wrong with it; never what it holds.


class SettingView(Record, frozen=True):
    """One line of a channel's settings table: what a form needs to ask for it."""

    name: str
    label: str
    help: str
    said: dict[str, list[str]]  # Label and help in other languages, by their tags.
    is_secret: bool
    is_required: bool
    is_multiline: bool
    default: str


class ChannelKind(Record, frozen=True):
    """A kind of channel that is installed, and what its accounts are asked for."""

    kind: str
    name: str  # The provider's, as it writes it itself.
    currencies: list[str]
    settings: list[SettingView]


class ChannelHealth(Record, frozen=True):
    """What an account offers, and how its provider answered all processes in the last minutes."""

    channel: ChannelId
    methods: list[str]  # By its settings; none where they do not suit the program that runs.
    calls_count: int
    failures_count: int  # Of the calls, those that no whole answer came to.
    latency_ms_p50: int  # At most so long took half of the answers; 0 = there were none.
    latency_ms_p99: int
    away_since: datetime | None = None  # When it was last left alone for its failures, in a day.
    back_at: datetime | None = None  # When that ended; None: it has not.

    @property
    def is_away(self) -> bool:
        """Tell whether it is left alone now."""
        return self.away_since is not None and self.back_at is None


class ProbeStatus(StrEnum):
    """What a harmless question to a provider has shown."""

    WORKS = "works"
    CHANNEL_NOT_FOUND = "channel_not_found"
    UNUSABLE = "unusable"  # Its settings do not suit the program that runs.
    NETWORK_FAILED = "network_failed"  # No whole answer came.
    CREDENTIALS_REFUSED = "credentials_refused"  # The provider does not know or let in the account.
    SIGNATURE_REFUSED = "signature_refused"  # The provider does not accept what we signed.
    REPLY_UNPROVEN = "reply_unproven"  # The reply's signature does not fit the key given for it.
    UNCLEAR = "unclear"  # An answer came that says nothing; `said` has its words.


class ChannelProbe(Record, frozen=True):
    """What came of one such question."""

    status: ProbeStatus
    said: str = ""  # In the provider's words, or the network's; no secret among them.
    latency_ms: int = 0


class Device(StrEnum):
    """Where a buyer's browser runs: inside a wallet's own app not every way to pay works."""

    DESKTOP = "desktop"
    MOBILE = "mobile"
    WECHAT = "wechat"  # The browser inside WeChat.
    ALIPAY = "alipay"  # The browser inside Alipay.


WALLETS = frozenset({Device.WECHAT, Device.ALIPAY})


class Method(Record, frozen=True):
    """A way to pay that is offered: `alipay` in CNY through one channel account."""

    method: str
    channel: ChannelId
    channel_name: str
    title: str
    currencies: list[str]
    shows: str  # What the buyer meets: `redirect`, `embed`, `qr`, `address`.
    amount_minor_min: int = 0
    amount_minor_max: int = 0  # 0 = no bound.
    devices: list[Device] = []  # Where it works; empty: everywhere.
    is_saving: bool = False  # Its provider remembers it, where the buyer agrees.
    is_agreeing: bool = False  # Buyers can agree to be charged by it, over some account.

    def works_on(self, device: Device) -> bool:
        """Tell whether it can be paid where the buyer's browser runs."""
        return not self.devices or device in self.devices

    def is_at_home_in(self, device: Device | None) -> bool:
        """Tell whether the buyer's browser is that of the very wallet that is paid with."""
        return device in WALLETS and device in self.devices

    def takes(self, amount_minor: int) -> bool:
        """Tell whether an amount lies within the account's bounds."""
        return self.overlaps(amount_minor, amount_minor)

    def overlaps(self, least_minor: int, most_minor: int) -> bool:
        """Tell whether some amount from the least to the most lies within the bounds."""
        is_enough = most_minor >= self.amount_minor_min
        return is_enough and (not self.amount_minor_max or least_minor <= self.amount_minor_max)


def fitting(
    methods: Iterable[Method], least_minor: int, most_minor: int, device: Device | None = None
) -> list[Method]:
    """Give the ways that can take some such amount, each once: over the first account that can.

    With a device, those that work on it; all where none does, for the buyer can go elsewhere.
    """
    able = [each for each in methods if each.overlaps(least_minor, most_minor)]
    working = [each for each in able if device is None or each.works_on(device)]
    found: dict[str, Method] = {}
    for each in working or able:
        found.setdefault(each.method, each)
    return list(found.values())
