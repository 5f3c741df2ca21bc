"""`axis doctor`: what an operator would look after, each with what to do about it."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from axis import config, control
from axis.app.home import read_home
from axis.core import state
from axis.core.errors import Refusal
from axis.core.trust import CertificateInfo
from axis.flow.timekeeper import AHEAD_MS
from axis.journal.sqlite import SqliteJournal
from axis.ports import JournalBroken, StorageFull
from axis.views.file import open_readonly, read_position

__all__ = ["Check", "examine"]

_DAY: Final = 86_400
_WARN_DAYS: Final = 30
#: The axis's own: they must reach every node of a cluster, and everything ends with them.
_OWN_WARN_DAYS: Final = 60
_FREE_BYTES: Final = 1024**3
_SYNCHRONISE: Final = "Synchronise the clock (Decision 28/2018, article 13)."


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. `remedy` is empty where all is well."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""

    def as_json(self) -> dict[str, object]:
        """As a JSON object."""
        return asdict(self)


def examine(home: Path) -> list[Check]:
    """Look at everything. Raises config.ConfigError if this is no axis home."""
    settings = config.load(home)
    checks = [Check("configuration", True, f"agency API {settings.listen}, console {settings.console}")]
    for look in (_running, _permissions, _certificates, _organisations, _disk, _journal, _views):
        checks += _safely(look, home)
    return checks


def _safely(look: Callable[[Path], Iterator[Check]], home: Path) -> list[Check]:
    """A check that cannot be made is a finding too."""
    name = look.__name__.removeprefix("_")
    try:
        return list(look(home))
    except (OSError, ValueError, sqlite3.Error, JournalBroken, StorageFull, Refusal) as error:
        return [Check(name, False, str(error), "See whether the files are there and readable for this user.")]


def _running(home: Path) -> Iterator[Check]:
    try:
        answer = asyncio.run(control.call(home, "node.status", {}, 10.0))
    except control.NotRunning:
        yield Check("node", True, "not running")
        return
    status = answer if isinstance(answer, dict) else {}
    broken = status.get("broken")
    remedy = "Stop the node, run axis audit, and mend or restore the journal." if broken else ""
    detail = f"appends are stopped: {broken}" if broken else f"running, {status.get('in_flight')} in flight"
    yield Check("node", not broken, detail, remedy)
    if doubt := status.get("doubt"):
        remedy = "axis cluster status shows servers and nodes; docs/operations.md says what to do."
        yield Check("cluster", False, f"nothing is appended: {doubt}", remedy)
    if doubt := status.get("clock_doubt"):
        yield Check("clock", False, f"nothing is appended: {doubt}", _SYNCHRONISE)


def _permissions(home: Path) -> Iterator[Check]:
    secret = [home, home / "pki", home / "keys", *home.glob("keys/**/*.key"), *home.glob("pki/*.key")]
    secret += [
        path
        for path in (home / "console.token", home / "operators.json", home / "journal.sqlite")
        if path.exists()
    ]
    wrong = [path for path in secret if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077]
    foreign = [path for path in secret if path.exists() and path.stat().st_uid != os.geteuid()]
    remedy = "chmod go-rwx " + " ".join(map(str, wrong)) if wrong else ""
    detail = (
        ", ".join(f"{path} is open to others" for path in wrong) or "keys and folders are this user's only"
    )
    yield Check("permissions", not wrong, detail, remedy)
    if foreign:
        owned = ", ".join(map(str, foreign))
        yield Check("owner", False, f"not this user's: {owned}", "Run the node as the owner of its home.")


def _certificates(home: Path) -> Iterator[Check]:
    now = time.time()
    own = read_home(home).own
    for usage, info in (("tls", own.current.tls), ("sign", own.current.sign)):
        ends = datetime.fromtimestamp(info.not_after / 1000, UTC)
        days = int((ends.timestamp() - now) // _DAY)
        begun = info.not_before / 1000 <= now
        detail = f"the axis's {usage} certificate is good until {ends:%Y-%m-%d} ({days} days)"
        revoked = _is_revoked(home, info)
        if revoked:
            detail = f"the axis's {usage} certificate is revoked: nodes believe nothing that it signs"
        remedy = "axis keys rotate" if revoked or days < _OWN_WARN_DAYS else ""
        yield Check("certificates", begun and not remedy, detail, remedy if begun else _SYNCHRONISE)
    if own.interrupted:
        yield Check("rotation", False, "a change of the axis's keys was broken off", "axis keys rotate")


def _organisations(home: Path) -> Iterator[Check]:
    path, now = home / "views.sqlite", time.time()
    if not path.is_file():
        return
    with closing(open_readonly(path)) as connection:
        if read_position(connection) is None:
            return  # never built, or about to be built anew: the views' own check says so
        rows = connection.execute(
            "SELECT organisation, max(not_after) FROM certificates WHERE revoked_sequence = 0"
            " AND organisation <> 'axis' GROUP BY organisation HAVING max(not_after) < ?",
            ((now + _WARN_DAYS * _DAY) * 1000,),
        ).fetchall()
    soon = ", ".join(row[0] for row in rows[:20])
    detail = f"expire within {_WARN_DAYS} days: {soon}" if rows else "no organisation's expires soon"
    remedy = "axis org token CODE, and let them enrol again." if rows else ""
    yield Check("organisations", not rows, detail, remedy)


def _is_revoked(home: Path, info: CertificateInfo) -> bool:
    journal = SqliteJournal.open(home / "journal.sqlite", readonly=True)
    try:
        fact = state.certificate(journal, info.sha256)
    finally:
        asyncio.run(journal.close())
    return fact is not None and fact.revoked_sequence > 0


def _disk(home: Path) -> Iterator[Check]:
    free = shutil.disk_usage(home).free
    remedy = "" if free >= _FREE_BYTES else "Free some space: without it the axis accepts nothing."
    yield Check("disk", free >= _FREE_BYTES, f"{free // 1024**2} MiB free", remedy)


def _journal(home: Path) -> Iterator[Check]:
    journal = SqliteJournal.open(home / "journal.sqlite", readonly=True)
    try:
        head = journal.head()
    finally:
        asyncio.run(journal.close())
    detail = f"SQLite {sqlite3.sqlite_version}, {head.number} frames, {head.sequence} records"
    yield Check("engine", True, detail)
    ahead = head.at - time.time_ns() // 1_000_000
    ok = ahead <= AHEAD_MS
    detail = (
        f"the newest frame is {ahead // 1000} s ahead of the clock: nothing is appended"
        if not ok
        else "not before the journal's time"
    )
    yield Check("clock", ok, detail, "" if ok else _SYNCHRONISE)


def _views(home: Path) -> Iterator[Check]:
    path = home / "views.sqlite"
    if not path.is_file():
        yield Check("views", True, "not built yet")
        return
    with closing(open_readonly(path)) as connection:
        if not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            yield Check("views", True, "not built yet")
            return
        position = read_position(connection)
    remedy = "" if position else "axis views rebuild"
    yield Check("views", position is not None, f"at record {position.sequence if position else 0}", remedy)
