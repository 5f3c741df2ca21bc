"""The floor under a journey: its unavoidable work by itself, on the same machine, in the same run.

The same number of signatures, verifications, hashed bytes, durable commits, fsynced files and bytes over
loopback, spread over as many processes as there are cores, with nothing in between: no HTTP, no TLS, no
parsing, no waiting for one another. What share of it a journey reaches says how much the rest costs.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import socket
import sqlite3
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

__all__ = ["Work", "floor_seconds", "journey_work"]


@dataclass(frozen=True, slots=True)
class Work:
    """How much of each there is."""

    signatures: int
    verifications: int
    hashed_bytes: int
    commits: int
    synced_files: int
    file_bytes: int
    loopback_bytes: int


def journey_work(documents: int, deliveries: int, attachment_bytes: int, commits: int) -> Work:
    """What `documents` with `deliveries` in all cannot do without.

    Signed: the document, its acceptance, one receipt a delivery. Verified: by the axis the document and
    each receipt; by each receiver document and acceptance; by the sender its acceptance and each receipt.
    Hashed: the attachment by sender, axis and each receiver. Stored: the attachment in the same places.
    """
    copies = 2 * documents + deliveries
    return Work(
        signatures=2 * documents + deliveries,
        verifications=2 * documents + 4 * deliveries,
        hashed_bytes=copies * attachment_bytes,
        commits=commits,
        synced_files=copies,
        file_bytes=attachment_bytes,
        loopback_bytes=(documents * 2 + deliveries) * attachment_bytes,
    )


def floor_seconds(work: Work, folder: Path) -> float:
    """Do the work with every core and return how long it took (processes' start not counted)."""
    cores = os.cpu_count() or 1
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(cores + 1)
    share = _share(work, cores)
    workers = [context.Process(target=_do, args=(share, folder, barrier)) for _ in range(cores)]
    for worker in workers:
        worker.start()
    barrier.wait(60)
    started = time.perf_counter()
    for worker in workers:
        worker.join()
    return time.perf_counter() - started


def _share(work: Work, parts: int) -> Work:
    return Work(
        signatures=-(-work.signatures // parts),
        verifications=-(-work.verifications // parts),
        hashed_bytes=-(-work.hashed_bytes // parts),
        commits=-(-work.commits // parts),
        synced_files=-(-work.synced_files // parts),
        file_bytes=work.file_bytes,
        loopback_bytes=-(-work.loopback_bytes // parts),
    )


def _do(work: Work, folder: Path, barrier: threading.Barrier) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    algorithm = ec.ECDSA(hashes.SHA256())
    signature = key.sign(b"receipt", algorithm)
    public = key.public_key()
    with tempfile.TemporaryDirectory(dir=folder) as own:
        database = sqlite3.connect(Path(own) / "floor.sqlite", isolation_level=None)
        database.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE row (body BLOB)"
        )
        barrier.wait(60)
        for _ in range(work.signatures):
            key.sign(b"receipt", algorithm)
        for _ in range(work.verifications):
            public.verify(signature, b"receipt", algorithm)
        _hash(work.hashed_bytes)
        for _ in range(work.commits):
            database.execute("INSERT INTO row VALUES (zeroblob(2000))")
        _store(work.synced_files, work.file_bytes, Path(own))
        _send(work.loopback_bytes)
        database.close()


def _hash(count: int) -> None:
    block = bytes(64 * 1024)
    digest = hashlib.sha256()
    for _ in range(0, count, len(block)):
        digest.update(block)


def _store(files: int, size: int, folder: Path) -> None:
    body = bytes(size)
    for _ in range(files):
        with (folder / "blob").open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())


def _send(count: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        reader = threading.Thread(target=_read_all, args=(server,))
        reader.start()
        with socket.create_connection(server.getsockname()) as connection:
            block = bytes(64 * 1024)
            for _ in range(0, count, len(block)):
                connection.sendall(block)
        reader.join()


def _read_all(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        while connection.recv(256 * 1024):
            pass
