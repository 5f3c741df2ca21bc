"""What openssl thinks of our signatures, and we of those that openssl makes."""

from pathlib import Path

import pytest

from axis.core import cms
from tests.signers import AT, CERTIFICATES, KEYS, SIGNED, openssl, pem, refused

REQUEST = "req -x509 -nodes -subj /CN=t -days 30 -keyout k -out c -newkey "
OPENSSL_KEYS = {
    "rsa-2048": REQUEST + "rsa:2048",
    "p384": REQUEST + "ec -pkeyopt ec_paramgen_curve:P-384",
    "p256": REQUEST + "ec -pkeyopt ec_paramgen_curve:P-256",
}


@pytest.mark.parametrize("name", list(KEYS))
def test_openssl_accepts_ours(name: str, tmp_path: Path) -> None:
    (tmp_path / "content").write_bytes(SIGNED)
    (tmp_path / "ca").write_bytes(pem(CERTIFICATES[name]))
    (tmp_path / "p7s").write_bytes(cms.sign(SIGNED, KEYS[name], CERTIFICATES[name], [], AT))
    arguments = (
        "cms -verify -binary -inform DER -in p7s -content content -CAfile ca -purpose any -no_check_time"
    )
    assert openssl(tmp_path, *arguments.split(), "-cades", "-out", "/dev/null").returncode == 0
    (tmp_path / "content").write_bytes(SIGNED + b"x")
    assert openssl(tmp_path, *arguments.split(), "-out", "/dev/null").returncode != 0


@pytest.mark.parametrize(
    ("kind", "digest"),
    [
        ("rsa-2048", "sha256"),
        ("rsa-2048", "sha512"),
        ("p384", "sha384"),
        ("p256", "sha256"),
        ("p384", "sha256"),
    ],
)
def test_we_read_cades_made_by_openssl(kind: str, digest: str, tmp_path: Path) -> None:
    (tmp_path / "content").write_bytes(SIGNED)
    assert openssl(tmp_path, *OPENSSL_KEYS[kind].split()).returncode == 0
    command = f"cms -sign -cades -nosmimecap -binary -in content -signer c -inkey k -md {digest}"
    assert openssl(tmp_path, *command.split(), "-outform", "DER", "-out", "p7s").returncode == 0
    signature = cms.read((tmp_path / "p7s").read_bytes())
    cms.check(signature, SIGNED)
    assert signature.digest_algorithm == digest
    assert refused(lambda: cms.check(signature, b"")) == "signature_invalid"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ("-cades", "signature_malformed"),  # with the SMIMECapabilities attribute
        ("-nosmimecap", "signature_malformed"),  # without signingCertificateV2
        ("-cades -nosmimecap -nodetach", "signature_malformed"),
        ("-cades -nosmimecap -nocerts", "signature_malformed"),
        ("-cades -nosmimecap -keyid", "signature_malformed"),
        ("-cades -nosmimecap -stream", "signature_malformed"),  # BER
        ("-noattr", "signature_malformed"),
        ("-cades -nosmimecap -md sha1", "algorithm_not_allowed"),
        ("-cades -nosmimecap -md sha224", "algorithm_not_allowed"),
        ("-cades -nosmimecap -md sha512", "algorithm_not_allowed"),  # ECDSA with SHA-512
    ],
)
def test_what_openssl_makes_outside_the_profile_is_refused(options: str, code: str, tmp_path: Path) -> None:
    (tmp_path / "content").write_bytes(SIGNED)
    assert openssl(tmp_path, *OPENSSL_KEYS["p256"].split()).returncode == 0
    command = f"cms -sign {options} -binary -in content -signer c -inkey k -outform DER -out p7s"
    assert openssl(tmp_path, *command.split()).returncode == 0
    data = (tmp_path / "p7s").read_bytes()
    assert refused(lambda: cms.read(data)) == code


def test_rsa_pss_made_by_openssl_is_not_allowed(tmp_path: Path) -> None:
    (tmp_path / "content").write_bytes(SIGNED)
    assert openssl(tmp_path, *OPENSSL_KEYS["rsa-2048"].split()).returncode == 0
    command = (
        "cms -sign -cades -nosmimecap -binary -in content -signer c -inkey k -keyopt rsa_padding_mode:pss"
    )
    assert openssl(tmp_path, *command.split(), "-outform", "DER", "-out", "p7s").returncode == 0
    data = (tmp_path / "p7s").read_bytes()
    assert refused(lambda: cms.read(data)) == "algorithm_not_allowed"
