"""What every schedule begins with, made once: an authority, a founded axis, enrolled agencies with keys."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agencies import config as agency_config
from agencies import keys
from agencies.store.database import Store, set_setting
from axis import config
from axis.app.home import Home
from axis.app.own_keys import KeySet, OwnKeys, pem
from axis.core import state
from axis.core.commands import Enrol, Found, IssueToken, RecordCertificate, Register
from axis.core.facts import Changes
from axis.core.frame import Frame
from axis.core.trust import Anchors, read_certificate
from axis.flow.sequencer import Sequencer
from axis.journal.memory import MemoryJournal
from axis.journal.sqlite import SqliteJournal
from axis.journal.stream import stream_config, stream_name
from axis.views.projection import Views
from certs.authority import Authority
from tests.simulation.loop import START, SimulatedClock, run
from tests.simulation.stream import Cluster

__all__ = ["HOSTED", "NODES", "Template"]

JOURNAL_ID = "5f0c3b9e-0000-4000-8000-00000000000b"
#: Agencies with nodes; and units below them that these host.
NODES = ("G22", "G14", "H26")
HOSTED = {"G14.01": "G14"}
#: Whose software, not its node, says what is received: for this unit only.
DECIDES = "H26"


@dataclass
class Template:
    """`folder` is shared by all schedules and only read by them."""

    folder: Path
    authority: Authority
    axis: Home
    frames: list[tuple[Frame, Changes]] = field(default_factory=list)
    credentials: dict[str, keys.Credentials] = field(default_factory=dict)
    certificates: dict[str, bytes] = field(default_factory=dict)  # for TLS, DER

    @classmethod
    def make(cls, folder: Path) -> Template:
        authority = Authority.create(folder / "pki", START)
        key, tls = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        pair = authority.issue_axis(_request(tls), _request(key), ["localhost"], START)
        anchors = Anchors(authority.anchors, authority.intermediates)

        pems = {"tls.key": _pem(tls), "sign.key": _pem(key)}
        pems |= {"tls.crt": pem(pair[:1]), "sign.crt": pem(pair[1:])}
        own = OwnKeys(folder, anchors, KeySet.parse(1, folder, pems))
        made = cls(folder, authority, Home(folder / "axis", config.Settings(), anchors, own))
        run(made._found(pair))
        store = Store(folder / "agency.sqlite")
        store.close()
        with closing(Views.open(folder / "views.sqlite")) as views:
            views.catch_up(made.journal())
        with closing(sqlite3.connect(folder / "agency.sqlite")) as connection:
            set_setting(connection, "key_secret", "5e" * 32)  # ids are the same in each run
            connection.commit()
        return made

    async def _found(self, pair: tuple[bytes, bytes]) -> None:
        journal = MemoryJournal(JOURNAL_ID, state.reduce)
        sequencer = Sequencer(journal, SimulatedClock(), lambda signed: b"")
        journal.on_landed(lambda frame, changes: self.frames.append((frame, changes)))
        running = asyncio.create_task(sequencer.run())
        anchors = self.axis.anchors
        await sequencer.submit(Found(anchors.axis_id, anchors.anchors, anchors.intermediates))
        for certificate in pair:
            await sequencer.submit(RecordCertificate(read_certificate(certificate)))
        for code in NODES:
            await sequencer.submit(Register(code, f"Unit {code}"))
            await self._enrol(code, sequencer)
        for code, parent in HOSTED.items():
            await sequencer.submit(Register(code, f"Unit {code}", parent))
        sequencer.drain()
        await running

    async def _enrol(self, code: str, sequencer: Sequencer) -> None:
        secret = hashlib.sha256(code.encode()).digest()
        home = self.home(code)
        home.mkdir()
        key_set = keys.prepare(home, secret, code)
        tls, sign = self.authority.issue_organisation(
            code, key_set.request("tls"), key_set.request("sign"), START
        )
        anchors = self.axis.anchors
        keys.use(
            key_set,
            tls_certificate=tls,
            sign_certificate=sign,
            intermediates=anchors.intermediates,
            anchors=anchors.anchors,
        )
        token = hashlib.sha256(secret).digest()
        await sequencer.submit(IssueToken(code, token, START + 86_400_000))
        await sequencer.submit(Enrol(code, token, read_certificate(tls), read_certificate(sign)))
        self.credentials[code] = keys.load_credentials(home)
        self.certificates[code] = tls

    def home(self, code: str) -> Path:
        return self.folder / code

    def settings(self, code: str, axis: tuple[str, ...]) -> agency_config.Settings:
        more: dict[str, Any] = {"receipt": "software"} if code == DECIDES else {}
        return agency_config.Settings(code=code, axis=axis, max_back_off_seconds=20.0, **more)

    def journal(self) -> MemoryJournal:
        """A journal that stands where every schedule begins."""
        journal = MemoryJournal(JOURNAL_ID, state.reduce)
        for frame, changes in self.frames:
            journal.apply(journal.head(), frame, changes)
        return journal

    async def journal_file(self, path: Path) -> SqliteJournal:
        """The same journal in a file."""
        journal = SqliteJournal.open(path, journal_id=JOURNAL_ID)
        for frame, changes in self.frames:
            await journal.append(journal.head(), frame, changes)
        return journal

    def cluster(self) -> Cluster:
        """A stream that stands there too."""
        config = {**stream_config(stream_name(JOURNAL_ID), JOURNAL_ID)}
        return Cluster(config, [frame.raw for frame, _ in self.frames])

    def new_store(self, path: Path) -> None:
        shutil.copyfile(self.folder / "agency.sqlite", path)

    def new_views(self, path: Path) -> None:
        """Views that stand there too: they go on from there."""
        shutil.copyfile(self.folder / "views.sqlite", path)


def _request(key: ec.EllipticCurvePrivateKey) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
