"""Key files in and out at the command line."""

import csv
import json
import stat

import pytest

from vendrail.kernel.ids import new_id, to_serial


def read_rejects(path) -> list[tuple[int, str]]:
    """Read a list of rejects."""
    with path.open() as file:
        return [(int(line), reason) for line, reason in list(csv.reader(file))[1:]]


def test_twenty_thousand_lines_with_garbage(place, tmp_path) -> None:
    """Each line of a large file is taken, or listed with its number and why not."""
    file = tmp_path / "keys.txt"
    lines = [f"BIG-{number:06}" for number in range(20_000)]
    bad = {"empty": "", "duplicate": "BIG-000001", "too_long": "x" * 5_000, "not_text": "a\0b"}
    wanted: dict[str, set[int]] = {reason: set() for reason in bad}
    for place_of, (reason, text) in zip(range(0, 20_000, 100), 50 * list(bad.items()), strict=True):
        lines[place_of] = text
        wanted[reason].add(place_of + 1)
    file.write_text("\n".join(lines) + "\n")

    told = place.json("keys", "import", "S1", file)

    found: dict[str, set[int]] = {reason: set() for reason in bad}
    for line, reason in read_rejects(tmp_path / "keys.txt.rejects.csv"):
        found[reason].add(line)
    # Of lines that are the same one is taken; with batches side by side it may be any of them.
    same = wanted.pop("duplicate") | {2}
    duplicates = found.pop("duplicate")
    assert (20_000, 19_800) == (told["lines"], told["added"])
    assert wanted == found
    assert 50 == len(duplicates)
    assert duplicates < same
    assert dict.fromkeys(bad, 50) == told["rejected"]
    assert place.json("audit")["ok"]


def test_the_same_file_again_is_all_duplicates(place, tmp_path) -> None:
    """What was taken in before is rejected, line by line; the report is for its owner alone."""
    file, report = tmp_path / "keys.txt", tmp_path / "why.csv"
    file.write_text("ONE-1\nONE-2\n")
    place.cli("keys", "import", "S1", file)

    told = place.json("keys", "import", "S2", file, "--rejects", report)

    assert (2, 0) == (told["lines"], told["added"])
    assert [(1, "duplicate"), (2, "duplicate")] == read_rejects(report)
    assert 0o600 == stat.S_IMODE(report.stat().st_mode)


def test_an_intake_goes_on_where_it_broke_off(place, tmp_path, clock) -> None:
    """The same file under the same intake reports the same, and takes nothing twice."""
    file = tmp_path / "keys.txt"
    file.write_text("ONE-1\nONE-2\n")
    intake = to_serial(new_id(clock.now()))

    first = place.json("keys", "import", "S1", file, "--intake", intake)
    second = place.json("keys", "import", "S1", file, "--intake", intake)

    assert first == second
    assert 2 == first["added"]
    assert not (tmp_path / "keys.txt.rejects.csv").exists()


def test_csv_column_is_chosen(place, tmp_path) -> None:
    """A CSV's column of keys is named, or the refusal names the columns that are there."""
    file = tmp_path / "keys.csv"
    file.write_text("region,code,note\neu,CSV-1,a\nus,CSV-2,b\n")

    refused = place.cli("keys", "import", "S1", file, "--column", "pin", exit_code=2)
    told = place.json("keys", "import", "S1", file, "--column", "code")

    assert "region, code, note" in refused.stderr
    assert 2 == told["added"]


@pytest.mark.parametrize("words", [("S9", "{file}"), ("S1", "{file}.not")])
def test_unknown_sku_or_file_is_refused(place, tmp_path, words) -> None:
    """A SKU or a file that is not there is refused with 2."""
    file = tmp_path / "keys.txt"
    file.write_text("ONE-1\n")

    place.cli("keys", "import", *(word.format(file=file) for word in words), exit_code=2)


def test_export_is_private_and_recorded_first(place, tmp_path) -> None:
    """Keys in clear go into a new file for its owner alone; who asked and why is on record."""
    out = tmp_path / "sold.csv"

    told = place.json(
        "keys", "export", "S1", "--state", "sold", "--out", out, "--reason", "a complaint"
    )

    keys = [row[1] for row in csv.reader(out.read_text().splitlines()[1:])]
    [act] = [json.loads(line) for line in (place.home / "acts.jsonl").read_text().splitlines()]
    assert told["keys"] == len(keys) > 0
    assert all(key.startswith("S1-KEY-") for key in keys)
    assert 0o600 == stat.S_IMODE(out.stat().st_mode)
    assert 0o600 == stat.S_IMODE((place.home / "acts.jsonl").stat().st_mode)
    assert ("keys.export", "S1 sold", "a complaint") == (act["act"], act["subject"], act["reason"])
    assert act["person"].endswith("(command line)")


def test_export_never_writes_over_a_file(place, tmp_path) -> None:
    """A file that is there, that others may be reading, is left as it is; nothing is opened."""
    out = tmp_path / "there.csv"
    out.write_text("mine")

    place.cli("keys", "export", "S1", "--out", out, "--reason", "a test", exit_code=2)

    assert "mine" == out.read_text()
    assert not (place.home / "acts.jsonl").exists()


def test_export_without_a_reason_is_refused(place, tmp_path) -> None:
    """Nobody opens keys without saying why."""
    place.cli("keys", "export", "S1", "--out", tmp_path / "o.csv", exit_code=2)

    assert not (tmp_path / "o.csv").exists()
