"""PostgreSQL's settings, fitted to the machine it runs on; durability is never traded away."""

import os
from dataclasses import dataclass
from pathlib import Path

import psutil

MB = 1024 * 1024
GB = 1024 * MB
DSM_BYTES_MIN = 256 * MB  # Containers often get 64 MB of /dev/shm, which one parallel query fills.


@dataclass(frozen=True, slots=True)
class Machine:
    """What the settings depend on."""

    memory_bytes: int
    disk_free_bytes: int
    shm_bytes: int
    has_lz4: bool


def _memory_limit_bytes() -> int:
    """The memory we may use: the machine's, or our control group's if that is less."""
    limits = [psutil.virtual_memory().total]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            text = (Path("/sys/fs/cgroup") / name).read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            limits.append(int(text))
    return min(limits)


def shm_bytes(folder: Path = Path("/dev/shm")) -> int:  # noqa: S108
    """The size of the shared memory file system; 0 where it is missing or not ours to write."""
    if not os.access(folder, os.W_OK):
        return 0
    try:
        found = os.statvfs(folder)
    except OSError:
        return 0
    return found.f_blocks * found.f_frsize


def measure_machine(data_dir: Path, *, has_lz4: bool) -> Machine:
    """Look at the machine as it is now."""
    disk = os.statvfs(data_dir)
    return Machine(
        memory_bytes=_memory_limit_bytes(),
        disk_free_bytes=disk.f_bavail * disk.f_frsize,
        shm_bytes=shm_bytes(),
        has_lz4=has_lz4,
    )


def _between(least: int, wanted: int, most: int) -> int:
    return max(least, min(wanted, most))


def _mb(size: int) -> str:
    return f"{size // MB}MB"


def fit(machine: Machine) -> dict[str, str]:
    """Give the settings for this machine, which the application shares with the server."""
    memory = machine.memory_bytes
    wal_bytes = _between(256 * MB, min(memory // 4, machine.disk_free_bytes // 4), 8 * GB)
    return {
        # What is acknowledged is on the disk. Always.
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        # Memory.
        "shared_buffers": _mb(_between(64 * MB, memory // 8, 4 * GB)),
        "effective_cache_size": _mb(_between(128 * MB, memory // 2, 64 * GB)),
        "work_mem": _mb(_between(4 * MB, memory // 512, 32 * MB)),
        "maintenance_work_mem": _mb(_between(32 * MB, memory // 32, GB)),
        "dynamic_shared_memory_type": "posix" if machine.shm_bytes >= DSM_BYTES_MIN else "mmap",
        "shared_memory_type": "mmap",
        # Fewer checkpoints: each makes every page travel whole through the log once more.
        "max_wal_size": _mb(wal_bytes),
        "min_wal_size": _mb(max(80 * MB, wal_bytes // 4)),
        "wal_buffers": _mb(_between(4 * MB, memory // 256, 64 * MB)),
        "wal_compression": "lz4" if machine.has_lz4 else "off",
        "checkpoint_timeout": "15min",
        "checkpoint_completion_target": "0.9",
        # Planner and upkeep.
        "random_page_cost": "1.1",
        "jit": "off",
        "autovacuum_vacuum_scale_factor": "0.05",
        "autovacuum_analyze_scale_factor": "0.05",
        "autovacuum_vacuum_insert_scale_factor": "0.1",
        "autovacuum_vacuum_cost_limit": "1000",
        # Limits.
        "max_connections": "100",
        "tcp_keepalives_idle": "60",
        # What is shown: durations and plans, never the values of parameters.
        "shared_preload_libraries": "pg_stat_statements",
        "log_min_duration_statement": "2s",
        "log_parameter_max_length": "0",
        "log_parameter_max_length_on_error": "0",
        "log_min_error_statement": "panic",
        "log_error_verbosity": "terse",
        "log_lock_waits": "on",
        "log_checkpoints": "off",
        "logging_collector": "on",
        "log_filename": "postgresql-%a.log",  # A week, then over again.
        "log_truncate_on_rotation": "on",
        "log_rotation_age": "1d",
        "log_rotation_size": "0",
        "log_line_prefix": "%m %p %a ",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "lc_messages": "C",
    }
