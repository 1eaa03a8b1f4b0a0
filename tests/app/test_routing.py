"""Routing at the command line: terms, rules, and replays of a log."""

import csv
import random
from pathlib import Path

import pytest

HEAD = "at,purchase,channel,method,country,amount_minor,is_success"


def log_of(path: Path, *, propensity: bool = False, count: int = 3_000) -> Path:
    """Write a log of two channels: `good` succeeds for cards, `dull` for all alike, half the time.

    With a propensity the log preferred `good`, else it tossed a coin.
    """
    source = random.Random(7)
    lines = [HEAD + (",propensity" if propensity else "")]
    for place in range(count):
        method = source.choice(["card", "code"])
        chance = 0.8 if propensity else 0.5
        channel = "good" if source.random() < chance else "dull"
        likely = {"card": 0.9, "code": 0.1}[method] if channel == "good" else 0.5
        at = f"2026-11-{1 + place // 200:02}T{place % 200 // 10:02}:{place % 10:02}:00+00:00"
        won = int(source.random() < likely)
        line = f"{at},p{place},{channel},{method},CN,{source.choice([900, 9000])},{won}"
        if propensity:
            line += f",{chance if channel == 'good' else 1 - chance:.1f}"
        lines.append(line)
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize("propensity", [False, True])
def test_a_replay_finds_what_each_choice_would_have_brought(
    propensity, empty_place, tmp_path
) -> None:
    """True shares lie in the intervals, whoever made the log; ours learns what is best for what."""
    log = log_of(tmp_path / "log.csv", propensity=propensity)
    found = empty_place.json("routing", "replay", log, "--cost", "good=10,5", "--cost", "dull=4")
    lines = {each["choice"]: each for each in found}

    for choice in ("uniform", "always good", "always dull"):
        low, _, high = lines[choice]["success"]
        assert low < 0.5 < high, choice
    assert lines["ours"]["success"][0] > 0.58
    assert 0.4 < lines["ours"]["shares"]["good"] < 0.6
    assert 1.5 < lines["always dull"]["fee"][1] < 2.5
    assert lines["ours"]["effective_count"] < len(log.read_text().splitlines())
    assert abs(lines["as logged"]["failures_change"]) < 1e-9


def test_what_is_exported_can_be_replayed(place, tmp_path) -> None:
    """The log of a marketplace is written in the very form that a replay reads."""
    log = tmp_path / "log.csv"
    told = place.cli("routing", "export", log, "--whole")
    rows = list(csv.DictReader(log.read_text(encoding="utf-8").splitlines()))
    onto_screen = place.cli("routing", "export").stdout
    lines = {each["choice"]: each for each in place.json("routing", "replay", log)}
    dollars = place.cli("routing", "export", "--currency", "usd").stdout

    assert f"{len(rows)} decisions" in told.stdout
    assert f"{HEAD},propensity" == onto_screen.splitlines()[0] == dollars.strip()
    assert {("alipay", "alipay", "1990", "1", "1.000000")} == {
        (x["channel"], x["method"], x["amount_minor"], x["is_success"], x["propensity"])
        for x in rows
    }
    assert 6 <= len(rows) == lines["as logged"]["payments_count"]
    assert lines["as logged"]["success"] == lines["always alipay"]["success"]


def test_a_replay_keeps_a_cap(empty_place, tmp_path) -> None:
    """A capped channel has about its share, of the payments it is best for."""
    log = log_of(tmp_path / "log.csv")
    found = empty_place.json("routing", "replay", log, "--cap", "good=20")
    lines = {each["choice"]: each for each in found}

    assert 0.15 < lines["ours"]["shares"]["good"] <= 0.205
    assert lines["ours"]["success"][1] > lines["dull, 20 % good"]["success"][1] + 0.03


def test_the_same_replay_says_the_same(empty_place, tmp_path) -> None:
    """It is seeded: asked twice, every figure and interval is the same."""
    log = log_of(tmp_path / "log.csv", count=500)

    assert empty_place.json("routing", "replay", log) == empty_place.json("routing", "replay", log)


@pytest.mark.parametrize(
    "text, options, says",
    [
        ("", (), "needs a line"),
        ("at,channel\n1,a\n", (), "needs a line"),
        (f"{HEAD}\nyesterday,p,a,m,CN,100,1\n", (), "yesterday"),
        (f"{HEAD}\n2026-11-01T00:00:00+00:00,p,a,m,CN,0,1\n", (), "amount"),
        (f"{HEAD}\n2026-11-01T00:00:00+00:00,p,a,m,CN,100,yes\n", (), "is_success"),
        (
            f"{HEAD},propensity\n2026-11-01T00:00:00+00:00,p,a,m,CN,100,1,1.5\n",
            (),
            "propensity",
        ),
        (f"{HEAD}\n2026-11-01T00:00:00+00:00,p,a,m,CN,100,1\n", ("--cost", "b=1"), "no channel"),
        (f"{HEAD}\n2026-11-01T00:00:00+00:00,p,a,m,CN,100,1\n", ("--cap", "a=0"), "cap"),
        (f"{HEAD}\n2026-11-01T00:00:00+00:00,p,a,m,CN,100,1\n", ("--cost", "a=x"), "Costs"),
    ],
)
def test_a_log_that_is_wrong_is_refused(text, options, says, empty_place, tmp_path) -> None:
    """What cannot be read, and what names nobody, is said in one line."""
    path = tmp_path / "log.csv"
    path.write_text(text)
    result = empty_place.cli("routing", "replay", path, *options, exit_code=2)

    assert says in result.stderr


def test_terms_and_rules_are_written_and_taken_back(place) -> None:
    """What is decided shows at once; what makes no sense is refused."""
    terms = place.json(
        "routing", "terms", "alipay", "--cost", "60", "--cap", "20", "--reason", "contract"
    )
    pinned = place.json("routing", "pin", "alipay", "--country", "cn", "--reason", "campaign")
    banned = place.json("routing", "never", "--method", "alipay_qr", "--reason", "broken")
    said = place.json("routing", "show")
    shown = place.cli("routing", "show")
    place.cli("routing", "drop", pinned["rule"], "--reason", "over")
    place.cli("routing", "drop", pinned["rule"], "--reason", "over", exit_code=2)
    place.cli("routing", "never", "--reason", "nothing", exit_code=2)
    place.cli("routing", "terms", "alipay", "--cap", "0", "--reason", "x", exit_code=2)
    place.cli("routing", "terms", "alipay", "--reason", "x", exit_code=2)
    place.cli("routing", "pin", "nobody", "--reason", "x", exit_code=2)
    left = place.json("routing", "show")

    assert "written" == terms["status"]
    assert (60, 20) == (
        said["channels"][0]["terms"]["cost_permyriad"],
        said["channels"][0]["terms"]["cap_percent"],
    )
    assert [("pin", "CN"), ("never", "")] == [(x["effect"], x["country"]) for x in said["rules"]]
    assert banned["rule"] in shown.stdout
    assert ["never"] == [each["effect"] for each in left["rules"]]
