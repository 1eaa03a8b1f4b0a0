"""PostgreSQL refuses to run as root; so where we are root, it runs as somebody who may do less.

That is the account `vendrail` if the machine has one, else `nobody`; or whoever owns the data
already. Where a folder on the way is closed to that account, as root's home is, it keeps one
capability, to pass through closed folders, rather than us opening folders that are not ours.
"""

import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from vendrail.kernel.errors import Unavailable

_PREFERRED = ("vendrail", "nobody")
_CAPABILITIES = {"dac_override": 1, "dac_read_search": 2}


@dataclass(frozen=True, slots=True)
class Account:
    """Whom the server runs as; `capability` is empty unless it must pass closed folders."""

    uid: int
    gid: int
    capability: str = ""

    def command(self, *words: str | Path) -> list[str]:
        """Give the command as this account runs it."""
        plain = [str(word) for word in words]
        if self.uid == os.geteuid():
            return plain
        setpriv = shutil.which("setpriv", path="/usr/bin:/bin:/usr/sbin:/sbin")
        if setpriv is None:
            raise Unavailable(
                "PostgreSQL does not run as root, and `setpriv` is missing to run it as another."
                " Install util-linux, or run Vendrail as an ordinary user."
            )
        drop = [setpriv, f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"]
        if not self.capability:
            return [*drop, "--inh-caps=-all", "--no-new-privs", "--", *plain]
        keep = f"-all,+{self.capability}"
        return [
            *drop,
            f"--inh-caps={keep}",
            f"--ambient-caps=+{self.capability}",
            f"--bounding-set={keep}",
            "--securebits=+no_setuid_fixup",  # Else access(2) answers as if it had none.
            "--no-new-privs",
            "--",
            *plain,
        ]


def _capabilities() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def _is_open(path: Path, uid: int, wanted: int) -> bool:
    """Whether the account has the wanted bits (of rwx) on this very file or folder."""
    found = path.stat()
    mode = found.st_mode >> 6 if found.st_uid == uid else found.st_mode
    return mode & wanted == wanted


def _capability_needed(uid: int, data_dir: Path, program: Path) -> str:
    folders = {*data_dir.resolve().parents, *program.resolve().parents}
    is_program_open = _is_open(program, uid, stat.S_IROTH | stat.S_IXOTH)
    if is_program_open and all(_is_open(folder, uid, stat.S_IXOTH) for folder in folders):
        return ""
    held = _capabilities()
    for name in ("dac_read_search", "dac_override"):
        is_enough = is_program_open or name == "dac_override"
        if is_enough and held >> _CAPABILITIES[name] & 1:
            return name
    closed = [str(folder) for folder in sorted(folders) if not _is_open(folder, uid, stat.S_IXOTH)]
    raise Unavailable(
        f"PostgreSQL does not run as root, and other accounts may not enter {', '.join(closed)}."
        " Run Vendrail as an ordinary user, or move it to a folder that others may enter."
    )


def choose_account(data_dir: Path, cluster: Path, program: Path) -> Account:
    """Decide whom the server runs as; the owner of existing data stays its owner."""
    owner = cluster.stat().st_uid if cluster.exists() else None
    us = os.geteuid()
    if us != 0:
        if owner not in (None, us):
            raise Unavailable(
                f"The data in {cluster} belongs to user {owner}, and this is user {us}."
                f" Run Vendrail as that user, or give the data away: chown -R {us} {data_dir}"
            )
        return Account(us, os.getegid())
    if not _capabilities() >> _CAPABILITIES["dac_override"] & 1:
        raise Unavailable(
            "This root may not enter other accounts' folders (CAP_DAC_OVERRIDE was taken away), and"
            " PostgreSQL does not run as root. Run Vendrail as an ordinary user."
        )
    if owner:
        uid, gid = owner, cluster.stat().st_gid
    else:
        uid, gid = _preferred_account()
    return Account(uid, gid, _capability_needed(uid, data_dir, program))


def _preferred_account() -> tuple[int, int]:
    for name in _PREFERRED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise Unavailable(
        "PostgreSQL does not run as root, and this machine has no account `vendrail` or `nobody`."
        " Make one: useradd --system vendrail"
    )
