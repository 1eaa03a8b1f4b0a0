"""Fees at the command line: the rules that count, and what others would have brought."""

import json
from datetime import UTC, datetime, timedelta


def test_rules_are_tried_on_what_was_sold(place, tmp_path) -> None:
    """Every delivered order of the days, in all and by merchant; own terms stay."""
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps([{"basis_points": 1_000}]))
    today = datetime.now(UTC).date()
    days = ("--since", today - timedelta(1), "--until", today + timedelta(2))
    everything, merchant = place.json("fees", "preview", rules, *days)
    rules.write_text(json.dumps([{"basis_points": 1_000, "currency": "CNY"}]))
    place.cli("fees", "preview", rules, *days, exit_code=2)

    assert ("all", "CNY", 5, 9_950) == (
        everything["of"],
        everything["currency"],
        everything["sales_count"],
        everything["sold_minor"],
    )
    assert 300 == everything["was_minor"] == everything["would_minor"]
    assert 26 == len(merchant["of"])
    assert [] == place.json("fees", "show")
