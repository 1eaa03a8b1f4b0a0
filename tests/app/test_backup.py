"""What is backed up comes back whole, elsewhere too; what must not be overwritten is not."""

import asyncio
import json
import os
import stat
import zipfile
from pathlib import Path

import pytest

from vendrail.app.backup import tool_environment
from vendrail.kernel.db import Database


def write_backup(place, folder: Path) -> Path:
    """Back a place up; give the file."""
    return Path(place.json("backup", folder)["file"])


def test_backup_restored_elsewhere_is_the_same(place, empty_place, tmp_path) -> None:
    """A copy in another database and home passes the audit with the same rows, keys readable."""
    media = place.home / "media"
    media.mkdir()
    (media / "card.svg").write_text("<svg/>")
    (place.home / "files").mkdir()
    (place.home / "files/book.epub").write_text("a book")
    file = write_backup(place, tmp_path)

    told = empty_place.json("restore", file)

    before, after = place.json("audit"), empty_place.json("audit")
    assert str(empty_place.home) == told["home"]
    assert after["ok"]
    assert before["counts"] == after["counts"]
    assert before["totals"] == after["totals"]
    assert "<svg/>" == (empty_place.home / "media/card.svg").read_text()
    assert "a book" == (empty_place.home / "files/book.epub").read_text()
    for copy in (place, empty_place):
        out = tmp_path / f"{copy.home.name}.csv"
        copy.cli("keys", "export", "S1", "--out", out, "--reason", "a test")
    first, second = (tmp_path / f"{each.home.name}.csv" for each in (place, empty_place))
    assert first.read_text() == second.read_text()
    assert "S1-KEY-0011" in first.read_text()


def test_restored_services_stay_apart(place, empty_place, tmp_path) -> None:
    """After a restore each schema and all in it belongs to its service's role, as before."""
    owners = (
        "select n.nspname, c.relname, c.relkind, pg_get_userbyid(c.relowner) from pg_class c"
        " join pg_namespace n on n.oid = c.relnamespace where n.nspname in"
        " ('orders', 'ledger', 'catalog', 'payments', 'risk', 'settlement', 'notify', 'limits')"
        " and c.relkind in ('r', 'v', 'S') union all"
        " select nspname, '', 'n', pg_get_userbyid(nspowner) from pg_namespace"
        " where nspname in ('orders', 'ledger', 'payments') order by 1, 2, 3"
    )
    empty_place.cli("restore", write_backup(place, tmp_path))

    assert place.sql(owners) == empty_place.sql(owners)
    assert [] == empty_place.json("migrate")["applied"]


def test_restored_platform_goes_on(place, empty_place, tmp_path) -> None:
    """On a restored copy a refund runs through all services as on the original."""
    empty_place.cli("restore", write_backup(place, tmp_path))

    told = empty_place.json(
        "orders", "refund", place.orders["sold_too"], "--yes", "--reason", "a test"
    )

    assert "paid" == told["refund"]["state"]
    assert empty_place.json("audit")["ok"]


def test_restored_platform_sells_on_a_younger_server(
    place, empty_place, provider, tmp_path
) -> None:
    """On a server whose transactions are numbered lower, events are read on: orders are filled."""
    for table in ("payments.event", "orders.event", "orders.cursor"):
        place.sql(f"update {table} set xid = (xid::text::bigint + 10 ^ 12)::bigint::text::xid8")
    empty_place.cli("restore", write_backup(place, tmp_path))

    state = empty_place.sell(provider)

    assert "delivered" == state
    assert empty_place.json("audit")["ok"]


def test_backup_from_before_a_service_was_there_is_restored(
    place, empty_place, provider, tmp_path
) -> None:
    """A service that the backup does not know begins empty, and reads events from the first on."""
    place.sql("drop schema epay cascade")
    place.sql("delete from vendrail.migration where service = 'epay'")
    # Nor did payouts tell anything then, nor was anybody there to read it.
    place.sql(
        "drop table payouts.event, payouts.reader, payouts.schedule, payouts.mark,"
        " payouts.remittance, payouts.bank, payouts.bank_file, payouts.bank_line,"
        " payouts.bank_answer, payouts.bank_answer_line, payouts.batch, payouts.batch_payout"
    )
    place.sql("alter table payouts.terms drop column kinds, drop column look_minutes")
    place.sql(
        "alter table payouts.payout drop column is_marked, drop column is_filed,"
        " drop column untold_since"
    )
    place.sql(
        "drop index payouts.payout_returned, payouts.payout_provider_number, payouts.payout_asked"
    )
    place.sql("alter table payouts.payee drop column doubt")
    place.sql("delete from vendrail.migration where service = 'payouts' and number >= 2")
    place.sql("delete from webhooks.cursor where source <> 'orders'")
    place.sql("drop table webhooks.low, webhooks.wish, webhooks.closed")
    place.sql("alter table webhooks.endpoint drop column free_at")
    place.sql("drop index webhooks.event_of_kind, webhooks.event_since")
    place.sql("delete from vendrail.migration where service = 'webhooks' and number >= 2")
    empty_place.cli("restore", write_backup(place, tmp_path))

    state = empty_place.sell(provider)

    assert "delivered" == state
    assert [(0,)] == [tuple(row) for row in empty_place.sql("select id from epay.cursor")]
    assert empty_place.json("audit")["ok"]


def test_backup_is_for_its_owner_alone(place, tmp_path) -> None:
    """The file is 0600 whatever the umask, and says that it holds the master keys."""
    before = os.umask(0)
    try:
        result = place.cli("backup", tmp_path / "one.backup")
    finally:
        os.umask(before)

    assert 0o600 == stat.S_IMODE((tmp_path / "one.backup").stat().st_mode)
    assert "master keys" in result.stdout
    assert [] == list(tmp_path.glob(".one*"))


def test_backup_never_writes_over_another(place, tmp_path) -> None:
    """A file that is there is left as it is."""
    file = tmp_path / "one.backup"
    file.write_text("precious")

    place.cli("backup", file, exit_code=2)

    assert "precious" == file.read_text()


def test_backup_without_the_keys_is_refused(place, tmp_path) -> None:
    """A home that does not hold this database's keys makes no backup: nobody could read it."""
    (place.home / "secrets").rename(tmp_path / "elsewhere")

    result = place.cli("backup", tmp_path, exit_code=2)

    assert "secrets" in result.stderr
    assert [] == list(tmp_path.glob("*.backup"))


def test_restore_refuses_to_write_over_data(place, tmp_path) -> None:
    """Where there is a platform already, nothing is touched without --force."""
    file = write_backup(place, tmp_path)
    counts = place.json("audit")["counts"]

    result = place.cli("restore", file, exit_code=2)

    assert "--force" in result.stderr
    assert counts == place.json("audit")["counts"]


def test_forced_restore_goes_back_in_time(place, tmp_path) -> None:
    """With --force what came after the backup is gone, and the old secrets are put aside."""
    file = write_backup(place, tmp_path)
    place.sql("delete from risk.assessment")
    assert not place.json("audit", exit_code=1)["ok"]

    place.cli("restore", file, "--force", "--yes")

    assert place.json("audit")["ok"]
    assert 1 == len(list(place.home.glob("secrets.before-*")))


def test_force_asks_where_nobody_said_yes(place, tmp_path) -> None:
    """--force alone asks, and where nobody can answer it refuses."""
    file = write_backup(place, tmp_path)

    place.cli("restore", file, "--force", exit_code=2)

    assert place.json("audit")["ok"]


@pytest.mark.parametrize("damage", ["cut", "flipped", "other", "missing"])
def test_damaged_backup_restores_nothing(place, empty_place, tmp_path, damage: str) -> None:
    """A file that was cut short, altered, is something else or not there leaves all empty."""
    file = write_backup(place, tmp_path)
    content = bytearray(file.read_bytes())
    if damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    elif damage == "other":
        file.write_text("a shopping list")
    else:
        file.unlink()

    empty_place.cli("restore", file, exit_code=2)

    assert [] == empty_place.sql(
        "select nspname from pg_namespace where nspname in ('orders', 'ledger')"
    )
    assert not (empty_place.home / "secrets").exists()
    assert [] == list(empty_place.home.glob(".restoring*"))


def test_backup_of_a_newer_program_is_refused(place, empty_place, tmp_path) -> None:
    """A backup whose schemas this program does not know yet is not restored."""
    place.sql(
        "insert into vendrail.migration (service, number, name, checksum)"
        " values ('orders', 99, 'later', '')"
    )
    file = write_backup(place, tmp_path)

    result = empty_place.cli("restore", file, exit_code=2)

    assert "newer" in result.stderr


def test_backup_with_a_way_out_is_refused(place, empty_place, tmp_path) -> None:
    """A file in the archive that would land outside the home folder is refused."""
    file = write_backup(place, tmp_path)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("home/../../stolen", "x")

    result = empty_place.cli("restore", file, exit_code=2)

    assert "leads out" in result.stderr
    assert not (tmp_path / "stolen").exists()


def test_keys_of_another_place_are_refused(place, empty_place, tmp_path) -> None:
    """Where the environment gives other keys than the backup's, nothing is restored."""
    file = write_backup(place, tmp_path)
    other = "A" * 43 + "="

    empty_place.cli(
        "restore", file, exit_code=2, VENDRAIL_MASTER_KEY=other, VENDRAIL_HASH_KEY=other
    )

    assert [] == empty_place.sql("select 1 from pg_namespace where nspname = 'orders'")


def test_running_platform_is_not_restored_over(place, tmp_path) -> None:
    """Forced or not, a platform that is running is not replaced under its feet."""
    file = write_backup(place, tmp_path)

    async def while_it_runs() -> str:
        database = Database(place.url, "orders")
        async with database.reading() as tx:
            await tx.fetch_value("select 1")
        try:
            result = await asyncio.to_thread(
                place.cli, "restore", file, "--force", "--yes", exit_code=3
            )
        finally:
            await database.close()
        return result.stderr

    assert "Stop it first" in asyncio.run(while_it_runs())


def test_passwords_go_by_environment() -> None:
    """PostgreSQL's programs get the connection by environment, so that `ps` shows no password."""
    given = tool_environment("postgresql://me:p%40ss@db.example:5433/shop?sslmode=require")

    wanted = {
        "PGHOST": "db.example",
        "PGPORT": "5433",
        "PGUSER": "me",
        "PGPASSWORD": "p@ss",
        "PGDATABASE": "shop",
        "PGSSLMODE": "require",
    }
    assert wanted == {name: given[name] for name in wanted}


def test_rotated_keys_still_open_what_was_sealed(place, tmp_path) -> None:
    """After a rotation every data key is sealed anew, and old rows and old backups still open."""
    old = write_backup(place, tmp_path)
    sealed = place.sql("select id, sealed from catalog.data_key order by id")

    told = place.json("vault", "rotate", "--reason", "yearly")
    again = place.json("vault", "rotate", "--rewrap-only", "--reason", "to be sure")

    assert told["rewrapped"]["catalog"] == len(sealed) > 0
    assert {0} == set(again["rewrapped"].values())
    now = place.sql("select id, sealed from catalog.data_key order by id")
    assert not {row["sealed"] for row in sealed} & {row["sealed"] for row in now}
    place.cli("keys", "export", "S1", "--out", tmp_path / "k.csv", "--reason", "a test")
    assert "S1-KEY-0011" in (tmp_path / "k.csv").read_text()
    assert ["yearly", "to be sure", "a test"] == [
        json.loads(line)["reason"] for line in (place.home / "acts.jsonl").read_text().splitlines()
    ]
    place.cli("restore", old, "--force", "--yes")
    assert place.json("audit")["ok"]


def test_rotation_without_a_reason_is_refused(place) -> None:
    """Who rotates says why."""
    place.cli("vault", "rotate", exit_code=2)
    place.cli("vault", "rotate", "--reason", "  ", exit_code=2)

    assert not (place.home / "acts.jsonl").exists()
