"""Which attachments a journal names: they must be kept, and a copy of the home must have them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

from axispb.v1 import document_pb2, journal_pb2

from axis.core.envelope import Kind, parse
from axis.ports import Journal

__all__ = ["named_blobs"]


def named_blobs(
    journal: Journal, wanted: Callable[[bytes], bool] = lambda _sha256: True
) -> Iterator[tuple[bytes, int]]:
    """(SHA-256, size) of every blob that an accepted document names and that is `wanted`, each once.

    In the order in which they came to be named. `wanted` is asked first: a size costs a look at the record.
    """
    after, known, sizes = 0, -1, dict[bytes, int]()
    while page := journal.facts("blob/", after):
        for key, value, sequence in page:
            after = sequence
            sha256 = bytes.fromhex(key.removeprefix("blob/"))
            if not value or not wanted(sha256):
                continue
            if sequence != known:
                known, sizes = sequence, _sizes(journal, sequence)
            yield sha256, sizes[sha256]


def _sizes(journal: Journal, sequence: int) -> dict[bytes, int]:
    """Of the attachments of the document that the record at `sequence` accepted."""
    stored = journal.record(sequence)
    if stored is None:
        raise LookupError(f"record {sequence} is not there")
    signed = journal_pb2.Record.FromString(stored.raw).accepted.envelope.signed
    document = cast(document_pb2.Document, parse(signed, Kind.DOCUMENT))
    return {attachment.sha256: attachment.size for attachment in document.attachments}
