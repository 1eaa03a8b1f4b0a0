"""What a check is, and what came of it."""

from vendrail.kernel.codec import Record


class Check(Record, frozen=True):
    """One promise: what it says, how many rows speak of it, and which break it.

    `finds` gives one text column, the ids; it may use $1: captures whose event nobody has read yet
    (they are on their way). It works on whole tables at once: they may hold ten million rows.
    """

    name: str
    promise: str
    examined: str
    finds: str


class Outcome(Record, frozen=True):
    """What one check found."""

    name: str
    promise: str
    examined: int
    findings: list[str]  # The first thousand.
    count: int

    @property
    def is_ok(self) -> bool:
        """True when something was examined and nothing was found."""
        return self.examined > 0 and not self.findings


class Report(Record, frozen=True):
    """All outcomes, and the totals per currency."""

    ok: bool
    outcomes: list[Outcome]
    totals: dict[str, dict[str, int]]
