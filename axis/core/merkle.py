"""The tree head over the journal's records, kept while records come (RFC 9162, section 2.1.1).

Of a tree of n leaves only the *peaks* are kept: the roots of the perfect subtrees that n's binary digits
stand for, largest first. They suffice to add a leaf and to give the root; proofs are not made here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

__all__ = ["append_leaf", "leaf_hash", "root", "root_of"]

# The prefixes keep a leaf from ever being taken for an inner node (RFC 9162, section 2.1.1).
_LEAF = b"\x00"
_NODE = b"\x01"


def leaf_hash(record: bytes) -> bytes:
    """The hash of one leaf: a record's serialised bytes."""
    return hashlib.sha256(_LEAF + record).digest()


def append_leaf(peaks: Sequence[bytes], size: int, leaf: bytes) -> tuple[bytes, ...]:
    """The peaks of the tree of `size` + 1 leaves, given those of `size` leaves and the new leaf's hash."""
    _check(peaks, size)
    kept = list(peaks)
    node = leaf
    # Each trailing one of `size` is a perfect subtree as large as the one just completed: they join.
    while size & 1:
        node = _join(kept.pop(), node)
        size >>= 1
    return (*kept, node)


def root(peaks: Sequence[bytes], size: int) -> bytes:
    """The tree head of `size` leaves; of none, the SHA-256 of nothing."""
    _check(peaks, size)
    if not peaks:
        return hashlib.sha256(b"").digest()
    head = peaks[-1]
    for peak in reversed(peaks[:-1]):
        head = _join(peak, head)
    return head


def root_of(records: Iterable[bytes]) -> bytes:
    """The tree head over these records, which may be a stream."""
    peaks: tuple[bytes, ...] = ()
    size = 0
    for record in records:
        peaks = append_leaf(peaks, size, leaf_hash(record))
        size += 1
    return root(peaks, size)


def _join(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(_NODE + left + right).digest()


def _check(peaks: Sequence[bytes], size: int) -> None:
    if size < 0 or len(peaks) != size.bit_count():
        raise ValueError(f"{len(peaks)} peaks do not make a tree of {size} leaves")
