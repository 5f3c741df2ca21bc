"""What the kernel says of running processes: CPU time, peak memory, writes; and what folders take on disk."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from axis.readonly import open_readonly

__all__ = ["Usage", "disk_bytes", "file_bytes", "own_usage", "percentiles", "reset_peak", "written_bytes"]

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """Of one process, without its children."""

    cpu_seconds: float
    peak_rss_mib: float
    rss_mib: float


def own_usage(pid: int) -> Usage:
    """CPU seconds so far; peak (since `reset_peak`) and present resident memory."""
    # Fields 14 and 15 of stat; the name in parentheses may hold spaces.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
    )
    return Usage(
        (int(fields[11]) + int(fields[12])) / _TICKS,
        int(status["VmHWM"].split()[0]) / 1024,
        int(status["VmRSS"].split()[0]) / 1024,
    )


def reset_peak(pid: int) -> None:
    """Let the kernel forget a process's peak (proc(5), clear_refs 5)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def disk_bytes(folder: Path) -> int:
    """Bytes allocated by everything below a folder."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*"))


def written_bytes(pid: int) -> int:
    """Bytes that a process has caused to be written to disks (proc(5), io); 0 on a tmpfs."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return next(int(line.partition(":")[2]) for line in lines if line.startswith("write_bytes:"))


def file_bytes(path: Path) -> int:
    """The length of a file. Of a SQLite file, beside its writer: its used pages once the WAL is folded in.

    0 for what only accompanies a SQLite file (`-wal`, `-shm`), and for what is no file (any more).
    """
    if path.name.endswith(("-wal", "-shm")) or not path.is_file():
        return 0
    if path.suffix != ".sqlite":
        with suppress(FileNotFoundError):  # removed meanwhile
            return path.stat().st_size
        return 0
    with closing(open_readonly(path, timeout=10)) as file:
        pages, free, size = (
            file.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
    return int((pages - free) * size)


def percentiles(milliseconds: Sequence[float]) -> dict[str, float]:
    """{"p50", "p95", "max"} of some times."""
    ordered = sorted(milliseconds)
    at = {
        name: ordered[min(len(ordered) - 1, int(part * len(ordered)))]
        for name, part in (("p50", 0.5), ("p95", 0.95))
    }
    return {name: round(value, 2) for name, value in (at | {"max": ordered[-1]}).items()}
