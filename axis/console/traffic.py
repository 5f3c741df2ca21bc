"""The traffic log: every event of the journal, filtered, in pages; what is new as it comes; exports."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final

from aiohttp import web

from axis.console.filters import KINDS, OUTCOMES, as_reason, filter_of, goes_forward
from axis.console.live import Live
from axis.console.reading import Reading
from axis.console.sending import send_parts
from axis.console.shown import plain
from axis.console.site import Site
from axis.console.told import Wrong
from axis.core.document import STATUS_CODES
from axis.core.errors import CODES, Refusal
from axis.views.criteria import EVENTS
from axis.views.queries import query
from axis.views.traffic import Line, Page, every_page, page, parties
from axis.views.units import names_of

__all__ = ["Traffic"]

_PAGE: Final = 100
_NEW_AT_ONCE: Final = 200
#: Exports at the same time.
_EXPORTS: Final = 4
_PLACES: Final = frozenset({"after", "before"})
_COLUMNS: Final = (
    "sequence", "at", "event", "document_id", "kind", "from", "to", "number", "subject", "outcome", "code",
    "reason", "bytes", "count", "about", "trace_id",
    "operator",
)  # fmt: skip

_Chunks = Callable[[Iterator[list[Line]]], Iterator[bytes]]


class Traffic:
    """`/traffic` and its twins."""

    def __init__(self, site: Site, reading: Reading, live: Live) -> None:
        self._site, self._reading, self._live = site, reading, live
        self._exports = asyncio.Semaphore(_EXPORTS)

    async def page(self, request: web.Request) -> web.Response:
        """One page, newest first."""
        given = dict(request.query)
        reasons = await self._reading.read(_reasons)
        try:
            wanted = filter_of(request.query, _PAGE)
            newer = goes_forward(request.query, wanted)
            found, names = await self._reading.read(
                lambda views: _named(page(views, wanted, newer=newer), views)
            )
        except Refusal as refusal:
            if refusal.name != "field_invalid":
                raise
            form = _form(given, reasons)
            return self._site.page(
                request, "traffic", status=422, **form, found=None, problem=refusal, tail=None
            )
        # Only the newest page goes on by itself.
        at_top = wanted.before is None and not newer
        form = _form(given, reasons)
        values = {
            **form,
            "found": found,
            "names": names,
            "problem": None,
            "tail": {**form["asked"], "after": found.newer} if at_top and wanted.until is None else None,
        }
        return await self._reading.compute(lambda: self._site.page(request, "traffic", **values))

    async def follow(self, request: web.Request) -> web.StreamResponse:
        """Rows beyond `after`, newest first, as they come."""
        wanted = filter_of(request.query, _NEW_AT_ONCE)
        if wanted.before is not None:
            raise Wrong("before", "live")

        async def newer(seen: int) -> tuple[dict[str, str], int]:
            here = replace(wanted, after=seen)
            found, names = await self._reading.follow(
                lambda views: _named(page(views, here, newer=True), views)
            )
            # A filter whose time is over ends before the head, and would never come beyond it.
            all_seen = found.complete and len(found.lines) < wanted.limit
            reached = found.head if all_seen else found.newer
            if not found.lines:
                return {}, reached
            rows = self._site.fragment(request, "traffic_rows", lines=found.lines, names=names)
            return {"rows": rows}, reached

        return await self._live.stream(request, wanted.after, newer)

    async def as_csv(self, request: web.Request) -> web.StreamResponse:
        """Every row of the filter, newest first, as CSV (RFC 4180, UTF-8 with its mark for spreadsheets)."""
        return await self._export(request, "text/csv", "traffic.csv", _csv_chunks)

    async def as_json(self, request: web.Request) -> web.StreamResponse:
        """Every row of the filter, newest first, one JSON object a line."""
        return await self._export(request, "application/x-ndjson", "traffic.ndjson", _json_chunks)

    async def _export(
        self, request: web.Request, content_type: str, name: str, chunks: _Chunks
    ) -> web.StreamResponse:
        wanted = filter_of(request.query)
        if self._exports.locked():
            raise Refusal("unavailable", "too many exports are under way", retry_after=10)
        async with self._exports:
            response = web.StreamResponse()
            response.content_type, response.charset = content_type, "utf-8"
            response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
            async with aclosing(self._reading.each(lambda views: chunks(every_page(views, wanted)))) as parts:
                return await send_parts(request, response, parts)


def _named(found: Page, views: sqlite3.Connection) -> tuple[Page, dict[str, str]]:
    """A page, with the names of the units that it names."""
    return found, names_of(views, parties(found.lines))


def _reasons(views: sqlite3.Connection) -> list[str]:
    """What recipients refused with most, to choose from."""
    return [as_reason(row["reason"]) for row in views.execute(query("reasons"))]


def _form(given: Mapping[str, str], reasons: Sequence[str]) -> dict[str, Any]:
    """What the filter's form shows."""
    return {
        "reasons": reasons,
        "codes": sorted(CODES),
        "statuses": sorted(STATUS_CODES),
        "given": given,
        "events": EVENTS,
        "kinds": KINDS,
        "outcomes": OUTCOMES,
        "asked": {name: value for name, value in given.items() if name not in _PLACES and _asks(name, value)},
    }


def _asks(name: str, value: str) -> bool:
    """Whether a field of the form says anything: it sends its empty ones too, and the direction always."""
    return bool(value.strip()) and (name, value) != ("direction", "either")


def _csv_chunks(pages: Iterator[list[Line]]) -> Iterator[bytes]:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    text.write("\ufeff")
    writer.writerow(_COLUMNS)
    for lines in pages:
        writer.writerows([_cell(line.get(column)) for column in _COLUMNS] for line in lines)
        yield text.getvalue().encode()
        text.seek(0)
        text.truncate()
    yield text.getvalue().encode()  # the heading, where there is no page


def _cell(value: object) -> object:
    if isinstance(value, list):
        value = " ".join(map(str, value))
    return plain(value) if isinstance(value, str) else value


def _json_chunks(pages: Iterator[list[Line]]) -> Iterator[bytes]:
    for lines in pages:
        yield "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
