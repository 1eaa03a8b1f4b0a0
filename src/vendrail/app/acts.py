"""Who did what at the command line, and why: one JSON line each, in the home folder, 0600.

Written before the deed, so that whatever then happens, the intent is known. What services record
themselves (refunds, verdicts) names the same person.
"""

import os
from datetime import UTC, datetime
from pathlib import Path

from vendrail.app.terminal import person
from vendrail.kernel.codec import Record, encode
from vendrail.kernel.errors import Unavailable

FILE = "acts.jsonl"


class Act(Record, frozen=True):
    """One privileged act."""

    at: datetime
    person: str
    act: str  # `keys.export`, `orders.refund`, …
    subject: str
    reason: str


def record_act(home: Path, act: str, subject: str, reason: str) -> Act:
    """Write an act down, on disk, before it is done."""
    written = Act(datetime.now(UTC), person(), act, subject, reason)
    path = home / FILE
    try:
        home.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "ab") as file:
            file.write(encode(written) + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise Unavailable(
            f"{path} cannot be written ({error.strerror}), and what is not recorded is not done."
        ) from error
    return written
