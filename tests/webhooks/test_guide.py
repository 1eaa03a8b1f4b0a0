"""The guide on webhooks: its program believes what we send and nothing else, its table is whole."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from vendrail.api.webhooks import EventKind
from vendrail.kernel.ids import derive, new_id
from vendrail.webhooks import decide

GUIDE = (Path(__file__).parents[2] / "docs/guides/webhooks.md").read_text("utf-8")
NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


def test_the_guides_program_believes_us_and_nobody_else():
    """Its `verify` takes our signature, beside another's too; no changed body, no old one."""
    [program] = re.findall(r"^```python\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
    names = {"__name__": "guide"}
    exec(program.replace("whsec_…", decide.write_secret(b"k" * 32)), names)
    happened = decide.happening(new_id(NOW), EventKind.TEST, new_id(NOW), NOW, {"a": 1})
    told = decide.headers(happened.id, NOW, happened.body, [b"o" * 32, b"k" * 32])
    body = happened.body.encode()

    def verify(headers, body, after_s=0):
        later = (NOW + timedelta(seconds=after_s)).timestamp()
        return names["verify"](headers, body, now=lambda: later)

    assert verify(told, body)
    assert not verify(told, body.replace(b"1", b"2"))
    assert not verify(told | {"webhook-id": "other"}, body)
    assert not verify(told, body, after_s=600)
    assert not verify(decide.headers(happened.id, NOW, happened.body, [b"o" * 32]), body)


def test_each_event_has_its_line_and_its_example():
    """Every kind is in the table, and has an example that is what it says."""
    [examples] = re.findall(r"^```json\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
    shown = [json.loads(line)["type"] for line in examples.splitlines()]
    table = re.findall(r"^\| `([a-z]+\.[a-z_]+)` \|", GUIDE, re.MULTILINE)

    assert list(EventKind) == shown == table


def test_the_ladder_ends_while_its_news_is_fresh():
    """However the jitter falls, each step of the ladder lies within the life of what is told."""
    assert sum(decide.LADDER_S) * 1.2 < min(
        life for kind, life in decide.LIVES_S.items() if kind.startswith("order.")
    )


def test_what_failed_together_does_not_come_together():
    """Delays of the same step differ, by a fifth at most, and are the same for the same try."""
    ids = [derive(new_id(NOW), f"{n}") for n in range(50)]

    def delays():
        return [
            (
                decide.after_try(
                    id, 2, NOW, NOW + timedelta(days=3), "x", disable_after=timedelta(days=5)
                ).due_at
                - NOW
            ).total_seconds()
            for id in ids
        ]

    least, most = min(delays()), max(delays())

    assert delays() == delays()
    assert decide.LADDER_S[1] <= least < most <= decide.LADDER_S[1] * 1.2
    assert len(set(delays())) > 40
