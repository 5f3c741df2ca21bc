"""The state: what each record does to the facts, the unique keys and the feeds.

A pure function of the journal: replaying the frames gives the same facts, byte for byte, on every node.
What the facts are called and how they are read stands in `axis.core.lookup`; its names are public here too.

Records are not judged again here: what is in the journal has been decided (`axis.core.decide`), and the
audit recounts it. A record of a kind that this version does not know changes nothing.
"""

from __future__ import annotations

from axispb.v1 import journal_pb2

from axis.core.effects import EFFECTS, Step
from axis.core.facts import Changes, Facts, Overlay
from axis.core.frame import Frame
from axis.core.lookup import (
    FOUNDED_KEY,
    FactCertificates,
    accepted_key,
    alias_key,
    blob_key,
    certificate,
    certificate_by_serial,
    certificate_key,
    delivery,
    delivery_key,
    document,
    document_key,
    enrolled,
    enrolled_key,
    founded,
    host_of,
    late_key,
    levels_key,
    open_key,
    organisation_key,
    outcome,
    outcome_key,
    resolve,
    serial_key,
    token,
    token_key,
    unit,
    unit_key,
)

__all__ = [
    "FOUNDED_KEY",
    "FactCertificates",
    "accepted_key",
    "alias_key",
    "apply",
    "blob_key",
    "certificate",
    "certificate_by_serial",
    "certificate_key",
    "delivery",
    "delivery_key",
    "document",
    "document_key",
    "enrolled",
    "enrolled_key",
    "founded",
    "host_of",
    "late_key",
    "levels_key",
    "open_key",
    "organisation_key",
    "outcome",
    "outcome_key",
    "reduce",
    "resolve",
    "serial_key",
    "token",
    "token_key",
    "unit",
    "unit_key",
]


def apply(record: journal_pb2.Record, sequence: int, at: int, facts: Facts) -> Changes:
    """What one record changes, given the facts just before it. `at` is its frame's time."""
    step = Step(sequence, at, facts, Changes())
    body = record.WhichOneof("body")
    if body in EFFECTS:
        EFFECTS[body](getattr(record, body), step)
    return step.changes


def reduce(frame: Frame, facts: Facts) -> Changes:
    """What a frame changes, given the facts at its predecessor.

    ValueError if two of its records take the same key: a defect in the decisions, stopped here.
    """
    overlay = Overlay(facts)
    for sequence, raw in enumerate(frame.records, frame.first_sequence):
        record = journal_pb2.Record()
        record.ParseFromString(raw)
        changes = apply(record, sequence, frame.at, overlay)
        if taken := changes.keys.keys() & overlay.changes.keys.keys():
            raise ValueError(f"two records of one frame take {min(taken)}")
        overlay.apply(changes)
    return overlay.changes
