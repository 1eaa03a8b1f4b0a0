"""Envelope encryption and keyed hashes: a stolen database reveals no key, no secret, no contact.

A row is sealed under a data key (AES-256-GCM, bound to its purpose and id); data keys are sealed
under the newest master key and stored beside the rows. The hash key is apart and never rotates, so
that what was hashed stays findable. Nothing here has a default: keys are made at first start, or
given by the environment, or held by a KMS behind `MasterKeys`.
"""

import base64
import binascii
import fcntl
import hashlib
import hmac
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Protocol
from uuid import UUID, uuid4

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from vendrail.kernel.codec import Record, decode, encode
from vendrail.kernel.errors import Broken, Malformed

_KEY_BYTES = 32
_NONCE_BYTES = 12
_FORM = b"\x01"  # The first byte of everything that is sealed under a master key.
_MASTER_ID_BYTES = 8
_DATA_KEYS_MAX = 4_096
_TOKEN_LENGTH_MIN = 26  # 26 letters of base 32 are 130 bits.
_TOKEN_LENGTH_MAX = 51
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = [first + second for first in _LETTERS for second in _LETTERS]  # Ten bits at a time.


def is_same(given: str | bytes, expected: str | bytes) -> bool:
    """Compare two secrets in a time that tells nothing of where they differ."""
    left = given.encode() if isinstance(given, str) else given
    right = expected.encode() if isinstance(expected, str) else expected
    return hmac.compare_digest(left, right)


# Files that only their owner may read.


def read_secret(path: Path) -> bytes | None:
    """Read a secret file, if it is there; one that others may read is refused."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise Broken(
                    f"{path} may be read by others than its owner. Run: chmod 600 {path} "
                    "(and replace what is in it, if others use this machine)."
                )
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Broken(
            f"{path} cannot be read: {error.strerror}. Whoever runs Vendrail must own it; "
            "VENDRAIL_HOME names the folder."
        ) from error


def _write_aside(path: Path, content: bytes) -> Path:
    """Write the content to a new file beside, on disk before anyone can see it under its name."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.{uuid4().hex[:8]}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return aside


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def ensure_secret(path: Path, make: Callable[[], bytes]) -> bytes:
    """Read a secret file, or make it (0600, atomically: of several first starters one wins)."""
    known = read_secret(path)
    if known is not None:
        return known
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        aside = _write_aside(path, make())
        try:
            with suppress(FileExistsError):
                os.link(aside, path)
        finally:
            aside.unlink()
        _sync_folder(path.parent)
    except OSError as error:
        raise Broken(
            f"{path} cannot be written: {error.strerror}. Give a folder of your own: VENDRAIL_HOME."
        ) from error
    made = read_secret(path)
    if made is None:
        raise Broken(f"{path} was made and is gone; who removes files in {path.parent}?")
    return made


def new_secret() -> bytes:
    """Make 32 random bytes, as the text that secret files hold."""
    return base64.urlsafe_b64encode(os.urandom(_KEY_BYTES)) + b"\n"


def parse_secret(text: str | bytes, name: str) -> bytes:
    """Read 32 bytes from base 64 (either alphabet); `name` says where they came from."""
    raw = text.encode() if isinstance(text, str) else text
    try:
        key = base64.b64decode(raw.strip().replace(b"-", b"+").replace(b"_", b"/"), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != _KEY_BYTES:
        raise Malformed(
            f"{name} must be 32 random bytes in base 64; make one with: openssl rand -base64 32"
        )
    return key


# Master keys.


class MasterKeys(Protocol):
    """The port to what seals data keys: files here, a KMS elsewhere. Called once a data key."""

    def wrap(self, plaintext: bytes, context: bytes) -> bytes:
        """Seal a data key under the newest master key, bound to the context."""
        ...

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Open what any of the master keys sealed; `Broken` where none fits."""
        ...

    def rotate(self) -> str:
        """Add a master key, which seals from now on; give its name."""
        ...


class _MasterKey(Record, frozen=True):
    id: str
    key: str


class _MasterFile(Record, frozen=True):
    keys: list[_MasterKey]  # Oldest first; the last one seals.


def _master_id(key: bytes) -> bytes:
    """Name a key by its fingerprint, so that one key has one name wherever it is given."""
    return hmac.digest(key, b"vendrail master key id", "sha256")[:_MASTER_ID_BYTES]


class HeldMasterKeys:
    """Master keys in this process's memory: the newest (last) seals, all open."""

    def __init__(self, keys: list[bytes]) -> None:
        self._ciphers: dict[bytes, AESGCM] = {}
        self._hold(keys)

    def _hold(self, keys: list[bytes]) -> None:
        if not keys:
            raise Broken("There is no master key; restore home/secrets/master.json from a backup.")
        self._ciphers = {_master_id(key): AESGCM(key) for key in keys}
        self._newest = _master_id(keys[-1])

    def wrap(self, plaintext: bytes, context: bytes) -> bytes:
        """Seal under the newest key: its id ‖ nonce ‖ ciphertext ‖ tag."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self._newest].encrypt(nonce, plaintext, self._newest + context)
        return self._newest + nonce + sealed

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Open with the key that sealed it."""
        key_id, rest = wrapped[:_MASTER_ID_BYTES], wrapped[_MASTER_ID_BYTES:]
        cipher = self._find(key_id)
        if cipher is None:
            raise Broken(
                f"A data key was sealed under master key {key_id.hex()}, which is not here. "
                "Restore home/secrets of this database from its backup."
            )
        try:
            return cipher.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], key_id + context)
        except (InvalidTag, ValueError) as error:
            raise Broken("A sealed data key was altered; restore it from a backup.") from error

    def _find(self, id: bytes) -> AESGCM | None:
        return self._ciphers.get(id)

    def rotate(self) -> str:
        """Refuse: who gave the keys adds the new one."""
        raise Malformed(
            "The master keys come from VENDRAIL_MASTER_KEY. Put a new key behind the old ones, "
            "parted by a comma, and start again: the last one seals, all of them open."
        )


class FileMasterKeys(HeldMasterKeys):
    """Master keys in a file that only its owner may read, made at first start."""

    def __init__(self, path: Path) -> None:
        self._path = path
        super().__init__(self._read())

    def _read(self) -> list[bytes]:
        def first() -> bytes:
            return _master_file([os.urandom(_KEY_BYTES)])

        file = decode(ensure_secret(self._path, first), _MasterFile)
        return [parse_secret(entry.key, f"{self._path}, key {entry.id},") for entry in file.keys]

    def _find(self, id: bytes) -> AESGCM | None:
        """Look again in the file for a key that another process may have added meanwhile."""
        if id not in self._ciphers:
            self._hold(self._read())
        return self._ciphers.get(id)

    def rotate(self) -> str:
        """Add a random key to the file; other processes find it when they first meet it."""
        with self._path.parent.joinpath(".master.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            keys = [*self._read(), os.urandom(_KEY_BYTES)]
            _write_aside(self._path, _master_file(keys)).replace(self._path)
            _sync_folder(self._path.parent)
        self._hold(keys)
        return self._newest.hex()


def _master_file(keys: list[bytes]) -> bytes:
    entries = [_MasterKey(_master_id(key).hex(), base64.b64encode(key).decode()) for key in keys]
    return encode(_MasterFile(entries)) + b"\n"


# The vault.


class DataKey:
    """A key that seals rows; only its id and sealed form are for the outside."""

    __slots__ = ("_cipher", "id", "sealed")

    def __init__(self, id: UUID, sealed: bytes, cipher: AESGCM) -> None:
        self.id = id
        self.sealed = sealed
        self._cipher = cipher

    def seal(self, bound_to: bytes, plaintext: bytes) -> bytes:
        """Give nonce ‖ ciphertext ‖ tag; use `Vault.seal`, which says what it is bound to."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plaintext, bound_to)

    def unseal(self, bound_to: bytes, sealed: bytes) -> bytes:
        """Give the plaintext, or `Broken` when a bit differs; use `Vault.unseal`."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound_to)
        except (InvalidTag, ValueError) as error:
            raise Broken("A sealed value was altered, or moved to another row.") from error


class Vault:
    """Seals and unseals rows, hashes what must be found again, derives secrets from ids."""

    def __init__(self, master: MasterKeys, hash_key: bytes) -> None:
        if len(hash_key) != _KEY_BYTES:
            raise Malformed("The hash key must be 32 random bytes.")
        self._master = master
        self._hash_key = hash_key
        self._purpose_keys: dict[str, bytes] = {}
        self._data_keys: OrderedDict[UUID, DataKey] = OrderedDict()

    @classmethod
    def open(cls, home: Path, environment: Mapping[str, str] | None = None) -> "Vault":
        """Open the vault of a home folder; keys come from the environment or from 0600 files.

        `VENDRAIL_MASTER_KEY` (one or more, parted by commas, the newest last) and
        `VENDRAIL_HASH_KEY` are for containers, whose folders do not last.
        """
        given = os.environ if environment is None else environment
        secrets = home / "secrets"
        hash_path = secrets / "hash.key"
        master_text = given.get("VENDRAIL_MASTER_KEY", "").strip()
        hash_text = given.get("VENDRAIL_HASH_KEY", "").strip()
        master: MasterKeys
        if master_text:
            if not hash_text and not hash_path.exists():
                raise Malformed(
                    "VENDRAIL_MASTER_KEY is set and VENDRAIL_HASH_KEY is not: a hash key made here "
                    "would be lost with the container. Make one with: openssl rand -base64 32"
                )
            keys = [parse_secret(part, "VENDRAIL_MASTER_KEY") for part in master_text.split(",")]
            master = HeldMasterKeys(keys)
        else:
            master = FileMasterKeys(secrets / "master.json")
        if hash_text:
            return cls(master, parse_secret(hash_text, "VENDRAIL_HASH_KEY"))
        return cls(master, parse_secret(ensure_secret(hash_path, new_secret), str(hash_path)))

    def new_data_key(self) -> DataKey:
        """Make a data key; store its id and sealed form before the first row it seals."""
        key_id = uuid4()
        plaintext = os.urandom(_KEY_BYTES)
        data_key = DataKey(key_id, self._wrap(key_id, plaintext), AESGCM(plaintext))
        self._remember(data_key)
        return data_key

    def known_data_key(self, id: UUID) -> DataKey | None:
        """Give a data key that was opened lately, if it is still in memory."""
        known = self._data_keys.get(id)
        if known is not None:
            self._data_keys.move_to_end(id)
        return known

    def load_data_key(self, id: UUID, sealed: bytes) -> DataKey:
        """Open a stored data key; kept in memory, so that a batch costs one opening."""
        known = self.known_data_key(id)
        if known is not None:
            return known
        data_key = DataKey(id, sealed, AESGCM(self._unwrap(sealed, id)))
        self._remember(data_key)
        return data_key

    def rotate_master(self) -> str:
        """Add a master key that seals from now on; give its name. Then `rewrap` what is stored."""
        return self._master.rotate()

    def rewrap(self, sealed: bytes) -> bytes:
        """Seal a stored data key anew, under the newest master key; rows stay as they are."""
        if len(sealed) < 17:
            raise Broken("A sealed data key was cut short; restore it from a backup.")
        key_id = UUID(bytes=sealed[1:17])
        return self._wrap(key_id, self._unwrap(sealed, key_id))

    def seal(self, data_key: DataKey, purpose: str, row_id: UUID, plaintext: bytes) -> bytes:
        """Seal a value: nonce ‖ ciphertext ‖ tag, bound to its purpose and row."""
        return data_key.seal(purpose.encode() + row_id.bytes, plaintext)

    def unseal(self, data_key: DataKey, purpose: str, row_id: UUID, sealed: bytes) -> bytes:
        """Unseal a value; `Broken` when it was altered or belongs to another row or purpose."""
        return data_key.unseal(purpose.encode() + row_id.bytes, sealed)

    def keyed_hash(self, purpose: str, data: bytes) -> bytes:
        """Hash to 32 bytes under the purpose's own key: findable, yet not guessable."""
        key = self._purpose_keys.get(purpose)
        if key is None:
            key = hmac.digest(self._hash_key, b"purpose:" + purpose.encode(), "sha256")
            self._purpose_keys[purpose] = key
        # Keyed BLAKE2b (RFC 7693): a MAC like HMAC-SHA256, at an eighth of its cost per call.
        return hashlib.blake2b(data, key=key, digest_size=32).digest()

    def token(self, purpose: str, data: bytes, length: int = _TOKEN_LENGTH_MIN) -> str:
        """Derive a secret from an id, always the same: base 32 in lower case, 130 bits or more."""
        if not _TOKEN_LENGTH_MIN <= length <= _TOKEN_LENGTH_MAX:
            raise Malformed(f"A token has {_TOKEN_LENGTH_MIN} to {_TOKEN_LENGTH_MAX} letters.")
        digest = self.keyed_hash(f"token:{purpose}", data)
        value = int.from_bytes(digest, "big") << 4  # 256 bits, and four to make whole pairs.
        shifts = range(250, 250 - 5 * length, -10)
        return "".join([_PAIRS[value >> shift & 1023] for shift in shifts])[:length]

    @cached_property
    def fingerprint(self) -> str:
        """Name the hash key without telling it: a restored copy is checked by it."""
        return hashlib.sha256(b"vendrail fingerprint" + self._hash_key).hexdigest()[:16]

    def _remember(self, data_key: DataKey) -> None:
        self._data_keys[data_key.id] = data_key
        if len(self._data_keys) > _DATA_KEYS_MAX:
            self._data_keys.popitem(last=False)

    def _wrap(self, id: UUID, plaintext: bytes) -> bytes:
        head = _FORM + id.bytes
        return head + self._master.wrap(plaintext, head)

    def _unwrap(self, sealed: bytes, id: UUID) -> bytes:
        head = _FORM + id.bytes
        if sealed[:17] != head:
            raise Broken("A sealed data key does not belong to its id; restore it from a backup.")
        return self._master.unwrap(sealed[17:], head)
