"""The packet's own signature, made by xmlsec1, and everything that breaks, moves or fakes it."""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agencies.edxml.signature import PacketSignature, check
from agencies.packet_signatures import PacketSignatures
from axis.blobs.memory import MemoryBlobs
from tests.support.edxml import SAMPLES
from tests.support.xmlsec import C14N, DS, EXCLUSIVE, MORE, XmlSigner, template

GOOD = sorted(path.stem for path in SAMPLES.glob("*.edxml") if not path.stem.startswith("bad"))
ZIPPED = (SAMPLES / "new-zip.edxml").read_bytes()
ENVELOPED = f"{DS}enveloped-signature"
TRACE = b"<edXML:TraceHeader><edXML:OrganId>000.00.00.G14</edXML:OrganId></edXML:TraceHeader>"


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> XmlSigner:
    return XmlSigner.make(tmp_path_factory.mktemp("rsa"))


@pytest.fixture(scope="module")
def signed(signer: XmlSigner) -> bytes:
    return signer.sign(ZIPPED)


def judged(packet: bytes) -> PacketSignature:
    return check([packet], len(packet))


def outcome(packet: bytes) -> str:
    return judged(packet).outcome


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("prefix", ["ds", ""])
def test_every_good_sample_holds_once_xmlsec1_has_signed_it(
    signer: XmlSigner, name: str, prefix: str
) -> None:
    packet = signer.sign((SAMPLES / f"{name}.edxml").read_bytes(), template(prefix=prefix))
    found = judged(packet)
    assert (found.outcome, found.signer) == ("valid", "CN=Van thu mau,C=VN")
    assert "weak" not in found.reason


def test_unsigned_samples_have_none() -> None:
    for name in GOOD:
        assert outcome((SAMPLES / f"{name}.edxml").read_bytes()) == "absent"


def test_however_the_bytes_come_the_result_is_the_same(signed: bytes, tmp_path: Path) -> None:
    assert check((signed[i : i + 1] for i in range(len(signed))), len(signed)).outcome == "valid"
    (tmp_path / "packet").write_bytes(signed)
    with (tmp_path / "packet").open("rb") as file:
        assert check(file, len(signed)).outcome == "valid"


@pytest.mark.parametrize(
    ("method", "digest"),
    [
        (f"{DS}rsa-sha1", f"{DS}sha1"),
        (f"{MORE}rsa-sha256", f"{DS}sha1"),
        (f"{MORE}rsa-sha256", "http://www.w3.org/2001/04/xmlenc#sha256"),
        (f"{MORE}rsa-sha384", f"{MORE}sha384"),
        (f"{MORE}rsa-sha512", "http://www.w3.org/2001/04/xmlenc#sha512"),
    ],
)
def test_algorithms_of_rsa_and_that_sha1_is_called_weak(signer: XmlSigner, method: str, digest: str) -> None:
    packet = signer.sign(ZIPPED, template(method=method, digest=digest))
    found = judged(packet)
    assert found.outcome == "valid"
    assert ("SHA-1" in found.reason) == ("sha1" in method + digest)
    assert outcome(packet.replace(b"Subject>V/v", b"Subject>X/v")) == "invalid"


@pytest.mark.parametrize(
    ("curve", "method"), [("P-256", "ecdsa-sha256"), ("P-384", "ecdsa-sha384"), ("P-521", "ecdsa-sha256")]
)
def test_algorithms_of_ecdsa(tmp_path: Path, curve: str, method: str) -> None:
    packet = XmlSigner.make(tmp_path, key=curve).sign(ZIPPED, template(method=MORE + method))
    assert outcome(packet) == "valid"
    value = re.search(rb"SignatureValue>([^<]+)<", packet)
    assert value is not None
    number = base64.b64decode(value[1])
    other = base64.b64encode(number[:-1] + bytes([number[-1] ^ 1]))
    assert outcome(packet.replace(value[1], other)) == "invalid"
    assert outcome(packet.replace(value[1], base64.b64encode(number[:-1]))) == "invalid"


@pytest.mark.parametrize("c14n", [C14N, EXCLUSIVE])
@pytest.mark.parametrize("last", [(), (C14N,), (EXCLUSIVE,)])
@pytest.mark.parametrize("prefix", ["ds", "", "edXML"])
def test_canonicalisations(signer: XmlSigner, c14n: str, last: tuple[str, ...], prefix: str) -> None:
    asked = template(prefix=prefix, c14n=c14n, transforms=(ENVELOPED, *last))
    assert outcome(signer.sign(ZIPPED, asked)) == "valid"


@pytest.mark.parametrize("c14n", [C14N, EXCLUSIVE])
@pytest.mark.parametrize("prefix", ["ds", "", "x"])
def test_what_stands_around_the_signature_counts_as_the_standard_says(
    signer: XmlSigner, c14n: str, prefix: str
) -> None:
    """xml: attributes and namespaces of ancestors, comments, instructions, CDATA, entities, no namespace."""
    packet = ZIPPED.replace(
        b"<edXML xmlns=", b'<?one ?><!-- two --><edXML xml:lang="vi" xmlns:x="urn:a" xmlns='
    )
    packet = packet.replace(
        b"<edXML:edXMLHeader>", b'<edXML:edXMLHeader xmlns:x="urn:b" xml:lang="en" xml:space="preserve">'
    )
    packet = packet.replace(
        b"<edXML:Subject>",
        b'<x:odd y="1&#10;2" x:y=\' "\'/><edXML:Subject><![CDATA[a < b]]>&amp;&#13;<!-- c -->',
    )
    packet = packet.replace(b"<AttachmentEncoded>", b'<odd xmlns="" z=""><a/></odd><AttachmentEncoded>')
    packet += b"\n<?three?>"
    signed = signer.sign(packet, template(prefix=prefix, c14n=c14n))
    assert outcome(signed) == "valid"
    assert outcome(signed.replace(b"<!-- c -->", b"")) == "valid"  # C14N knows no comments
    for before, after in ((b"<?one ?>", b""), (b"<?three?>", b""), (b'z=""', b'z="1"'), (b'xmlns=""', b"")):
        changed = signed.replace(before, after)
        assert changed != signed
        assert outcome(changed) == "invalid", before


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"Subject>V/v", b"Subject>V/V"),
        (b"</edXML:TraceHeaderList>", TRACE + b"</edXML:TraceHeaderList>"),
        (b"<edXML:OrganId>000.00.00.H41", b"<edXML:OrganId>000.00.00.H14"),
        (b"UEsDB", b"UEsDC"),
        (b"</edXML:edXMLHeader>", b" </edXML:edXMLHeader>"),
    ],
    ids=["text", "a relay's trace", "recipient", "attachment", "blank"],
)
def test_what_was_changed_afterwards_is_invalid(signed: bytes, before: bytes, after: bytes) -> None:
    assert before in signed
    found = judged(signed.replace(before, after))
    assert (found.outcome, found.signer) == ("invalid", "CN=Van thu mau,C=VN")
    assert "changed" in found.reason


def test_a_relay_that_dropped_the_namespace(signer: XmlSigner) -> None:
    packet = signer.sign(ZIPPED, template(prefix=""))
    found = judged(packet.replace(f'<Signature xmlns="{DS}">'.encode(), b"<Signature>"))
    assert (found.outcome, "namespace" in found.reason) == ("not checkable", True)


CERTIFICATE = re.compile(rb"(?s)<ds:X509Certificate>.*?</ds:X509Certificate>")


@pytest.mark.parametrize(
    "content",
    [b"", b"X509CERTIFICATE", b"....", b"MIIC", base64.b64encode(b"0" * 900), b"<ds:a/>", b"A" * 70_000],
)
def test_a_placeholder_instead_of_a_certificate_is_not_checkable(signed: bytes, content: bytes) -> None:
    packet = CERTIFICATE.sub(b"<ds:X509Certificate>%s</ds:X509Certificate>" % content, signed)
    found = judged(packet)
    assert (found.outcome, found.signer) == ("not checkable", "")
    assert "certificate" in found.reason


def test_a_certificate_of_another_version_is_not_checkable(signed: bytes) -> None:
    found = CERTIFICATE.findall(signed)[0]
    der = base64.b64decode(re.sub(rb"<[^>]+>", b"", found))
    assert b"\xa0\x03\x02\x01\x02" in der
    other = base64.b64encode(der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x07", 1))
    packet = signed.replace(found, b"<ds:X509Certificate>%s</ds:X509Certificate>" % other)
    assert outcome(packet) == "not checkable"


def test_of_several_certificates_the_one_whose_key_signed_is_named(signed: bytes, tmp_path: Path) -> None:
    other = XmlSigner.make(tmp_path, subject="/CN=" + "x" * 60).sign(ZIPPED)
    theirs, ours = CERTIFICATE.findall(other)[0], CERTIFICATE.findall(signed)[0]
    placeholder = b"<ds:X509Certificate>X</ds:X509Certificate>"
    assert judged(CERTIFICATE.sub(placeholder + theirs + ours, signed)).signer == "CN=Van thu mau,C=VN"
    found = judged(CERTIFICATE.sub(theirs, signed))
    assert (found.outcome, found.signer) == ("invalid", "CN=" + "x" * 60)
    assert "key" in found.reason


def test_keys_that_are_too_weak_too_large_or_of_another_kind(tmp_path: Path, signed: bytes) -> None:
    for key in ("rsa:768", "secp256k1", "P-256"):
        certificate = (XmlSigner.make(tmp_path / key, key=key).folder / "certificate.pem").read_bytes()
        text = b"".join(certificate.splitlines()[1:-1])
        packet = CERTIFICATE.sub(b"<ds:X509Certificate>%s</ds:X509Certificate>" % text, signed)
        assert outcome(packet) == "not checkable", key


@pytest.mark.parametrize("packet", [b"", b" ", b"<", b"<a/>", b"<a>", b"no", b"\xff\xfe<\0", b"<?xml?>"])
def test_what_is_no_packet_has_no_signature(packet: bytes) -> None:
    assert outcome(packet) in ("absent", "not checkable")


def test_a_reason_is_short_and_can_be_shown(signed: bytes) -> None:
    long = b"<" + b"x" * 40_000 + b"></y>"
    found = judged(signed.replace(b"<edXML:Subject>", long + b"<edXML:Subject>"))
    assert (found.outcome, len(found.reason) <= 300, found.reason.isprintable()) == (
        "not checkable",
        True,
        True,
    )


def test_a_long_subject_is_cut(tmp_path: Path) -> None:
    subject = "".join(f"/OU={letter * 60}" for letter in "abcde")
    found = judged(XmlSigner.make(tmp_path, subject=subject).sign(ZIPPED))
    assert (found.outcome, len(found.signer)) == ("valid", 200)


def test_over_20_mib_is_not_checkable_whatever_is_said_of_the_size(signed: bytes) -> None:
    large = signed + b" " * (20 * 1024 * 1024)
    for size in (len(large), len(signed)):
        found = check([large], size)
        assert (found.outcome, "too large" in found.reason) == ("not checkable", True)
    assert outcome(signed + b" " * (20 * 1024 * 1024 - len(signed))) == "valid"


def outer(signed: bytes) -> bytes:
    """The signed packet without its XML declaration, to be put into another one."""
    return signed[signed.index(b"<edXML ") :]


WRAPPINGS: dict[str, Callable[[bytes], bytes]] = {
    "the whole packet within another header": lambda s: ZIPPED.replace(
        b"</edXML:edXMLHeader>", outer(s) + b"</edXML:edXMLHeader>"
    ),
    "the whole packet within the signature": lambda s: ZIPPED.replace(
        b"</edXML:edXMLHeader>",
        signature_of(s).replace(
            b"</ds:Signature>", b"<ds:Object>" + outer(s) + b"</ds:Object></ds:Signature>"
        )
        + b"</edXML:edXMLHeader>",
    ),
    "another packet behind": lambda s: s + outer(ZIPPED),
    "two signatures": lambda s: s.replace(b"</edXML:edXMLHeader>", signature_of(s) + b"</edXML:edXMLHeader>"),
    "another place": lambda s: s.replace(signature_of(s), b"").replace(
        b"<AttachmentEncoded>", signature_of(s) + b"<AttachmentEncoded>"
    ),
    "another header before": lambda s: s.replace(
        b"<edXML:edXMLHeader>", header_of(ZIPPED).replace(b"V/v", b"X/v") + b"<edXML:edXMLHeader>"
    ),
    "the header within the signature": lambda s: s.replace(
        b"</ds:Signature>", b"<ds:Object>" + header_of(ZIPPED) + b"</ds:Object></ds:Signature>"
    ).replace(b"V/v", b"X/v", 1),
    "two SignedInfo": lambda s: s.replace(b"</ds:SignedInfo>", b"</ds:SignedInfo><ds:SignedInfo/>"),
    "two References": lambda s: s.replace(b"</ds:Reference>", b"</ds:Reference><ds:Reference/>"),
    "a reference to a part": lambda s: s.replace(b'URI=""', b'URI="#a"'),
    "no reference": lambda s: s.replace(b' URI=""', b""),
    "an element in the signature": lambda s: s.replace(b"</ds:Signature>", b"<edXML:To/></ds:Signature>"),
    "a comment in the digest": lambda s: s.replace(b"<ds:DigestValue>", b"<ds:DigestValue><!-- -->A"),
    "an instruction in the digest": lambda s: s.replace(b"<ds:DigestValue>", b"<ds:DigestValue><?a?>"),
    "other transforms": lambda s: s.replace(
        f'{DS}enveloped-signature"/>'.encode(), f'{DS}base64"/>'.encode()
    ),
    "a third transform": lambda s: s.replace(
        b"</ds:Transforms>", f'<ds:Transform Algorithm="{C14N}"/>'.encode() * 2 + b"</ds:Transforms>"
    ),
    "a weaker method": lambda s: s.replace(f"{MORE}rsa-sha256".encode(), f"{DS}hmac-sha1".encode()),
    "a method with parameters": lambda s: s.replace(
        b'rsa-sha256"/>', b'rsa-sha256"><ds:HMACOutputLength>0</ds:HMACOutputLength></ds:SignatureMethod>'
    ),
    "an empty value": lambda s: re.sub(rb"(?s)(<ds:SignatureValue>).*?(</)", rb"\1\2", s),
    "a DTD": lambda s: s.replace(b"<edXML ", b'<!DOCTYPE edXML [<!ENTITY a "b">]><edXML ', 1),
    "another encoding": lambda s: s.replace(b'"UTF-8"', b'"windows-1252"'),
    "another encoding far away": lambda s: s.replace(b" encoding", b" " * 300 + b"encoding").replace(
        b'"UTF-8"', b'"UTF-7"'
    ),
    "UTF-16": lambda s: s.decode().replace("UTF-8", "UTF-16").encode("utf-16"),
}


def signature_of(packet: bytes) -> bytes:
    return packet[
        packet.index(b"<ds:Signature ") : packet.index(b"</ds:Signature>") + len(b"</ds:Signature>")
    ]


def header_of(packet: bytes) -> bytes:
    end = b"</edXML:edXMLHeader>"
    return packet[packet.index(b"<edXML:edXMLHeader>") : packet.index(end) + len(end)]


@pytest.mark.parametrize("name", WRAPPINGS)
def test_nothing_is_wrapped(signed: bytes, name: str) -> None:
    packet = WRAPPINGS[name](signed)
    assert packet != signed
    assert outcome(packet) in ("invalid", "not checkable")


@pytest.mark.parametrize(
    "what",
    [
        b"<x>" * 3000,
        b"<x/>" * 60_000,
        b"<?x?>" * 60_000,
        b"<x " + b" ".join(b'a%d=">"' % n for n in range(20_000)) + b"/>",
        b"<x " + b" ".join(b'a%d=""' % n for n in range(80)) + b"/>",
        b"<x " + b" ".join(b'xmlns:a%d="urn:a"' % n for n in range(80)) + b"/>",
        b'<x xmlns:a="relative"/>',
        b'<x b="&unknown;"/>',
        b"&unknown;",
    ],
    ids=[
        "deep",
        "elements",
        "instructions",
        "long tag",
        "attributes",
        "namespaces",
        "relative",
        "entity",
        "text",
    ],
)
def test_what_could_take_all_time_or_memory_ends_early(signed: bytes, what: bytes) -> None:
    packet = signed.replace(b"<edXML:Subject>", what + b"<edXML:Subject>")
    assert outcome(packet) == "not checkable"
    large = signed.replace(b"<ds:SignatureMethod", b"<?p " + b"x" * 11_000_000 + b"?><ds:SignatureMethod")
    assert outcome(large) == "not checkable"


async def longest_wait_beside(packet: bytes) -> float:
    """For which part of the time that judging a packet took the event loop was kept from its work at once."""
    pieces = [packet[start : start + (1 << 18)] for start in range(0, len(packet), 1 << 18)]
    judging = asyncio.create_task(PacketSignatures(MemoryBlobs(), "report").judge(pieces, len(packet)))
    began = before = time.perf_counter()
    longest = 0.0
    while not judging.done():
        await asyncio.sleep(0)
        now = time.perf_counter()
        longest, before = max(longest, now - before), now
    assert (await judging).outcome == "invalid"
    return longest / (before - began)


async def test_a_large_packet_keeps_nobody_else_waiting(signed: bytes) -> None:
    content = b"<x>" + b"QUJD" * 4_900_000 + b"</x>"
    packet = signed.replace(b"<AttachmentEncoded>", b"<AttachmentEncoded>" + content)
    # The best of some tries: the machine has other work, too.
    shares = [await longest_wait_beside(packet) for _ in range(5)]
    assert min(shares) < 0.25, shares


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_one_changed_byte_of_signed_text_is_never_valid(signed: bytes, data: st.DataObject) -> None:
    """Within texts: C14N itself leaves open how tags are written."""
    own = range(*re.search(re.escape(signature_of(signed)), signed).span())  # type: ignore[union-attr]
    spans = [match.span(1) for match in re.finditer(rb">([^<>]+)<", outside(signed))]
    texts = [span for span in spans if span[1] <= own.start or span[0] >= own.stop]
    assert len(texts) > 50
    start, end = data.draw(st.sampled_from(texts))
    place = data.draw(st.integers(start, end - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda b: b != signed[place]))
    if signed[place] == 0x0D or (byte == 0x0D and signed[place] == 0x0A):
        return  # XML reads both ends of a line as the same
    changed = signed[:place] + bytes([byte]) + signed[place + 1 :]
    assert outcome(changed) != "valid"


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_the_signature_holds_nothing_but_a_result_comes_out(
    signed: bytes, data: st.DataObject
) -> None:
    start = signed.index(b"<ds:Signature ")
    end = signed.index(b"</ds:Signature>")
    place = data.draw(st.integers(start, end - 1))
    junk = data.draw(
        st.binary(max_size=8) | st.sampled_from([b"<", b"<ds:SignedInfo/>", b"A" * 400, b"=", b"-"])
    )
    changed = signed[:place] + junk + signed[place + data.draw(st.integers(0, 400)) :]
    assert outcome(changed) in ("valid", "invalid", "not checkable", "absent")


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_the_certificate_is_nothing_but_a_result_comes_out(
    signed: bytes, data: st.DataObject
) -> None:
    found = CERTIFICATE.findall(signed)[0]
    der = bytearray(base64.b64decode(re.sub(rb"<[^>]+>", b"", found)))
    for _ in range(data.draw(st.integers(1, 3))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    packet = signed.replace(found, b"<ds:X509Certificate>%s</ds:X509Certificate>" % base64.b64encode(der))
    assert outcome(packet) in ("valid", "invalid", "not checkable")


def test_a_certificate_whose_number_is_negative_is_not_used(signed: bytes) -> None:
    """RFC 5280, 4.1.2.2. The library only warns of it."""
    found = CERTIFICATE.findall(signed)[0]
    der = bytearray(base64.b64decode(re.sub(rb"<[^>]+>", b"", found)))
    place = der.index(b"\xa0\x03\x02\x01\x02\x02") + 7  # behind the version: the serial's first byte
    der[place] |= 0x80
    packet = signed.replace(found, b"<ds:X509Certificate>%s</ds:X509Certificate>" % base64.b64encode(der))
    assert outcome(packet) == "not checkable"


def outside(signed: bytes) -> bytes:
    """The packet with its signature blanked: what is in there is signed in other ways, or not at all."""
    signature = signature_of(signed)
    return signed.replace(signature, b"." * len(signature))
