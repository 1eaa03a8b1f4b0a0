"""The vault: what is sealed opens only here, only there, and only unchanged."""

import asyncio
import base64
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vendrail.kernel.errors import Broken, Malformed
from vendrail.kernel.vault import HeldMasterKeys, Vault, ensure_secret, is_same, new_secret


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def key_text():
    return base64.b64encode(os.urandom(32)).decode()


@given(st.binary(max_size=500))
def test_what_was_sealed_comes_back(vault, plaintext):
    """Sealing and unsealing gives the plaintext, for any bytes; no two sealings are alike."""
    data_key, row = vault.new_data_key(), uuid4()
    sealed = vault.seal(data_key, "catalog.key", row, plaintext)

    assert plaintext == vault.unseal(data_key, "catalog.key", row, sealed)
    assert sealed != vault.seal(data_key, "catalog.key", row, plaintext)
    assert 12 + len(plaintext) + 16 == len(sealed)


def test_a_changed_bit_is_noticed(vault):
    """Whichever byte of a sealed value is changed, cut or added, unsealing is `Broken`."""
    data_key, row = vault.new_data_key(), uuid4()
    sealed = vault.seal(data_key, "p", row, b"AAAA-BBBB-CCCC")
    forged = [
        sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        for place in range(len(sealed))
    ]

    for wrong in [*forged, sealed[:-1], sealed + b"x", b"", sealed[:12]]:
        with pytest.raises(Broken):
            vault.unseal(data_key, "p", row, wrong)


def test_a_sealed_value_belongs_to_its_row_and_purpose(vault):
    """Moved to another row, purpose or data key, a sealed value does not open."""
    data_key, row = vault.new_data_key(), uuid4()
    sealed = vault.seal(data_key, "catalog.key", row, b"secret")

    with pytest.raises(Broken):
        vault.unseal(data_key, "catalog.key", uuid4(), sealed)
    with pytest.raises(Broken):
        vault.unseal(data_key, "orders.contact", row, sealed)
    with pytest.raises(Broken):
        vault.unseal(vault.new_data_key(), "catalog.key", row, sealed)


def test_a_stored_data_key_opens_in_another_process(home):
    """What one process sealed, another with the same home opens; one with another home does not."""
    first = Vault.open(home, {})
    data_key, row = first.new_data_key(), uuid4()
    sealed = first.seal(data_key, "p", row, b"secret")
    second = Vault.open(home, {})
    loaded = second.load_data_key(data_key.id, data_key.sealed)

    assert b"secret" == second.unseal(loaded, "p", row, sealed)
    assert loaded is second.load_data_key(data_key.id, data_key.sealed)
    with pytest.raises(Broken, match="Restore home/secrets"):
        Vault.open(home.with_name("other"), {}).load_data_key(data_key.id, data_key.sealed)


def test_a_sealed_data_key_belongs_to_its_id(home):
    """A data key stored under another id, or altered, is refused."""
    vault = Vault.open(home, {})
    data_key = vault.new_data_key()
    other = Vault.open(home, {})

    with pytest.raises(Broken):
        other.load_data_key(uuid4(), data_key.sealed)
    with pytest.raises(Broken):
        other.load_data_key(data_key.id, data_key.sealed[:-1] + b"\0")
    with pytest.raises(Broken):
        other.rewrap(b"short")


def test_rotation_keeps_everything_readable(home):
    """After rotation old data keys still open; new and rewrapped ones need the new master key."""
    vault = Vault.open(home, {})
    old, row = vault.new_data_key(), uuid4()
    sealed, mark = vault.seal(old, "p", row, b"x"), vault.keyed_hash("p", b"x")
    before = (home / "secrets/master.json").read_bytes()
    named = vault.rotate_master()
    rewrapped, new = vault.rewrap(old.sealed), vault.new_data_key()
    late = Vault.open(home, {})

    assert b"x" == late.unseal(late.load_data_key(old.id, old.sealed), "p", row, sealed)
    assert b"x" == Vault.open(home, {}).unseal(
        late.load_data_key(old.id, rewrapped), "p", row, sealed
    )
    assert named in (home / "secrets/master.json").read_text()
    assert mark == late.keyed_hash("p", b"x")
    (home / "secrets/master.json").write_bytes(before)
    stolen = Vault.open(home, {})
    assert old.id == stolen.load_data_key(old.id, old.sealed).id
    for later in ((old.id, rewrapped), (new.id, new.sealed)):
        with pytest.raises(Broken):
            Vault.open(home, {}).load_data_key(*later)


def test_a_running_process_finds_a_new_master_key(home):
    """A process that started before the rotation opens what was sealed after it."""
    running, rotating = Vault.open(home, {}), Vault.open(home, {})
    rotating.rotate_master()
    fresh = rotating.new_data_key()

    assert fresh.id == running.load_data_key(fresh.id, fresh.sealed).id


async def test_many_first_starters_share_one_key(home):
    """Twenty processes that start at once agree on the keys: one is made, all read it."""
    with ThreadPoolExecutor(20) as pool:
        loop = asyncio.get_running_loop()
        opened = await asyncio.gather(
            *(loop.run_in_executor(pool, Vault.open, home, {}) for _ in range(20))
        )
    data_key = opened[0].new_data_key()

    assert 1 == len({vault.fingerprint for vault in opened})
    assert all(vault.load_data_key(data_key.id, data_key.sealed) for vault in opened)
    assert {"master.json", "hash.key"} == {path.name for path in (home / "secrets").iterdir()}


def test_secret_files_are_for_their_owner_alone(home):
    """Secrets are made 0600 in a folder 0700; a file that others may read is refused."""
    Vault.open(home, {})
    folder = home / "secrets"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    (folder / "hash.key").chmod(0o644)

    assert {"master.json": 0o600, "hash.key": 0o600} == modes
    assert 0o700 == stat.S_IMODE(folder.stat().st_mode)
    with pytest.raises(Broken, match="chmod 600"):
        Vault.open(home, {})


def test_x18_there_is_no_default_secret(tmp_path):
    """Two installations share no key: the same row sealed and hashed differs (X18)."""
    first, second = Vault.open(tmp_path / "a", {}), Vault.open(tmp_path / "b", {})
    data_key = first.new_data_key()

    assert first.keyed_hash("p", b"x") != second.keyed_hash("p", b"x")
    assert first.token("p", b"x") != second.token("p", b"x")
    with pytest.raises(Broken):
        second.load_data_key(data_key.id, data_key.sealed)


def test_a_container_brings_its_keys(home):
    """Keys of the environment are used, several of them in order; nothing is written."""
    first, second, hashed = key_text(), key_text(), key_text()
    environment = {"VENDRAIL_MASTER_KEY": first, "VENDRAIL_HASH_KEY": hashed}
    old = Vault.open(home, environment)
    data_key = old.new_data_key()
    both = Vault.open(home, {**environment, "VENDRAIL_MASTER_KEY": f"{first},{second}"})
    rewrapped = both.rewrap(data_key.sealed)
    newest = Vault.open(home, {**environment, "VENDRAIL_MASTER_KEY": second})

    assert data_key.id == both.load_data_key(data_key.id, data_key.sealed).id
    assert data_key.id == newest.load_data_key(data_key.id, rewrapped).id
    assert old.keyed_hash("p", b"x") == newest.keyed_hash("p", b"x")
    assert not home.exists()
    with pytest.raises(Malformed, match="VENDRAIL_MASTER_KEY"):
        both.rotate_master()


@pytest.mark.parametrize("text", ["short", "A" * 43 + "!", base64.b64encode(b"x" * 16).decode()])
def test_a_weak_key_is_refused(home, text):
    """A master key that is not 32 bytes in base 64 is refused with the command that makes one."""
    with pytest.raises(Malformed, match="openssl rand"):
        Vault.open(home, {"VENDRAIL_MASTER_KEY": text, "VENDRAIL_HASH_KEY": key_text()})


def test_a_container_without_a_hash_key_is_refused(home):
    """A master key from the environment with a hash key made here would lose the hash key."""
    with pytest.raises(Malformed, match="VENDRAIL_HASH_KEY"):
        Vault.open(home, {"VENDRAIL_MASTER_KEY": key_text()})


def test_a_kms_stands_behind_the_same_port(home):
    """Whatever fulfils `MasterKeys` seals the data keys: the vault does not know where they are."""
    calls = []

    class Remote(HeldMasterKeys):
        def wrap(self, plaintext, context):
            calls.append("wrap")
            return super().wrap(plaintext, context)

    vault = Vault(Remote([os.urandom(32)]), os.urandom(32))
    data_key = vault.new_data_key()
    row = uuid4()
    for number in range(100):
        vault.seal(data_key, "p", row, b"%d" % number)

    assert ["wrap"] == calls


def test_a_hash_tells_purposes_apart(vault):
    """The same data hash differently for each purpose, and always the same for one."""
    assert 32 == len(vault.keyed_hash("a", b"x"))
    assert vault.keyed_hash("a", b"x") == vault.keyed_hash("a", b"x")
    assert vault.keyed_hash("a", b"x") != vault.keyed_hash("b", b"x")
    assert vault.keyed_hash("a", b"x") != vault.keyed_hash("a", b"y")


def test_a_token_holds_130_bits_or_more(vault):
    """Tokens are 26 to 51 letters of base 32; shorter ones are not made."""
    token = vault.token("orders.secret", b"id")

    assert 26 == len(token)
    assert set(token) <= set("abcdefghijklmnopqrstuvwxyz234567")
    assert vault.token("orders.secret", b"id", 51).startswith(token)
    assert 1_000 == len({vault.token("orders.secret", b"%d" % n) for n in range(1_000)})
    for length in (25, 52):
        with pytest.raises(Malformed):
            vault.token("orders.secret", b"id", length)


def test_secrets_are_compared_as_a_whole():
    """Comparing takes texts and bytes of any length and letters."""
    assert is_same("abc", b"abc")
    assert not is_same("abc", "abd")
    assert not is_same("", "abc")
    assert is_same("秘密", "秘密")


def test_a_data_key_shows_nothing(vault):
    """Neither its text nor its public parts hold the plaintext key."""
    data_key = vault.new_data_key()

    assert "AESGCM" not in repr(data_key)
    assert {"id", "sealed", "seal", "unseal"} == {n for n in dir(data_key) if not n.startswith("_")}


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    """Where secrets cannot be made, the message names the file and what to set."""
    (tmp_path / "file").write_text("")

    with pytest.raises(Broken, match="VENDRAIL_HOME"):
        ensure_secret(tmp_path / "file" / "secrets" / "x.key", new_secret)
