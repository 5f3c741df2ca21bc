"""`python -m bench.edxml`: reading and writing edXML packets, throughput and memory.

Each case runs in a process of its own, so that its peak memory is its own: packets of about 10 KB, 400 KB and
50 MB with one attachment, read in pieces as they would come over the wire, written as they would be sent.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from axispb.v1 import document_pb2

from agencies.edxml.packet import Attachment
from agencies.edxml.reader import read_packet
from agencies.edxml.writer import (
    ATTACHMENT_END,
    DOCUMENT_END,
    ContentWriter,
    attachment_start,
    document_start,
)

__all__ = ["main"]

#: Bytes of the attachment → how often the packet is read and written.
CASES: Final = {5_000: 400, 300_000: 40, 37_500_000: 2}
_PIECE: Final = 256 * 1024


def _packet(size: int) -> Iterator[bytes]:
    """A packet with one attachment of so many random bytes, in pieces."""
    fields = document_pb2.Fields(
        issuer_document_id="000.00.00.G22,2020/07/20,5816/VPCP-KSTT",
        code_number="5816",
        code_notation="VPCP-KSTT",
        subject="V/v kết nối, liên thông gửi nhận văn bản điện tử",
        to=[document_pb2.Contact(organ_id=f"H{n:02}", organ_name="Ủy ban nhân dân tỉnh") for n in range(3)],
    )
    attachment = Attachment("cong-van.pdf", "application/pdf", "", "cid:1", size, b"")
    yield document_start(fields, "G22", [contact.organ_id for contact in fields.to], [attachment], {})
    yield attachment_start(1, attachment)
    encoder, block = ContentWriter(), os.urandom(min(size, _PIECE))
    for start in range(0, size, len(block)):
        yield encoder.feed(block[: min(len(block), size - start)])
    yield encoder.finish() + ATTACHMENT_END
    yield DOCUMENT_END


def _read(chunks: Iterable[bytes]) -> int:
    files: list[BinaryIO] = []

    def scratch() -> BinaryIO:
        files.append(cast(BinaryIO, tempfile.TemporaryFile()))  # noqa: SIM115 - closed below
        return files[-1]

    _, contents = read_packet(chunks, scratch)
    size = sum(len(piece) for content in contents for piece in content)
    for file in files:
        file.close()
    return size


def _peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _case(action: str, size: int, times: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="edxml-bench-") as folder:
        path = Path(folder) / "packet.edxml"
        with path.open("wb") as file:
            for piece in _packet(size):
                file.write(piece)
        before, started = _peak_kib(), time.perf_counter()
        for _ in range(times):
            if action == "read":
                with path.open("rb") as file:
                    assert _read(iter(lambda: file.read(_PIECE), b"")) == size
            else:
                assert sum(map(len, _packet(size))) == path.stat().st_size
        seconds = (time.perf_counter() - started) / times
        packet = path.stat().st_size
    return {
        "action": action,
        "packet_bytes": packet,
        "ms": round(1000 * seconds, 2),
        "mb_per_second": round(packet / seconds / 1e6, 1),
        "extra_peak_mib": round((_peak_kib() - before) / 1024, 1),
    }


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--case", nargs=3, metavar=("ACTION", "BYTES", "TIMES"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        action, size, times = arguments.case
        print(json.dumps(_case(action, int(size), int(times))))
        return 0
    results = []
    for size, times in CASES.items():
        for action in ("read", "write"):
            command = [sys.executable, "-m", "bench.edxml", "--case", action, str(size), str(times)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            results.append(json.loads(done.stdout))
            if not arguments.json:
                print(
                    "edXML {action:5} {packet_bytes:>10,} bytes: {ms:>8} ms, {mb_per_second:>6} MB/s,"
                    " {extra_peak_mib} MiB extra".format(**results[-1]),
                    flush=True,
                )
    if arguments.json:
        print(json.dumps({"edxml": results}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
