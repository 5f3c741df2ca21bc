"""How the looking commands reach a home's views, and how long work shows itself."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol

from axis import config, control
from axis.audit import AuditReport, Problem
from axis.core.errors import Refusal
from axis.journal.sqlite import SqliteJournal
from axis.ports import JournalBroken, StoredRecord
from axis.views.file import ask_rebuild, open_readonly, read_position
from axis.views.projection import SCHEMA_VERSION, Views
from axis.views.traffic import Filter, page, traffic

__all__ = ["audit_home", "follow_log", "read_record", "reading", "rebuild"]

#: A node that is just starting or stopping holds its home's lock without answering yet, or any more.
_LOCK_SECONDS: Final = 15.0
_SYNC_SECONDS: Final = 30.0
_FOLLOW_SECONDS: Final = 0.5
_AT_ONCE: Final = 1000
_STALLED_SECONDS: Final = 60.0


class _Tell(Protocol):
    """Moves a bar; fits both the views' progress and the audit's."""

    def __call__(self, done: int, of: int, what: str = "") -> None: ...


@contextmanager
def reading(home: Path) -> Iterator[sqlite3.Connection]:
    """A read-only connection to views that are at the journal's head of now."""
    _beside(home, lambda: _catch_up(home))
    with closing(open_readonly(home / "views.sqlite")) as connection:
        yield connection


def read_record(home: Path, sequence: int) -> StoredRecord | None:
    """One record of the journal."""
    with _journal(home) as journal:
        return journal.record(sequence)


def follow_log(home: Path, wanted: Filter, follow: bool) -> Iterator[list[dict[str, object]]]:
    """The lines that match; with `follow` what comes as well, until interrupted."""
    with reading(home) as connection:
        position = read_position(connection)
        seen = position.sequence if position else 0
        yield traffic(connection, replace(wanted, before=seen + 1))
        while follow:
            time.sleep(_FOLLOW_SECONDS)
            # Beside a stopped node there is nobody else who would bring the views up; perhaps it starts.
            with suppress(control.HomeBusy, Refusal):
                _beside(home, lambda: _catch_up(home))
            more = True
            while more:
                found = page(connection, replace(wanted, after=seen, limit=_AT_ONCE), newer=True)
                more = not found.complete or len(found.lines) == _AT_ONCE
                seen = found.newer
                if found.lines:
                    yield found.lines[::-1]


def rebuild(home: Path) -> dict[str, object]:
    """Build the views anew: by the running node, else here."""
    began = time.monotonic()

    def here() -> None:
        with _progress("views") as tell, _journal(home) as journal, _views(home) as views:
            views.rebuild(journal, tell)

    if _beside(home, here, operation="node.status"):
        _rebuild_beside(home)
    with closing(open_readonly(home / "views.sqlite")) as connection:
        position = read_position(connection)
    head = position.head if position else ""
    sequence = position.sequence if position else 0
    return {"head": str(head), "sequence": sequence, "seconds": round(time.monotonic() - began, 1)}


def audit_home(home: Path, quick: bool) -> AuditReport:
    """Audit a home's files, running or not; the views are brought up first if they belong to the journal."""
    from axis.app.audit_run import audit_files
    from axis.app.home import read_home

    settings = read_home(home)
    odd: tuple[Problem, ...] = ()
    try:
        _beside(home, lambda: _catch_up(home, foreign=False))
    except JournalBroken as error:
        odd = (Problem(0, "journal_broken", f"no node would start with it: {error}"),)
    except (Refusal, sqlite3.DatabaseError) as error:
        odd = (Problem(0, "views_behind", f"the views cannot be brought up: {error}"),)
    with _progress("audit") as tell:
        report = audit_files(settings, quick, lambda what, done, of: tell(done, of, what))
    return replace(report, problems=(*odd, *report.problems))


def _beside(home: Path, here: Callable[[], None], operation: str = "views.sync") -> bool:
    """Ask the running node for an operation, and answer True; else do the work here, under the lock."""
    config.load(home)
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        with suppress(control.NotRunning):
            asyncio.run(control.call(home, operation, {}, _SYNC_SECONDS))
            return True
        try:
            with control.HomeLock(home):
                here()
                return False
        except control.HomeBusy:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _catch_up(home: Path, *, foreign: bool = True) -> None:
    """Bring the views up; an audit (`foreign` false) must not mend what it judges, hence only sound ones."""
    with _progress("views") as tell, _journal(home) as journal:
        if not foreign and not _ours(home / "views.sqlite", journal):
            return
        with _views(home) as views:
            views.catch_up(journal, tell)


def _ours(path: Path, journal: SqliteJournal) -> bool:
    """Whether views may be brought up: there are none yet, or they stand somewhere in this journal."""
    if not path.is_file():
        return True
    with closing(open_readonly(path)) as connection:
        position = read_position(connection)
    if position is None:
        return True
    if (position.version, position.journal_id) != (SCHEMA_VERSION, journal.head().journal_id):
        return False
    return position.sequence == 0 or journal.frame_hash(position.sequence) == position.sha256


def _rebuild_beside(home: Path) -> None:
    """Ask the node that follows the journal, and watch its views come."""
    path = home / "views.sqlite"
    with _journal(home) as journal:
        target = journal.head().sequence
    ask_rebuild(path)
    reached, deadline = 0, time.monotonic() + _STALLED_SECONDS
    with _progress("views") as tell, closing(open_readonly(path)) as connection:
        while reached < target:
            time.sleep(0.1)
            position = read_position(connection)
            sequence = position.sequence if position else 0
            if sequence != reached:
                reached, deadline = sequence, time.monotonic() + _STALLED_SECONDS
                tell(min(reached, target), target)
            if time.monotonic() > deadline:
                raise Refusal("unavailable", "the running node does not build its views: see its log")


@contextmanager
def _journal(home: Path) -> Iterator[SqliteJournal]:
    journal = SqliteJournal.open(home / "journal.sqlite", readonly=True)
    try:
        yield journal
    finally:
        asyncio.run(journal.close())


@contextmanager
def _views(home: Path) -> Iterator[Views]:
    views = Views.open(home / "views.sqlite")
    try:
        yield views
    finally:
        views.close()


@contextmanager
def _progress(title: str) -> Iterator[_Tell]:
    """A bar on a terminal's standard error, shown once there is something to wait for."""
    if not sys.stderr.isatty():
        yield lambda done, of, what="": None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns: tuple[Any, ...] = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None, visible=False)
        began = time.monotonic()

        def tell(done: int, of: int, what: str = "") -> None:
            shown = f"{title}: {what}" if what else title
            bar.update(
                task, description=shown, completed=done, total=of, visible=time.monotonic() - began > 0.5
            )

        yield tell
