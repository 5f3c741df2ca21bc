"""`python -m bench.subjects`: the memory that a NATS server needs for each attachment that the cluster keeps.

Each attachment's chunk has a subject of its own, and servers hold all subjects of a stream in memory, so this
grows with everything ever sent, whatever its size. Small chunks through the engine's own code; memory at two
fill levels, so that what a server needs anyway drops out.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from axis.blobs.chunks import Chunks
from bench.measure import own_usage
from bench.nats import SERVERS, NatsCluster

__all__ = ["main"]

_BATCH: Final = 1000
_REST_SECONDS: Final = 5.0


async def _measure(folder: Path, count: int) -> dict[str, Any]:
    servers = NatsCluster(folder)
    servers.start_all()
    try:
        await servers.ready()
        cluster = await servers.connect("bench")
        chunks = Chunks(cluster, "blobs-bench")
        config = {
            "name": chunks.stream,
            "subjects": chunks.subjects,
            "storage": "file",
            "num_replicas": SERVERS,
        }
        await cluster.make_stream(
            config | {"max_msgs_per_subject": 1, "discard": "new", "retention": "limits"}
        )
        memory = []
        for half in range(2):
            await _fill(chunks, range(half * count // 2, (half + 1) * count // 2))
            await asyncio.sleep(_REST_SECONDS)  # for the servers' own collector
            memory.append([own_usage(servers.process(n).pid).rss_mib for n in range(1, SERVERS + 1)])
        await cluster.close()
    finally:
        servers.stop()
    grown = [second - first for first, second in zip(*memory, strict=True)]
    return {
        "chunks": count,
        "rss_mib": [[round(mib, 1) for mib in level] for level in memory],
        "bytes_per_chunk": [round(mib * 1024 * 1024 / (count // 2)) for mib in grown],
    }


async def _fill(chunks: Chunks, numbers: range) -> None:
    now = time.time_ns() // 1_000_000
    for start in range(numbers.start, numbers.stop, _BATCH):
        contents = [b"%d" % number for number in range(start, min(start + _BATCH, numbers.stop))]
        await chunks.publish_small([(hashlib.sha256(each).digest(), each) for each in contents], now)


def main() -> None:
    """The command line; one JSON value."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=40_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-subjects-") as folder:
        print(json.dumps(asyncio.run(_measure(Path(folder), asked.chunks))))


if __name__ == "__main__":
    main()
