"""The axis's home: settings, keys, authority, journal. Made once by `init_home`, all of it or nothing usable.

`axis.toml` is written last: a home without it was never finished, and `init_home` goes on with what is
there. The authority's keys (`HOME/pki`) are made here and then never read by the node again (design
decision 12).
"""

from __future__ import annotations

import asyncio
import socket
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from axis import config
from axis.app.own_keys import OwnKeys, pem, read_pem, request
from axis.control import HomeLock
from axis.core.decide import Found, RecordCertificate
from axis.core.trust import Anchors, read_certificate
from axis.durable import sync_folder, write_whole
from axis.flow.sequencer import Sequencer
from axis.journal.sqlite import SqliteJournal

__all__ = [
    "CLUSTER_KEYS",
    "VIEWS_FILE",
    "Home",
    "HomeExists",
    "SystemClock",
    "boot_seconds",
    "give_cluster_keys",
    "init_home",
    "join_home",
    "read_home",
    "set_journal",
]

VIEWS_FILE: Final = "views.sqlite"
#: Folder under `keys/` of a home's keys for the cluster: ca.pem, tls.crt, tls.key.
CLUSTER_KEYS: Final = "cluster"
_CLUSTER_FILES: Final = ("ca.pem", "tls.key", "tls.crt")
_TRUST_FILES: Final = ("anchors.pem", "chain.pem")
_PRIVATE: Final = 0o700


class HomeExists(Exception):
    """There is an axis home already."""


class SystemClock:
    """ports.Clock: the machine's."""

    def now(self) -> int:
        """Milliseconds since the epoch (UTC)."""
        return time.time_ns() // 1_000_000

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


def boot_seconds() -> float:
    """Seconds since the machine started, asleep or awake: nobody sets this clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Home:
    """What a home's files say."""

    path: Path
    settings: config.Settings
    anchors: Anchors
    own: OwnKeys

    @property
    def journal_path(self) -> Path:
        """The journal's file."""
        return self.path / "journal.sqlite"

    @property
    def views_path(self) -> Path:
        """The views' file."""
        return self.path / VIEWS_FILE

    @property
    def blobs_path(self) -> Path:
        """The blobs' folder."""
        return self.path / "blobs"

    @property
    def keys_path(self) -> Path:
        """The folder of the axis's own keys and certificates."""
        return self.path / "keys"

    @property
    def cluster_keys_path(self) -> Path:
        """The folder of its keys for the cluster; it need not be there."""
        return self.keys_path / CLUSTER_KEYS

    @property
    def pki_path(self) -> Path:
        """The certificate authority's home; it may be elsewhere, and need not be there."""
        return Path(self.settings.issuer_home) if self.settings.issuer_home else self.path / "pki"


def read_home(path: Path) -> Home:
    """Read a home. Raises config.ConfigError."""
    settings = config.load(path)
    keys = path / "keys"
    try:
        anchors = Anchors(read_pem(keys / "anchors.pem"), read_pem(keys / "chain.pem"))
    except (OSError, ValueError, IndexError) as error:
        raise config.ConfigError(f"{keys}: {error}") from error
    return Home(path, settings, anchors, OwnKeys.read(keys, anchors))


def init_home(
    home: Path,
    listen: str = config.DEFAULT_LISTEN,
    console: str = config.DEFAULT_CONSOLE,
    names: Sequence[str] = (),
) -> Home:
    """Make an axis home: authority, the axis's keys and certificates, an empty journal, settings.

    `names` are further host names and addresses for the TLS certificate. Not for use within an event loop.
    Raises HomeExists, HomeBusy, config.ConfigError (an address that is none).
    """
    config.parse_address(console)
    host, _ = config.parse_address(listen)
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(_PRIVATE)
    with HomeLock(home):
        if (home / config.SETTINGS_FILE).exists():
            raise HomeExists(f"{home} is an axis home already")
        _make_keys(home, _host_names(host, names))
        settings = config.Settings(listen=listen, console=console, names=tuple(names))
        # The journal before the settings: a home that has settings is whole.
        asyncio.run(_found_journal(home))
        config.save(home, settings)
        sync_folder(home)
    return read_home(home)


def join_home(source: Path, home: Path, listen: str, console: str, *, url: str = "") -> Home:
    """Make the home of another node of the same axis, with the keys of `source` and an empty journal.

    The authority stays where it is. The new node reads the journal from the cluster when it first serves.
    Raises HomeExists, HomeBusy, config.ConfigError (also when `source` is in no cluster).
    """
    first = read_home(source)
    if not first.settings.journal:
        raise config.ConfigError(f"{source} is in no cluster: axis serve --journal nats://… first")
    config.parse_address(console)
    config.parse_address(listen)
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(_PRIVATE)
    with HomeLock(home):
        if (home / config.SETTINGS_FILE).exists():
            raise HomeExists(f"{home} is an axis home already")
        _copy_keys(first.keys_path, home / "keys", _TRUST_FILES)
        _write_keys(home / "keys", first.own.current.files)
        if (first.keys_path / CLUSTER_KEYS).is_dir():
            _copy_keys(first.keys_path / CLUSTER_KEYS, home / "keys" / CLUSTER_KEYS, _CLUSTER_FILES)
        journal = SqliteJournal.open(first.journal_path, readonly=True)
        journal_id = journal.head().journal_id
        asyncio.run(journal.close())
        asyncio.run(SqliteJournal.open(home / "journal.sqlite", journal_id=journal_id).close())
        settings = first.settings.model_copy(
            update={"listen": listen, "console": console, "url": url, "issuer_home": ""}
        )
        config.save(home, settings)
        sync_folder(home)
    return read_home(home)


def set_journal(home: Path, url: str) -> None:
    """Keep in the settings where the journal is shared: `nats://HOST:PORT,…`. Raises config.ConfigError.

    The way back is `axis.app.leaving`.
    """
    settings = config.load(home)
    if not url.startswith("nats://"):
        raise config.ConfigError(f"{url!r} is not nats://HOST:PORT,HOST:PORT,…")
    if settings.journal != url:
        config.save(home, settings.model_copy(update={"journal": url}))


def give_cluster_keys(home: Path, source: Path) -> None:
    """Copy the axis nodes' key for the cluster (`axis cluster keys` made it) into a home."""
    config.load(home)
    _copy_keys(source, home / "keys" / CLUSTER_KEYS, _CLUSTER_FILES)


def _copy_keys(source: Path, target: Path, names: Iterable[str]) -> None:
    _write_keys(target, {name: (source / name).read_bytes() for name in names})


def _write_keys(target: Path, files: Mapping[str, bytes]) -> None:
    target.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
    for name, data in files.items():
        write_whole(target / name, data, 0o600 if name.endswith(".key") else 0o644)


def _make_keys(home: Path, names: Iterable[str]) -> None:
    """The authority and the axis's two key pairs. Repeated after a crash it keeps what is there."""
    from certs.authority import Authority

    now = SystemClock().now()
    pki, keys = home / "pki", home / "keys"
    authority = Authority.open(pki) if pki.exists() else Authority.create(pki, now)
    keys.mkdir(mode=_PRIVATE, exist_ok=True)
    requests = [request(keys / f"{usage}.key") for usage in ("tls", "sign")]
    tls, sign = authority.issue_axis(requests[0], requests[1], list(names), now)
    write_whole(keys / "anchors.pem", pem(authority.anchors))
    write_whole(keys / "chain.pem", pem(authority.intermediates))
    write_whole(keys / "tls.crt", pem((tls, *authority.intermediates)))
    write_whole(keys / "sign.crt", pem((sign, *authority.intermediates)))


async def _found_journal(home: Path) -> None:
    """The journal's first records: which axis this is, and its own two certificates."""
    keys, path = home / "keys", home / "journal.sqlite"
    anchors = Anchors(read_pem(keys / "anchors.pem"), read_pem(keys / "chain.pem"))
    journal = SqliteJournal.open(path, journal_id=None if path.exists() else str(uuid.uuid4()))
    sequencer = Sequencer(journal, SystemClock(), lambda signed: b"")  # nothing is accepted here
    running = asyncio.create_task(sequencer.run())
    try:
        await sequencer.submit(Found(anchors.axis_id, anchors.anchors, anchors.intermediates))
        for usage in ("tls", "sign"):
            info = read_certificate(read_pem(keys / f"{usage}.crt")[0])
            await sequencer.submit(RecordCertificate(info))
    finally:
        sequencer.drain()
        await running
        await journal.close()


def _host_names(host: str, names: Iterable[str]) -> list[str]:
    """What the TLS certificate is good for: the listening address, this machine's names, and those given."""
    own = ["localhost", "127.0.0.1", "::1", "axis", socket.gethostname()]
    listening = [] if host in ("0.0.0.0", "::") else [host]
    return list(dict.fromkeys(name for name in (*listening, *own, *names) if name))
