"""Packets signed by xmlsec1, a signer that shares no code with ours."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["C14N", "DS", "EXCLUSIVE", "MORE", "XmlSigner", "template"]

DS = "http://www.w3.org/2000/09/xmldsig#"
MORE = "http://www.w3.org/2001/04/xmldsig-more#"
C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"


def template(
    *,
    prefix: str = "ds",
    method: str = f"{MORE}rsa-sha256",
    digest: str = SHA256,
    c14n: str = C14N,
    transforms: tuple[str, ...] = (f"{DS}enveloped-signature",),
    uri: str = 'URI=""',
) -> bytes:
    """A Signature without values, as the signer wants it; with no prefix its namespace is the default one."""
    p = f"{prefix}:" if prefix else ""
    steps = "".join(f'<{p}Transform Algorithm="{one}"/>' for one in transforms)
    return (
        f'<{p}Signature xmlns{":" if prefix else ""}{prefix}="{DS}"><{p}SignedInfo>\n'
        f'<{p}CanonicalizationMethod Algorithm="{c14n}"/><{p}SignatureMethod Algorithm="{method}"/>'
        f"<{p}Reference {uri}><{p}Transforms>{steps}</{p}Transforms>"
        f'<{p}DigestMethod Algorithm="{digest}"/><{p}DigestValue/></{p}Reference></{p}SignedInfo>'
        f"<{p}SignatureValue/><{p}KeyInfo><{p}X509Data><{p}X509Certificate/></{p}X509Data></{p}KeyInfo>"
        f"</{p}Signature>"
    ).encode()


@dataclass(frozen=True)
class XmlSigner:
    """A key and a self-signed certificate in a folder."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, subject: str = "/C=VN/CN=Van thu mau", key: str = "rsa:2048") -> XmlSigner:
        kind = (
            ["-newkey", "ec", "-pkeyopt", f"ec_paramgen_curve:{key}"]
            if "rsa" not in key
            else ["-newkey", key]
        )
        folder.mkdir(parents=True, exist_ok=True)
        made = ("-keyout", folder / "key.pem", "-out", folder / "certificate.pem")
        subprocess.run(
            ["openssl", "req", "-x509", *kind, "-nodes", "-days", "30", "-subj", subject, *made],
            check=True,
            capture_output=True,
            timeout=60,
        )
        return cls(folder)

    def sign(
        self, packet: bytes, signature: bytes | None = None, *, before: bytes = b"edXMLHeader>"
    ) -> bytes:
        """The packet with a signature at the end of the header, or before another end tag."""
        end = _end(packet, before)
        unsigned = packet[:end] + (signature or template()) + packet[end:]
        (self.folder / "unsigned.xml").write_bytes(unsigned)
        files = ("--output", "signed.xml", "unsigned.xml")
        done = subprocess.run(
            ["xmlsec1", "--sign", "--privkey-pem", "key.pem,certificate.pem", *files],
            cwd=self.folder,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return (self.folder / "signed.xml").read_bytes()


def _end(packet: bytes, name: bytes) -> int:
    """Where the end tag of this name begins, whatever its prefix."""
    place = packet.index(name, packet.index(b"MessageHeader>"))
    return packet.rindex(b"</", 0, place)
