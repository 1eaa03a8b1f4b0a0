"""The command line as people meet it: help with examples, one-line errors, exit codes."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from vendrail.app.__main__ import COMMANDS, app, load
from vendrail.app.bench.table import BENCHES
from vendrail.app.reference import commands, stale_pages
from vendrail.kernel.vault import Vault

NAMES = [name for name, _ in commands()]


@pytest.mark.parametrize("name", NAMES)
def test_help_has_an_example(name: str) -> None:
    """Every command and group has --help, and in it an example that begins with its name."""
    result = CliRunner().invoke(app, [*name.split()[1:], "--help"], env={"COLUMNS": "200"})

    assert 0 == result.exit_code, result.output
    assert f"Example: {name}" in result.stdout


def test_list_says_what_the_commands_say() -> None:
    """The list of commands, made without loading them, has each one's own first sentence."""
    listed = {row.name: row.help for row in COMMANDS}

    loaded = {row.name: load(row).help.split("\n")[0] for row in COMMANDS}
    assert loaded == listed


def test_help_comes_at_once() -> None:
    """`vendrail --help` loads no service: it takes a fraction of what loading them takes."""
    script = "import sys; sys.argv = ['vendrail', '--help']\n"
    script += "from vendrail.app.__main__ import main\n"
    script += "try: main()\n"
    script += "except SystemExit: pass\n"
    script += (
        "heavy = [n for n in ('litestar', 'asyncpg', 'vendrail.orders') if n in sys.modules]\n"
    )
    script += "print('HEAVY', heavy)"

    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert "HEAVY []" == told.stdout.splitlines()[-1]


def test_reference_is_current() -> None:
    """The generated pages of docs/reference are what the program would write now."""
    folder = Path(__file__).resolve().parents[2] / "docs/reference"

    assert [] == stale_pages(folder), "run: make docs"


def test_unknown_command_is_refused_with_a_hint() -> None:
    """A command that is not there ends with 2, and the nearest one is named."""
    result = CliRunner().invoke(app, ["audti"])

    assert 2 == result.exit_code
    assert "audit" in result.output


def test_error_is_one_line_without_traceback(empty_place) -> None:
    """What goes wrong on purpose is one line that says what to do."""
    result = empty_place.cli("orders", "show", "nonsense", exit_code=2)

    assert 1 == len(result.stderr.strip().splitlines())
    assert "26 letters" in result.stderr
    assert "Traceback" not in result.output


def test_database_away_ends_with_three(empty_place) -> None:
    """A server that is not there ends with 3: it may be later."""
    away = "postgresql://nobody@127.0.0.1:9/nothing"

    result = empty_place.cli("audit", exit_code=3, VENDRAIL_DATABASE_URL=away)

    assert "cannot be reached" in result.stderr


def test_home_option_goes_before_the_environment(place, tmp_path) -> None:
    """`--home` names another home folder, and its settings file is read."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "vendrail.toml").write_text("[orders]\npay_window_s = 77\n")

    told = place.json("--home", other, "config", "orders")

    rows = {row["name"]: row for row in told["orders"]}
    assert ("77", "file") == (rows["pay_window_s"]["value"], rows["pay_window_s"]["source"])


def test_config_masks_secrets_and_names_sources(place) -> None:
    """Every room's settings are listed with their source; a password never shows."""
    secret = "postgresql://someone:hunter2@127.0.0.1/x"

    shown = place.cli("config", VENDRAIL_DATABASE_URL=secret, VENDRAIL_ORDERS_PAY_WINDOW_S="60")
    told = json.loads(
        place.cli("config", "--json", "--changed", VENDRAIL_ORDERS_PAY_WINDOW_S="60").stdout
    )

    assert "hunter2" not in shown.output
    assert {"platform", "orders", "payments", "gateway", "web"} <= set(told)
    [row] = told["orders"]
    assert ("60", "environment") == (row["value"], row["source"])


def test_unknown_room_is_refused(place) -> None:
    """A room that is not there is refused, and those that are there are named."""
    result = place.cli("config", "kitchen", exit_code=2)

    assert "orders" in result.output


def test_migrate_twice_changes_nothing(empty_place) -> None:
    """Migrating applies every service's migrations once."""
    first, second = empty_place.json("migrate"), empty_place.json("migrate")

    assert any(name.startswith("orders/0001") for name in first["applied"])
    assert [] == second["applied"]


def test_doctor_says_what_is_well_and_what_is_not(place) -> None:
    """The doctor looks at machine, secrets and database, and gives advice where it warns."""
    is_synced = place.sql("show fsync")[0][0] == "on"

    told = place.json("doctor", exit_code=0 if is_synced else 1)

    levels = {finding["what"]: finding["level"] for finding in told["findings"]}
    assert told["ok"] is is_synced  # The tests' own server may go without; real money may not.
    assert ("ok" if is_synced else "fail") == levels["fsync"]
    for what in ("Python", "disk", "secrets", "PostgreSQL", "migrations", "vault"):
        assert what in levels
    assert "ok" == levels["vault"]
    [version] = [each["seen"] for each in told["findings"] if each["what"] == "PostgreSQL"]
    assert place.sql("show server_version")[0][0].startswith(version)
    assert all(f["advice"] for f in told["findings"] if f["level"] != "ok")


def test_doctor_fails_where_others_may_read_the_keys(place) -> None:
    """A secret that others may read fails, and the cure is named."""
    (place.home / "secrets/hash.key").chmod(0o644)

    result = place.cli("doctor", exit_code=1)

    assert "chmod" in result.stdout


def test_doctor_finds_keys_of_another_database(place) -> None:
    """A home whose keys do not open this database fails."""
    (place.home / "secrets/master.json").unlink()
    gone = place.json("doctor", exit_code=1)
    Vault.open(place.home, {})
    others = place.json("doctor", exit_code=1)

    for told in (gone, others):
        [vault] = [f for f in told["findings"] if f["what"] == "vault"]
        assert "fail" == vault["level"]


def test_doctor_asks_peers(place) -> None:
    """A peer that does not answer fails, by its name."""
    result = place.cli(
        "doctor",
        "--json",
        exit_code=1,
        VENDRAIL_ONLY="payments",
        VENDRAIL_PEERS="orders=http://127.0.0.1:9",
    )

    told = json.loads(result.stdout.splitlines()[-1])
    [peer] = [f for f in told["findings"] if f["what"] == "peer orders"]
    assert "fail" == peer["level"]


def test_embedded_server_is_started_and_left(tmp_path) -> None:
    """Without a database of its own, a command starts the embedded one and stops it after."""
    home = tmp_path / "h"
    environment = {"VENDRAIL_HOME": str(home), "VENDRAIL_DATABASE_URL": ""}

    made = CliRunner().invoke(app, ["migrate"], env=environment)
    proved = CliRunner().invoke(app, ["audit", "--json"], env=environment)

    assert 0 == made.exit_code, made.output
    assert 1 == proved.exit_code  # Nothing is there yet, so nothing is proved.
    assert not (home / "postgres/cluster/postmaster.pid").exists()


def test_sandbox_serves_where_it_says(provider) -> None:
    """`vendrail sandbox` with port 0 tells the address at which it answers."""
    assert provider.url.startswith("http://127.0.0.1:")
    assert provider.application["app_id"]


def test_serve_sells_its_pages_until_told_to_stop(place, tmp_path) -> None:
    """`vendrail serve` answers on its port, and ends cleanly when it is asked to."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "vendrail.app", "serve", "--port", str(port)],
        env={**os.environ, **place.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        due = time.monotonic() + 60
        status = 0
        while status != 200 and time.monotonic() < due and process.poll() is None:
            try:
                status = httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).status_code
            except httpx.HTTPError:
                time.sleep(0.2)
        busy = place.cli("serve", "--port", port, exit_code=3)
    finally:
        process.terminate()
        told, _ = process.communicate(timeout=60)

    assert 200 == status, told
    assert "Choose another" in busy.stderr


def test_unknown_service_is_refused(place) -> None:
    """`serve --only` of something that is no service is refused before anything starts."""
    result = place.cli("serve", "--only", "kitchen", "--port", "0", exit_code=2)

    assert "kitchen" in result.stderr


def test_bench_refuses_what_it_does_not_know(place) -> None:
    """An unknown bench, or an option that a bench does not take, is refused by name."""
    assert "pipeline" in place.cli("bench", "coffee", exit_code=2).stderr


def test_make_bench_runs_every_bench() -> None:
    """What `make bench` runs one after another is all the benches there are."""
    makefile = (Path(__file__).parents[2] / "Makefile").read_text()
    [listed] = re.findall(r"for kind in ([a-z ]+); do \$\(BIN\)/vendrail bench", makefile)

    assert set(BENCHES) == set(listed.split())


def test_bench_tells_its_figures_as_one_object(place) -> None:
    """A bench on a database of its own ends with one object that holds its figures."""
    told = place.json("bench", "pipeline", "--orders", "400", "--batch", "100", "--no-reference")

    assert 400 == told["orders"]
    assert 0 == told["errors"]
    assert told["orders_per_s"] > 0
    assert [] == place.sql("select 1 from pg_database where datname like 'vendrail_bench%'")
