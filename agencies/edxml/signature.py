"""The packet's own XML signature (XML-DSig, W3C 2002-02-12): whether it holds over the packet as it is.

Only integrity is judged, never trust: nobody asks here who issued the certificate, whether it is in force,
or whether its subject is the sender. `signer` is what the certificate says of itself. What an agency relies
on is the signature of the envelope that the packet travels in (`axis.core.verify`); whoever changes a packet
can as well take its signature off. In order:

1. the packet can be read safely, and is not too large to be held (`agencies.edxml.signed_tree`)
2. there is one ds:Signature in all of it, and it stands in edXMLHeader: no choice, so nothing to wrap
3. one Reference, to the whole document (URI=""), through the enveloped transform and C14N 1.0 at most
4. the algorithms are of a list; SHA-1 is on it, because old packets have nothing else, and is named as weak
5. the certificate that it brings can be read, and its key is of a reasonable size
6. the digest over the packet without the signature is the one that was signed
7. the signature over SignedInfo verifies

1 to 5 failing is "not checkable", 6 and 7 "invalid". Not handled: detached signatures, other transforms,
XAdES properties, C14N 1.1, InclusiveNamespaces. `signxml` judges sound signatures invalid (docs/adr/0008).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.utils import CryptographyDeprecationWarning

from agencies.edxml.signed_tree import MOST_BYTES, Unreadable, canonical_part, canonical_without, tree_of
from agencies.edxml.tree import NAMESPACE

__all__ = ["Outcome", "PacketSignature", "check"]

Outcome = Literal["valid", "invalid", "not checkable", "absent"]
_Key = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

_DS: Final = "{http://www.w3.org/2000/09/xmldsig#}"
_MORE: Final = "http://www.w3.org/2001/04/xmldsig-more#"
_PARTS: Final = [f"{_DS}{name}" for name in ("SignedInfo", "SignatureValue", "KeyInfo", "Object")]
_ENVELOPED: Final = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
#: Whether it is the exclusive one.
_CANONICAL: Final = {
    "http://www.w3.org/TR/2001/REC-xml-c14n-20010315": False,
    "http://www.w3.org/2001/10/xml-exc-c14n#": True,
}
_DIGESTS: Final = {
    "http://www.w3.org/2000/09/xmldsig#sha1": "sha1",
    "http://www.w3.org/2001/04/xmlenc#sha256": "sha256",
    f"{_MORE}sha384": "sha384",
    "http://www.w3.org/2001/04/xmlenc#sha512": "sha512",
}
_Hash = hashes.SHA1 | hashes.SHA256 | hashes.SHA384 | hashes.SHA512
_METHODS: Final[dict[str, tuple[type[_Key], _Hash]]] = {
    "http://www.w3.org/2000/09/xmldsig#rsa-sha1": (rsa.RSAPublicKey, hashes.SHA1()),  # noqa: S303 - old packets
    f"{_MORE}rsa-sha256": (rsa.RSAPublicKey, hashes.SHA256()),
    f"{_MORE}rsa-sha384": (rsa.RSAPublicKey, hashes.SHA384()),
    f"{_MORE}rsa-sha512": (rsa.RSAPublicKey, hashes.SHA512()),
    f"{_MORE}ecdsa-sha256": (ec.EllipticCurvePublicKey, hashes.SHA256()),
    f"{_MORE}ecdsa-sha384": (ec.EllipticCurvePublicKey, hashes.SHA384()),
}
_RSA_BITS: Final = (1024, 8192)
_MOST_EXPONENT: Final = 1 << 32
_CURVES: Final = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
#: Characters of one base64 value, a certificate's among them; certificates (a chain may come along).
_MOST_VALUE: Final = 64 * 1024
_MOST_CERTIFICATES: Final = 8
_MOST_SIGNER: Final = 200
_MOST_REASON: Final = 300


@dataclass(frozen=True, slots=True)
class PacketSignature:
    """What became of the check: one English sentence why, and the certificate's subject (RFC 4514), at most
    200 characters, empty where no certificate was read.
    """

    outcome: Outcome
    reason: str
    signer: str = ""


@dataclass(frozen=True, slots=True)
class _Signed:
    """What a Signature says, in a form that can be judged."""

    info: Any  # SignedInfo
    info_exclusive: bool
    method: tuple[type[_Key], _Hash]
    exclusive: bool  # of the document
    digest_name: str
    digest: bytes
    value: bytes


class _Stop(Exception):
    """The result is known."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        self.outcome: Outcome = outcome
        self.reason = reason
        super().__init__(reason)


#: What reading a certificate may end with. The warning: where warnings are errors, or once it is one.
_UNREADABLE: Final = (
    _Stop,
    ValueError,
    TypeError,
    x509.InvalidVersion,
    UnsupportedAlgorithm,
    CryptographyDeprecationWarning,
)


def check(chunks: Iterable[bytes], size: int) -> PacketSignature:
    """Judge the signature in a packet of `size` bytes that comes in pieces, as of a file open for reading.

    Safe for whatever the bytes are; never raises for them. Up to 20 MiB are looked at, and are in memory a
    few times while that lasts: tenths of a second, to be spent in a thread.
    """
    if size > MOST_BYTES:
        return PacketSignature("not checkable", f"too large: {size} bytes, at most {MOST_BYTES} are checked")
    signer = ""
    try:
        tree = tree_of(chunks)
        signature = _signature(tree.getroot())
        signed = _signed(signature)
        certificates = list(_certificates(signature, signed.method[0]))
        signer = certificates[0][1]
        signed_info = canonical_part(signed.info, exclusive=signed.info_exclusive)
        _check_digest(tree, signature, signed)
        signer = _check_value(signed, signed_info, certificates)
    except Unreadable as error:
        return PacketSignature("not checkable", _line(str(error), _MOST_REASON), signer)
    except _Stop as stop:
        return PacketSignature(stop.outcome, stop.reason, signer)
    return PacketSignature("valid", _praise(signed), signer)


def _line(text: str, most: int) -> str:
    """What others wrote, fit to be shown."""
    return "".join(c if c.isprintable() else " " for c in text[:most])


def _praise(signed: _Signed) -> str:
    if "sha1" in (signed.digest_name, signed.method[1].name):
        return "it holds over the whole packet; it uses SHA-1, which is weak"
    return "it holds over the whole packet"


def _signature(root: Any) -> Any:
    """(2) The one Signature, in its one place."""
    found = list(root.iter(f"{_DS}Signature"))
    header = [
        child for envelope in _children(root, "edXMLEnvelope") for child in _children(envelope, "edXMLHeader")
    ]
    if not found:
        if any(_children(one, "Signature") for one in header):
            raise _Stop("not checkable", "its xmldsig namespace was dropped on the way")
        raise _Stop("absent", "the packet has none")
    if len(found) > 1:
        raise _Stop("not checkable", f"there are {len(found)} signatures")
    if found[0].getparent() not in header:
        raise _Stop("not checkable", "it does not stand in edXMLHeader")
    return found[0]


def _children(parent: Any, name: str) -> list[Any]:
    """Of the format's namespace, or of none, as the reader takes them."""
    return [child for child in parent if child.tag in (name, f"{{{NAMESPACE}}}{name}")]


def _signed(signature: Any) -> _Signed:
    """(3) and (4)."""
    info, value = _one(signature, "SignedInfo"), _one(signature, "SignatureValue")
    if any(child.tag not in _PARTS for child in _elements(signature)):
        raise _Stop("not checkable", "it holds what XML-DSig does not know")
    canonical, method, reference = _exactly(info, "CanonicalizationMethod", "SignatureMethod", "Reference")
    if reference.get("URI") != "":
        raise _Stop("not checkable", "its Reference is not to the whole document")
    transforms, digest_method, digest = _exactly(reference, "Transforms", "DigestMethod", "DigestValue")
    algorithms = [_algorithm(one) for one in _elements(transforms)]
    if algorithms[:1] != [_ENVELOPED] or len(algorithms) > 2:
        raise _Stop("not checkable", "its transforms are not the enveloped one and a canonicalisation")
    exclusive = _known(_CANONICAL, algorithms[1]) if len(algorithms) == 2 else False
    return _Signed(
        info=info,
        info_exclusive=_known(_CANONICAL, _algorithm(canonical)),
        method=_known(_METHODS, _algorithm(method)),
        exclusive=exclusive,
        digest_name=_known(_DIGESTS, _algorithm(digest_method)),
        digest=_bytes(digest),
        value=_bytes(value),
    )


def _known(table: dict[str, Any], algorithm: str) -> Any:
    if algorithm not in table:
        raise _Stop("not checkable", f"the algorithm {algorithm[:100]!r} is not on the list")
    return table[algorithm]


def _algorithm(element: Any) -> str:
    """What a method names; parameters within it are none that we know."""
    if len(element):
        raise _Stop("not checkable", "an algorithm has parameters")
    return str(element.get("Algorithm", ""))


def _elements(parent: Any) -> list[Any]:
    return [child for child in parent if isinstance(child.tag, str)]


def _exactly(parent: Any, *names: str) -> list[Any]:
    """The children, which must be these."""
    found = _elements(parent)
    if [child.tag for child in found] != [f"{_DS}{name}" for name in names]:
        raise _Stop("not checkable", f"{parent.tag.removeprefix(_DS)} is not one {', '.join(names)}")
    return found


def _one(parent: Any, name: str) -> Any:
    found = [child for child in parent if child.tag == f"{_DS}{name}"]
    if len(found) != 1:
        raise _Stop("not checkable", f"it has {len(found)} {name}")
    return found[0]


def _bytes(element: Any) -> bytes:
    """A base64 value."""
    text = "".join((element.text or "").split()) if not len(element) else ""
    if not 0 < len(text) <= _MOST_VALUE:
        raise _Stop("not checkable", f"{element.tag.removeprefix(_DS)} is empty or too long")
    try:
        return base64.b64decode(text.encode(), validate=True)
    except binascii.Error as error:
        raise _Stop("not checkable", f"{element.tag.removeprefix(_DS)} is no base64") from error


def _certificates(signature: Any, kind: type[_Key]) -> Iterator[tuple[_Key, str]]:
    """(5) The keys of this kind that it brings, with their subjects; at least one."""
    given = list(signature.iterfind(f"{_DS}KeyInfo/{_DS}X509Data/{_DS}X509Certificate"))
    if not given:
        raise _Stop("not checkable", "it brings no certificate")
    usable = 0
    for element in given[:_MOST_CERTIFICATES]:
        try:
            certificate = x509.load_der_x509_certificate(_bytes(element))
            key = certificate.public_key()
            subject = certificate.subject.rfc4514_string()
        except _UNREADABLE:
            continue  # a placeholder, say
        # RFC 5280, 4.1.2.2: the library warns of such a number today and will not read it tomorrow.
        if certificate.serial_number > 0 and isinstance(key, kind) and _is_reasonable(key):
            usable += 1
            yield key, _line(subject, _MOST_SIGNER)
    if not usable:
        raise _Stop("not checkable", "the certificate cannot be read, or its key does not fit")


def _is_reasonable(key: _Key) -> bool:
    """Whether verifying with it is neither pointless nor endless."""
    if isinstance(key, rsa.RSAPublicKey):
        return _RSA_BITS[0] <= key.key_size <= _RSA_BITS[1] and key.public_numbers().e < _MOST_EXPONENT
    return isinstance(key.curve, _CURVES)


def _check_digest(tree: Any, signature: Any, signed: _Signed) -> None:
    """(6)"""
    data = canonical_without(tree, signature, exclusive=signed.exclusive)
    if not hmac.compare_digest(hashlib.new(signed.digest_name, data).digest(), signed.digest):
        raise _Stop("invalid", "the packet is not what was signed: it was changed afterwards")


def _check_value(signed: _Signed, data: bytes, certificates: list[tuple[_Key, str]]) -> str:
    """(7) The subject of the certificate whose key verifies it."""
    for key, subject in certificates:
        try:
            _verify(key, signed, data)
        except (InvalidSignature, ValueError):
            continue
        except UnsupportedAlgorithm as error:
            raise _Stop("not checkable", "this machine does not do its algorithm") from error
        return subject
    raise _Stop("invalid", "it was not made with the key of the certificate that it brings")


def _verify(key: _Key, signed: _Signed, data: bytes) -> None:
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signed.value, data, padding.PKCS1v15(), signed.method[1])
        return
    half = (key.curve.key_size + 7) // 8  # RFC 4050, 3.3: both numbers, one behind the other
    if len(signed.value) != 2 * half:
        raise InvalidSignature
    numbers = (int.from_bytes(part) for part in (signed.value[:half], signed.value[half:]))
    key.verify(encode_dss_signature(*numbers), data, ec.ECDSA(signed.method[1]))
