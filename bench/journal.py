"""Appends a second: one node on SQLite, and two nodes on three NATS servers, in the same run.

Each node is a process with a sequencer of its own and keeps 512 commands waiting, as busy ingress does; a
command is one record of about 600 bytes, decided, appended and answered when it is durable. The last line is
JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from axis import logs
from axis.app.home import SystemClock
from axis.core import state
from axis.core.decide import NoteRejected
from axis.flow.sequencer import Sequencer
from axis.jetstream import JetStream, cluster_tls, servers_of
from axis.journal.jetstream import JetStreamJournal
from axis.journal.seeding import seed
from axis.journal.sqlite import SqliteJournal
from axis.ports import Journal
from bench.nats import NatsCluster

__all__ = ["main"]

_WAITING: Final = 512
_DETAIL: Final = "x" * 500
_JOURNAL_ID: Final = "bench"
_PERCENTILES: Final = (50, 99)


def main() -> None:
    """Run the measurement, or one node of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--node", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--servers", default="", help=argparse.SUPPRESS)
    parser.add_argument("--keys", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    logs.configure(json=False, level=logging.WARNING)
    if asked.node is not None:
        print(json.dumps(asyncio.run(_node(asked.node, asked.servers, asked.keys, asked.seconds))))
        return
    with tempfile.TemporaryDirectory(prefix="bench-journal-") as folder:
        report = asyncio.run(_measure(Path(folder), asked.seconds, asked.nodes))
    print(json.dumps(report))


async def _measure(folder: Path, seconds: float, nodes: int) -> dict[str, Any]:
    print(f"SQLite, one node, {seconds:.0f} s", file=sys.stderr)
    sqlite = await _nodes(folder / "sqlite", 1, seconds)
    print(f"JetStream, three servers, {nodes} nodes, {seconds:.0f} s", file=sys.stderr)
    servers = NatsCluster(folder / "nats")
    servers.start_all()
    try:
        await servers.ready()
        file = SqliteJournal.open(folder / "seed.sqlite", journal_id=_JOURNAL_ID)
        cluster = await servers.connect()
        await seed(file, cluster)
        await cluster.close()
        await file.close()
        more = ("--servers", servers.url, "--keys", str(servers.keys))
        jetstream = await _nodes(folder / "jetstream", nodes, seconds, *more)
    finally:
        servers.stop()
    ratio = round(jetstream["appends_per_second"] / sqlite["appends_per_second"], 2)
    return {"sqlite": sqlite, "jetstream": jetstream, "jetstream_to_sqlite": ratio}


async def _nodes(folder: Path, count: int, seconds: float, *more: str) -> dict[str, Any]:
    """Run nodes side by side and add up what they say."""
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "bench.journal", "--seconds", str(seconds), *more]
    processes = [
        await asyncio.create_subprocess_exec(
            *command, "--node", str(folder / f"{number}.sqlite"), stdout=asyncio.subprocess.PIPE
        )
        for number in range(count)
    ]
    answers = [await process.communicate() for process in processes]
    if any(process.returncode for process in processes):
        raise SystemExit("a node failed")
    found = [json.loads(out.splitlines()[-1]) for out, _ in answers]
    return {
        "nodes": count,
        "appends_per_second": round(sum(each["appends"] / each["seconds"] for each in found)),
        "frames_per_second": round(sum(each["frames"] / each["seconds"] for each in found)),
        "each_node": [round(each["appends"] / each["seconds"]) for each in found],
        "p50_ms": max(each["p50_ms"] for each in found),
        "p99_ms": max(each["p99_ms"] for each in found),
        "cpu_seconds": round(sum(each["cpu_seconds"] for each in found), 1),
    }


async def _node(path: Path, url: str, keys: Path, seconds: float) -> dict[str, Any]:
    file = SqliteJournal.open(path, journal_id=_JOURNAL_ID)
    journal: Journal = file
    cluster: JetStream | None = None
    if url:
        servers = servers_of(url)
        cluster = await JetStream.connect(servers, cluster_tls(keys, servers), name=path.stem)
        journal = await JetStreamJournal.open(file, cluster, state.reduce)
    counted = _Counted()
    sequencer = Sequencer(journal, SystemClock(), lambda signed: b"", metrics=counted)
    running = asyncio.create_task(sequencer.run())
    began = time.monotonic()
    took: list[float] = []
    await asyncio.gather(*(_submit(sequencer, began + seconds, took) for _ in range(_WAITING)))
    elapsed = time.monotonic() - began
    sequencer.drain()
    await running
    await journal.close()
    if cluster is not None:
        await cluster.close()
    took.sort()
    p50, p99 = (round(took[len(took) * percent // 100] * 1000, 1) for percent in _PERCENTILES)
    return {
        "appends": len(took),
        "frames": counted.frames,
        "seconds": elapsed,
        "p50_ms": p50,
        "p99_ms": p99,
        "cpu_seconds": time.process_time(),
    }


class _Counted:
    """Metrics: how many frames this node appended itself."""

    def __init__(self) -> None:
        self.frames = 0

    def appended(self, seconds: float, records: int, sequence: int) -> None:
        """Count."""
        self.frames += 1


async def _submit(sequencer: Sequencer, until: float, took: list[float]) -> None:
    while (began := time.monotonic()) < until:
        await sequencer.submit(
            NoteRejected(
                organisation="G22",
                code="id_reused",
                bytes_sha256=os.urandom(32),
                document_id="",
                detail=_DETAIL,
                count=1,
            )
        )
        took.append(time.monotonic() - began)


if __name__ == "__main__":
    main()
