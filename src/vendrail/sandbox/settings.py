"""What can be turned on the sandbox; the defaults are the real provider's behaviour."""

from pathlib import Path

from vendrail.kernel.codec import Record

LADDER_S = (240, 600, 600, 3_600, 7_200, 21_600, 54_000)  # 4m 10m 10m 1h 2h 6h 15h


class Settings(Record, frozen=True):
    """All switches of the sandbox."""

    base_url: str = ""  # Where people reach the wallet; empty: the address of the request itself.
    timestamp_window_s: int = 900
    notify_ladder_s: tuple[float, ...] = LADDER_S
    notify_ladder_scale: float = 1.0  # Tests shrink the ladder; the order of its steps stays.
    notify_timeout_s: float = 10.0
    notify_workers: int = 32
    notifies_time_out: bool = True  # A trade closed by time-out sends TRADE_CLOSED.
    notifies_full_refund: bool = True  # One field report saw none: turn off to be that provider.
    is_subject_strict: bool = True  # The manual forbids / = & in a subject.
    has_bill_today: bool = False  # The real bill of a day exists only on the next one.
    fee_basis_points: int = 60
    journal_compact_bytes: int = 512_000_000


def journal_path(home: Path) -> Path:
    """Give the file in which trades survive a restart."""
    return home / "journal.jsonl"
