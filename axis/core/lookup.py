"""Reading the facts: their keys, and what each holds. `axis.core.state` writes them.

Keys name things by primary code, document id or lower-case hex. An empty value means that there is nothing
any more: facts are overwritten, never deleted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from axispb.v1 import facts_pb2, journal_pb2
from google.protobuf.message import Message

from axis.core.facts import Facts
from axis.core.organisation import MAX_LEVELS

__all__ = [
    "FOUNDED_KEY",
    "FactCertificates",
    "accepted_key",
    "alias_key",
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
    "levels_below",
    "levels_key",
    "nearest_host",
    "open_key",
    "organisation_key",
    "outcome",
    "outcome_key",
    "registered_by",
    "registered_key",
    "resolve",
    "serial_key",
    "token",
    "token_key",
    "unit",
    "unit_key",
]

FOUNDED_KEY: Final = "founded"


def unit_key(code: str) -> str:
    """unit/<primary code> → UnitFact."""
    return f"unit/{code}"


def alias_key(code: str) -> str:
    """alias/<any code> → AliasFact; primary codes are aliases of themselves."""
    return f"alias/{code}"


def certificate_key(sha256: bytes) -> str:
    """certificate/<hex SHA-256 of the DER> → CertificateFact."""
    return f"certificate/{sha256.hex()}"


def serial_key(serial: str) -> str:
    """serial/<serial> → the certificate's SHA-256 in hex; also a unique key."""
    return f"serial/{serial}"


def token_key(secret_sha256: bytes) -> str:
    """token/<hex SHA-256 of the secret> → TokenFact."""
    return f"token/{secret_sha256.hex()}"


def enrolled_key(secret_sha256: bytes) -> str:
    """enrolled/<hex SHA-256 of the secret> → EnrolledFact; also a unique key."""
    return f"enrolled/{secret_sha256.hex()}"


def document_key(document_id: str) -> str:
    """document/<id> → DocumentFact; statuses too."""
    return f"document/{document_id}"


def delivery_key(document_id: str, unit_code: str) -> str:
    """delivery/<document id>/<unit> → DeliveryFact."""
    return f"delivery/{document_id}/{unit_code}"


def organisation_key(code: str) -> str:
    """organisation/<code> → b"1": it held a certificate before it was registered (again)."""
    return f"organisation/{code}"


def registered_key(organisation: str) -> str:
    """registered-by/<organisation> → how many units it has registered by itself, in decimal digits."""
    return f"registered-by/{organisation}"


def levels_key(code: str) -> str:
    """levels-below/<unit> → on how many levels units ever stood below it, in decimal digits."""
    return f"levels-below/{code}"


def open_key(opened_at: int, document_id: str, unit_code: str) -> str:
    """delivery-open/<13 digits>/<document id>/<unit> → b"1" while that attempt is in flight, else b"".

    Prefixes of the digits find the attempts of a span of time.
    """
    return f"delivery-open/{opened_at:013d}/{document_id}/{unit_code}"


def blob_key(sha256: bytes) -> str:
    """blob/<hex SHA-256> → the id of the first accepted document that names it: it must be kept."""
    return f"blob/{sha256.hex()}"


def accepted_key(document_id: str) -> str:
    """Unique: a document id is accepted once."""
    return f"accepted/{document_id}"


def outcome_key(document_id: str, unit_code: str, attempt: int) -> str:
    """outcome/<document id>/<unit>/<attempt> → OutcomeFact; also a unique key: one outcome an attempt."""
    return f"outcome/{document_id}/{unit_code}/{attempt}"


def late_key(document_id: str, unit_code: str, attempt: int) -> str:
    """Unique: one late receipt is kept for each attempt."""
    return f"late/{document_id}/{unit_code}/{attempt}"


_Fact = TypeVar("_Fact", bound=Message)


def _read(facts: Facts, key: str, kind: type[_Fact]) -> _Fact | None:
    raw = facts.get(key)
    if not raw:
        return None
    fact = kind()
    fact.ParseFromString(raw)
    return fact


def founded(facts: Facts) -> journal_pb2.Founded | None:
    """Which axis this is; None before the first record."""
    return _read(facts, FOUNDED_KEY, journal_pb2.Founded)


def unit(facts: Facts, code: str) -> facts_pb2.UnitFact | None:
    """A unit by its primary code."""
    return _read(facts, unit_key(code), facts_pb2.UnitFact)


def resolve(facts: Facts, any_code: str) -> str | None:
    """The primary code of the unit that has this code, now or of old; None if no unit has."""
    alias = _read(facts, alias_key(any_code), facts_pb2.AliasFact)
    return alias.code if alias else None


def host_of(facts: Facts, unit_code: str) -> str:
    """Whose node takes a unit's documents, by the facts."""
    return nearest_host(unit_code, lambda code: unit(facts, code))


def nearest_host(unit_code: str, read: Callable[[str], facts_pb2.UnitFact | None]) -> str:
    """The nearest of a unit and its ancestors that has enrolled, within MAX_LEVELS.

    With none it is its own host: its documents wait for its enrolment.
    """
    code = unit_code
    for _ in range(MAX_LEVELS):
        fact = read(code)
        if fact is None:
            break
        if fact.enrolled:
            return code
        code = fact.parent
    return unit_code


def registered_by(facts: Facts, organisation: str) -> int:
    """How many units an organisation has registered by itself."""
    return int(facts.get(registered_key(organisation)) or b"0")


def levels_below(facts: Facts, code: str) -> int:
    """On how many levels units stand below a unit, at most: those that have left it still count."""
    return int(facts.get(levels_key(code)) or b"0")


def certificate(facts: Facts, sha256: bytes) -> facts_pb2.CertificateFact | None:
    """A certificate that was ever counted, by the SHA-256 of its DER."""
    return _read(facts, certificate_key(sha256), facts_pb2.CertificateFact)


def certificate_by_serial(facts: Facts, serial: str) -> facts_pb2.CertificateFact | None:
    """A certificate that was ever counted, by its serial number in lower-case hex."""
    sha256 = facts.get(serial_key(serial))
    return certificate(facts, bytes.fromhex(sha256.decode("ascii"))) if sha256 else None


def token(facts: Facts, secret_sha256: bytes) -> facts_pb2.TokenFact | None:
    """An enrolment token that was issued, expired or not."""
    return _read(facts, token_key(secret_sha256), facts_pb2.TokenFact)


def enrolled(facts: Facts, secret_sha256: bytes) -> facts_pb2.EnrolledFact | None:
    """The keys that an enrolment token was used with."""
    return _read(facts, enrolled_key(secret_sha256), facts_pb2.EnrolledFact)


def document(facts: Facts, document_id: str) -> facts_pb2.DocumentFact | None:
    """An accepted document or status."""
    return _read(facts, document_key(document_id), facts_pb2.DocumentFact)


def delivery(facts: Facts, document_id: str, unit_code: str) -> facts_pb2.DeliveryFact | None:
    """The delivery of a document to a unit, by its primary code."""
    return _read(facts, delivery_key(document_id, unit_code), facts_pb2.DeliveryFact)


def outcome(facts: Facts, document_id: str, unit_code: str, attempt: int) -> facts_pb2.OutcomeFact | None:
    """What closed an attempt; None while it is in flight, or never was."""
    return _read(facts, outcome_key(document_id, unit_code, attempt), facts_pb2.OutcomeFact)


class FactCertificates:
    """The certificates of a journal, as `axis.core.verify` asks for them."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def certificate(self, sha256: bytes) -> facts_pb2.CertificateFact | None:
        """The certificate with this SHA-256, if its issuance is journalled."""
        return certificate(self._facts, sha256)
