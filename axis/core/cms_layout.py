"""What the signatures of one signer have in common, so that it is parsed and checked once.

Two signatures made with one certificate differ in three places: messageDigest, signingTime and the signature
value. A signature that equals, byte for byte outside these places, one that was read in full has the same
form, algorithms and certificates; so what `axis.core.cms.read` says of it follows from those three alone:

- messageDigest and the value are OCTET STRINGs: any bytes are well-formed there;
- signingTime is parsed anew, and whatever is no time is left to `read`, to refuse it in its own words;
- the order that DER asks of a SET OF is decided by the attributes' lengths and types, before the places.

Only an optimisation: `read` gives the same result without it, and a test compares the two for every bit.
What is kept is bounded, and a pure function of the bytes: it hides no check.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from axis.core import cms_asn1 as der

__all__ = ["Layouts", "Signature"]

_MOST_KNOWN: Final = 4096
_MOST_SHAPES: Final = 16
_SET_TAG: Final = b"\x31"
_ATTRIBUTES_TAG: Final = 0xA0


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature in the profile, parsed and not checked: nothing it says is true before `cms.check`."""

    certificate_der: bytes  # the signer's
    certificates: tuple[bytes, ...]  # all that are inside, the signer's included
    digest_algorithm: str  # "sha256", "sha384" or "sha512"
    signing_time: int  # as the signer claims; milliseconds since the epoch, whole seconds
    message_digest: bytes
    certificate_digest_algorithm: str  # this and the next two: signingCertificateV2
    certificate_digest: bytes
    issuer_serial: tuple[bytes, int] | None  # DER of the issuer's name, serial number
    signed_attributes: bytes  # DER of the SET OF: what the signature value is over
    value: bytes


@dataclass(frozen=True, slots=True)
class _Shape:
    """Where the places are, counted from the end: what comes before has the length of the certificates."""

    attributes: tuple[int, int]
    digest: tuple[int, int]
    time: tuple[int, int]
    value: int

    def common(self, raw: bytes) -> tuple[bytes, bytes, bytes]:
        """All but the three places."""
        first, second = sorted((self.digest, self.time))
        return raw[: first[0]], raw[first[1] : second[0]], raw[second[1] : self.value]


class Layouts:
    """Signatures that were read in full, by what they have in common with others."""

    def __init__(self, signing_time: Callable[[bytes], int]) -> None:
        """`signing_time` parses the DER of a time, in milliseconds; it raises for anything else."""
        self._signing_time = signing_time
        self._shapes: list[_Shape] = []
        self._known: dict[tuple[_Shape, bytes, bytes, bytes], Signature] = {}

    def find(self, raw: bytes) -> Signature | None:
        """What `read` says of a signature, where one like it was read before."""
        for shape in self._shapes:
            like = self._known.get((shape, *shape.common(raw)))
            if like is not None:
                return self._filled(raw, shape, like)
        return None

    def _filled(self, raw: bytes, shape: _Shape, like: Signature) -> Signature:
        start, end = shape.attributes
        return Signature(
            certificate_der=like.certificate_der,
            certificates=like.certificates,
            digest_algorithm=like.digest_algorithm,
            signing_time=self._signing_time(raw[shape.time[0] - 2 : shape.time[1]]),
            message_digest=raw[shape.digest[0] : shape.digest[1]],
            certificate_digest_algorithm=like.certificate_digest_algorithm,
            certificate_digest=like.certificate_digest,
            issuer_serial=like.issuer_serial,
            signed_attributes=_SET_TAG + raw[start + 1 : end],
            value=raw[shape.value :],
        )

    def keep(self, raw: bytes, signature: Signature, digest: bytes, time: bytes) -> None:
        """Remember a signature that was read in full, with the DER of its messageDigest and signingTime."""
        shape = _shape(raw, signature, digest, time)
        if shape is None:
            return
        if shape not in self._shapes:
            if len(self._shapes) >= _MOST_SHAPES:
                return
            self._shapes.append(shape)
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[shape, *shape.common(raw)] = signature


def _shape(raw: bytes, signature: Signature, digest: bytes, time: bytes) -> _Shape | None:
    """The places; None where they are not found beyond doubt."""
    value = -len(signature.value)
    ends = raw[:value]
    header = 2 + (len(signature.value) > 0x7F) + (len(signature.value) > 0xFF)
    for algorithm in (*der.ECDSA.values(), der.RSA):
        end = value - header
        if not ends[: len(ends) - header].endswith(algorithm):
            continue
        end -= len(algorithm)
        start = end - len(signature.signed_attributes)
        attributes = raw[start:end]
        once = attributes.count(digest) == attributes.count(time) == 1
        same = attributes[0] == _ATTRIBUTES_TAG and attributes[1:] == signature.signed_attributes[1:]
        if once and same:
            digest_end = start + attributes.index(digest) + len(digest)
            time_end = start + attributes.index(time) + len(time)
            return _Shape(
                attributes=(start, end),
                digest=(digest_end - len(signature.message_digest), digest_end),
                time=(time_end - len(time) + 2, time_end),
                value=value,
            )
    return None
