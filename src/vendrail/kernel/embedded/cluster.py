"""PostgreSQL's own files: made whole or not at all, of one major version, under one password."""

import base64
import contextlib
import hashlib
import hmac
import os
import re
import secrets
import shutil
import subprocess
from functools import cache
from pathlib import Path

from vendrail.kernel.embedded.folder import DataFolder, program
from vendrail.kernel.embedded.tuning import MB
from vendrail.kernel.errors import Unavailable

OWNER = "vendrail"  # The role that owns everything, and the database.
FREE_BYTES_MIN = 200 * MB


@cache
def _version_major() -> int:
    told = subprocess.run([program("postgres"), "-V"], capture_output=True, text=True, check=True)
    return int(re.findall(r"\d+", told.stdout)[0])


def make_cluster(folder: DataFolder, *, is_synced: bool) -> None:
    """Make the files beside their place and move them there whole; half a cluster never counts."""
    free = shutil.disk_usage(folder.path).free
    if free < FREE_BYTES_MIN:
        raise Unavailable(
            f"Only {free // MB} MB are free in {folder.path}; a new database needs"
            f" {FREE_BYTES_MIN // MB} MB. Make room (df -h {folder.path}),"
            " or set VENDRAIL_HOME to a larger disk."
        )
    fresh = folder.path / "cluster.new"
    shutil.rmtree(fresh, ignore_errors=True)
    folder.make_theirs(fresh, folder.account)
    verifier = folder.path / "verifier"
    verifier.write_text(_renew_password_file(folder) + "\n")
    os.chown(verifier, folder.account.uid, folder.account.gid)
    verifier.chmod(0o600)
    result = folder.run(
        "initdb",
        *("-D", fresh, "-U", OWNER, "--pwfile", verifier),
        *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--data-checksums"),
        *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        *(() if is_synced else ("--no-sync",)),
    )
    verifier.unlink()
    if result.returncode:
        shutil.rmtree(fresh, ignore_errors=True)
        raise folder.fail("A new database could not be made", result.stdout)
    _run_single(folder, fresh, f"create database {OWNER};")
    fresh.rename(folder.cluster)


def check_version(folder: DataFolder) -> None:
    """Refuse, untouched, what another major version has made."""
    made = (folder.cluster / "PG_VERSION").read_text().strip()
    ours = _version_major()
    if made != str(ours):
        raise Unavailable(
            f"The data in {folder.cluster} was made by PostgreSQL {made}; this Vendrail brings"
            f" {ours}. Nothing was touched. Either run `vendrail backup` with the release that made"
            " it and `vendrail restore` with this one into a new folder, or run a PostgreSQL"
            f" {made} of your own on it and name it in VENDRAIL_DATABASE_URL."
        )


def renew_password(folder: DataFolder) -> None:
    """Give the owner a new password, while the server does not run."""
    verifier = _renew_password_file(folder)
    _run_single(folder, folder.cluster, f"alter role {OWNER} password '{verifier}';")


def _renew_password_file(folder: DataFolder) -> str:
    """Make a new password, keep it where only we can read it, and give its verifier."""
    password = secrets.token_urlsafe(32)
    with contextlib.suppress(FileNotFoundError):
        folder.password_file.unlink()
    handle = os.open(folder.password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(password + "\n")
    return _verifier(password)


def _verifier(password: str) -> str:
    """Give what PostgreSQL stores in place of the password (SCRAM, RFC 5803).

    One round is enough, and quick: the password is 256 random bits, so guessing is hopeless.
    """
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 1)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt64, stored64, server64 = (
        base64.b64encode(part).decode() for part in (salt, stored, server)
    )
    return f"SCRAM-SHA-256$1:{salt64}${stored64}:{server64}"


def _run_single(folder: DataFolder, cluster: Path, statement: str) -> None:
    """Run a statement without a running server."""
    result = folder.run("postgres", "--single", "-D", cluster, "template1", stdin=statement + "\n")
    if result.returncode or "ERROR:" in result.stdout or "FATAL:" in result.stdout:
        raise folder.fail("The database could not be prepared", result.stdout)
