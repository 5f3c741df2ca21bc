"""The incremental tree against RFC 9162's recursive definition."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axis.core import merkle


def recursive(records: list[bytes]) -> bytes:
    """MTH(D[n]) as RFC 9162, section 2.1.1, writes it down."""
    n = len(records)
    if n == 0:
        return hashlib.sha256(b"").digest()
    if n == 1:
        return hashlib.sha256(b"\x00" + records[0]).digest()
    k = 1
    while k * 2 < n:
        k *= 2
    return hashlib.sha256(b"\x01" + recursive(records[:k]) + recursive(records[k:])).digest()


@given(st.lists(st.binary(max_size=40), max_size=70))
def test_equals_the_recursive_definition(records: list[bytes]) -> None:
    assert merkle.root_of(records) == recursive(records)


def test_every_size_up_to_two_levels_of_bytes() -> None:
    records = [bytes([n % 256, n // 256]) for n in range(260)]
    peaks: tuple[bytes, ...] = ()
    for size, record in enumerate(records):
        assert len(peaks) == size.bit_count()
        assert merkle.root(peaks, size) == recursive(records[:size])
        peaks = merkle.append_leaf(peaks, size, merkle.leaf_hash(record))


def test_known_vectors() -> None:
    # The empty tree and the tree of one empty leaf, as published with Certificate Transparency.
    assert merkle.root((), 0).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert merkle.root_of([b""]).hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"


@pytest.mark.parametrize(("peaks", "size"), [((), 1), ((bytes(32),), 0), ((bytes(32),), 3), ((), -1)])
def test_peaks_that_do_not_fit_the_size_are_refused(peaks: tuple[bytes, ...], size: int) -> None:
    with pytest.raises(ValueError, match="peaks do not make a tree"):
        merkle.root(peaks, size)
    with pytest.raises(ValueError, match="peaks do not make a tree"):
        merkle.append_leaf(peaks, size, bytes(32))
