"""What the kernel says of running processes: CPU time, peak memory; and what folders take on disk."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Usage", "disk_bytes", "own_usage", "reset_peak"]

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
