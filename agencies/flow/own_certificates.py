"""The alarm bell of design decision 12: certificates in our name for keys that are not ours.

In a home that was restored from an older copy, one that was issued after the copy was made may be for keys
that the lost home made. Nobody can tell from here whether it was so: what is to be done is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from axispb.v1 import facts_pb2

from agencies.flow.effects import Happened
from axis.core.errors import CODES, Refusal
from axis.core.trust import CertificateInfo, read_certificate
from axis.logs import get_logger

__all__ = ["OwnCertificates"]


class OwnCertificates:
    """Looks through certificates in our own name. `copied_head`: of a restored home, else None."""

    def __init__(self, own_keys: Callable[[], set[bytes]], copied_head: Callable[[], int | None]) -> None:
        self._own_keys = own_keys
        self._copied_head = copied_head
        #: Certificates, by their bytes, that were found to be ours, or were told of.
        self._checked: set[bytes] = set()
        self._newest_unknown = 0

    def check(self, facts: Iterable[facts_pb2.CertificateFact]) -> Happened:
        """An alarm for each that is not ours, once.

        The directory is what is judged by, so it is looked through; the feed's word alone could be missing.
        """
        happened: Happened = []
        for fact in facts:
            if fact.certificate in self._checked:
                continue
            try:
                known = read_certificate(fact.certificate).public_key_sha256 in self._own_keys()
            except Refusal:
                known = False
            self._checked.add(fact.certificate)
            if not known:
                happened.append(self._alarm(fact))
        return happened

    def _alarm(self, fact: facts_pb2.CertificateFact) -> tuple[str, dict[str, object]]:
        what = "certificate_not_ours"
        if self._is_after_copy(fact.issued_sequence):
            what = "keys_replaced"
            self._newest_unknown = max(self._newest_unknown, fact.issued_sequence)
        remedy = CODES[what].remedy if what in CODES else ""
        get_logger().error(what, serial=fact.serial, sequence=fact.issued_sequence, remedy=remedy)
        return "alarm", {"what": what, "serial": fact.serial}

    def may_be_ours(self, certificate: CertificateInfo, issued_sequence: int) -> bool:
        """Whether what it has signed in our name counts as ours: it is for keys of this home.

        Or it may be for keys that the lost home made after this one was copied.
        """
        return certificate.public_key_sha256 in self._own_keys() or self._is_after_copy(issued_sequence)

    def _is_after_copy(self, issued_sequence: int) -> bool:
        copied = self._copied_head()
        return copied is not None and issued_sequence > copied

    def replaced_after(self, issued_sequence: int) -> bool:
        """Whether newer keys than those that were certified there have been made, and are not here."""
        return self._newest_unknown > issued_sequence
