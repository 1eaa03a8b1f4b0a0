"""The sandbox's own life: its folder, its journal, its port; what goes wrong says what to do."""

import socket

import pytest

from vendrail.kernel.clock import SystemClock
from vendrail.kernel.errors import Broken, Unavailable
from vendrail.sandbox import signatures
from vendrail.sandbox.app import build, pick_port
from vendrail.sandbox.provider import Provider
from vendrail.sandbox.service import PaidTrade, Sandbox
from vendrail.sandbox.settings import Settings


def test_keys_are_made_once(tmp_path):
    """A new folder gets its own keys; the same folder keeps them; two folders share nothing."""
    first, again = Provider(tmp_path / "a"), Provider(tmp_path / "a")
    other = Provider(tmp_path / "b")

    assert first.public_key_pem == again.public_key_pem
    assert first.control_token == again.control_token
    assert first.root_number == again.root_number
    assert first.public_key_pem != other.public_key_pem
    assert first.control_token != other.control_token
    assert len(first.root_number.split("_")) == 2


def test_missing_key_file_is_named(home):
    """A folder that lost a key is refused by name, not quietly given another."""
    (home / "provider.key").unlink()

    with pytest.raises(Broken, match=r"provider\.key"):
        Provider(home)


def test_folder_that_cannot_be_written_is_refused(tmp_path):
    """A folder that cannot be made is refused with the reason."""
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(Unavailable, match="cannot write its folder"):
        build(tmp_path / "file" / "home")


def test_busy_port_is_refused():
    """A port somebody else holds is refused with advice."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()

        with pytest.raises(Unavailable, match="choose another port"):
            pick_port("127.0.0.1", holder.getsockname()[1])


def test_unreadable_journal_names_the_line(home):
    """A journal broken in the middle is refused with the number of the line."""
    (home / "journal.jsonl").write_bytes(b'{"type":"notice_end","notify_id":"1"}\nnonsense\n')

    with pytest.raises(Broken, match="Line 2"):
        build(home)


async def test_journal_is_written_anew_when_it_is_long(home, keys):
    """The journal keeps what is still known and forgets how it came about."""
    settings = Settings(journal_compact_bytes=50_000)
    sandbox = Sandbox(home, SystemClock(), settings)
    app = sandbox.register_app(keys[0][1], is_certified=False, name="x", opening_minor=0)
    wanted = [PaidTrade(f"J{number}", "1.00") for number in range(200)]
    await sandbox.sign_notifications(app, "", wanted)
    written = (home / "journal.jsonl").stat().st_size
    sandbox.store.close()
    again = Sandbox(home, SystemClock(), settings)
    compacted = (home / "journal.jsonl").stat().st_size
    again.store.close()

    assert compacted < written
    assert again.store.balances == {app.app_id: 20_000}
    assert [trade.out_trade_no for trade in again.store.trades()] == [
        trade.out_trade_no for trade in wanted
    ]


def test_empty_values_are_signed_in_notices_and_not_in_requests():
    """The two rules differ: a request leaves out what is empty, a notice leaves out sign_type."""
    fields = {"b": "", "a": "1", "sign": "s", "sign_type": "RSA2"}

    assert signatures.request_text(fields) == "a=1&sign_type=RSA2"
    assert signatures.notification_text(fields) == "a=1&b="
