"""The demo as a newcomer meets it: a real process, a real purchase, every way it can end."""

import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from tests.demo.conftest import REFUSED, RunningDemo, Seeded, free_port, read_order, read_stock

from vendrail.app.demo.market import KEYS_PER_VARIANT

OpenDemo = Callable[..., RunningDemo]
PROMISED_START_S, PROMISED_AGAIN_S, PROMISED_STOP_S = 60, 8, 10
BUSY = 2  # The machine may have other tests to run; these are no benches.

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running(seeded: Seeded) -> Iterator[RunningDemo]:
    """The used demo, started for the second time."""
    demo = RunningDemo(seeded.home, free_port())
    try:
        demo.open_s = demo.wait_open()
        yield demo
        demo.stop()
        # It was open for a while: whatever waited somewhere for news was ended in good order.
        assert "Traceback" not in demo.told
    finally:
        demo.kill()


def test_first_start_sells_a_key_and_stops_clean(seeded: Seeded) -> None:
    """From nothing to a sold key by one command; Ctrl-C ends all of it, no process is left."""
    unique = [left for left in seeded.stock.values() if left is not None]

    assert seeded.receipt.key.count("-") == 2
    assert unique
    assert {KEYS_PER_VARIANT} == set(unique)
    assert seeded.start_s < PROMISED_START_S * BUSY
    assert seeded.stop_s < PROMISED_STOP_S * BUSY
    assert [] == seeded.left


def test_second_start_keeps_what_was_sold(seeded: Seeded, running: RunningDemo) -> None:
    """The second start is quick, adds no key twice, and the buyer's key is still theirs."""
    expected = {**seeded.stock, "FOG-STD": KEYS_PER_VARIANT - 1}
    order = read_order(running.url, seeded.receipt)

    assert running.open_s < PROMISED_AGAIN_S * BUSY
    assert expected == read_stock(running.url)
    assert ("delivered", [seeded.receipt.key]) == (order["state"], order["keys"])


def test_pages_and_pictures_are_served(running: RunningDemo) -> None:
    """The shop's front page and every picture on it are there."""
    page = httpx.get(running.url)
    items = httpx.get(f"{running.url}/api/v1/products", params={"limit": 100}).json()["items"]
    pictures = [httpx.get(item["picture"]) for item in items]

    assert 200 == page.status_code
    assert "雾港远航" in page.text
    assert 15 == len(items)
    assert {"image/svg+xml"} == {found.headers["content-type"] for found in pictures}


def test_panel_says_where_to_go(running: RunningDemo) -> None:
    """What is printed names the shop, the wallet, the metrics, the mailbox and how to stop."""
    places = [running.url, running.sandbox_url, f"{running.url}/metrics", "Ctrl-C"]

    assert [] == [place for place in [*places, str(running.home)] if place not in running.told]


def test_second_demo_on_a_folder_is_refused(running: RunningDemo, open_demo: OpenDemo) -> None:
    """A second demo on the same folder says where the first one is, and touches nothing."""
    second = open_demo(running.home)

    assert REFUSED == second.wait_ended()
    assert f"running on {running.home} already ({running.url}" in second.told
    assert 200 == httpx.get(f"{running.url}/readyz").status_code


def test_busy_port_is_named(running: RunningDemo, open_demo: OpenDemo, tmp_path: Path) -> None:
    """A port that somebody has is named, with what to do; nothing is started."""
    port = int(running.url.rsplit(":", 1)[1])
    second = open_demo(tmp_path / "home", port=port)

    assert REFUSED == second.wait_ended()
    assert f"Cannot listen on 127.0.0.1:{port}" in second.told
    assert "--port" in second.told
    assert [] == second.parts()
    assert not (tmp_path / "home/postgres").exists()


def test_orphaned_server_is_adopted(used_home: Path, open_demo: OpenDemo) -> None:
    """After SIGKILL of everything but PostgreSQL, the next demo takes the same server over."""
    first = open_demo(used_home)
    first.wait_open()
    servers = {part.pid for part in first.parts() if part.name() == "postgres"}
    first.kill(spare="postgres")
    second = open_demo(used_home)
    second.wait_open()
    postmaster = int((used_home / "postgres/cluster/postmaster.pid").read_text().split()[0])

    assert postmaster in servers
    assert second.stop(signal.SIGTERM) < PROMISED_STOP_S * BUSY
    assert (0, []) == (second.process.returncode, second.parts())


def test_killed_demo_is_taken_up_again(
    seeded: Seeded, used_home: Path, open_demo: OpenDemo
) -> None:
    """After SIGKILL of all, PostgreSQL too, the next demo finds everything as it was."""
    first = open_demo(used_home)
    first.wait_open()
    first.kill()
    second = open_demo(used_home)
    second.wait_open()

    assert [seeded.receipt.key] == read_order(second.url, seeded.receipt)["keys"]


def test_parts_do_not_outlive_the_demo(used_home: Path, open_demo: OpenDemo) -> None:
    """Where only the demo itself is killed, its parts end by themselves, the database in order."""
    demo = open_demo(used_home)
    demo.wait_open()
    demo.process.kill()
    psutil.wait_procs(demo.parts(), timeout=PROMISED_STOP_S * BUSY)

    assert [] == demo.parts()


def test_lost_worker_is_ended_by_the_next_demo(used_home: Path, open_demo: OpenDemo) -> None:
    """A worker that lost the demo and its server does not keep the port from the next demo."""
    port = free_port()
    first = open_demo(used_home, port=port)
    first.wait_open()
    site = [part for part in first.parts() if "site" in part.cmdline()]
    worker = max(site, key=lambda part: part.create_time())
    first.kill_all_but(worker)
    is_lost = worker.is_running()
    second = open_demo(used_home, port=port)
    second.wait_open()

    assert is_lost
    assert not worker.is_running()
    assert "killed demo had left" in second.told


def test_sandbox_takes_the_next_free_port(used_home: Path, open_demo: OpenDemo) -> None:
    """Where the port after the site's is taken, the sandbox takes another, and is paid at it."""
    port = free_port()
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port + 1))
        taken.listen()
        demo = open_demo(used_home, port=port)
        demo.wait_open()

    assert f"http://127.0.0.1:{port + 1} " not in demo.told
    assert 200 == httpx.get(demo.url).status_code


def test_other_major_version_is_refused(used_home: Path, open_demo: OpenDemo) -> None:
    """Data of another PostgreSQL is refused with advice, and the sandbox does not stay behind."""
    (used_home / "postgres/cluster/PG_VERSION").write_text("17\n")
    demo = open_demo(used_home)

    assert REFUSED == demo.wait_ended()
    assert "made by PostgreSQL 17" in demo.told
    assert [] == demo.parts()


def test_child_that_ends_ends_the_demo(used_home: Path, open_demo: OpenDemo) -> None:
    """When the sandbox dies, the demo says so and stops the rest in order."""
    demo = open_demo(used_home)
    demo.wait_open()
    (sandbox,) = (part for part in demo.parts() if "sandbox" in part.cmdline())
    sandbox.kill()

    assert REFUSED == demo.wait_ended()
    assert "The sandbox has ended by itself" in demo.told
    assert [] == demo.parts()


def test_early_stop_leaves_nothing(tmp_path: Path, open_demo: OpenDemo) -> None:
    """Ctrl-C in the middle of a first start ends what had begun, and a later start succeeds."""
    home = tmp_path / "home"
    demo = open_demo(home)
    while not (home / "postgres").exists():
        assert demo.process.poll() is None, demo.told
        time.sleep(0.05)
    time.sleep(0.5)
    demo.stop()

    assert (0, []) == (demo.process.returncode, demo.parts())
    assert open_demo(home).wait_open() < PROMISED_START_S * BUSY


def test_own_postgresql_is_used(database_url: str, tmp_path: Path, open_demo: OpenDemo) -> None:
    """With VENDRAIL_DATABASE_URL the marketplace lives there, and no server of ours is made."""
    home = tmp_path / "home"
    demo = open_demo(home, VENDRAIL_DATABASE_URL=database_url)
    demo.wait_open()
    stock = read_stock(demo.url)
    demo.stop()
    again = open_demo(home, "--fresh", VENDRAIL_DATABASE_URL=database_url)

    assert len(stock) > 15
    assert not (home / "postgres").exists()
    assert REFUSED == again.wait_ended()
    assert "never touches a PostgreSQL of your own" in again.told
