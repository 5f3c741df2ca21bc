"""The report of volumes per unit: a page to print, CSV and XLSX, with the numbers of `axis volumes`.

A name is whatever somebody registered: in a spreadsheet it must never become a formula.
"""

from __future__ import annotations

import asyncio
import csv
import io
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO, Any, Final

from aiohttp import web

from axis.console.periods import Asked, asked, written
from axis.console.reading import Reading
from axis.console.sending import send_parts
from axis.console.shown import plain
from axis.console.site import BEHIND, Site, language
from axis.console.words import Language, Translate, translator
from axis.core.errors import Refusal
from axis.core.volumes import Counts
from axis.views.units import names_of, on_time
from axis.views.volumes import FIELDS, Selection, resolve, volumes

__all__ = ["COLUMNS", "Reports"]

COLUMNS: Final = ("code", "name", "parent", *FIELDS[:9], "on_time", *FIELDS[9:])
_TEXTS: Final = {"code": "unit.code", "name": "unit.name", "parent": "unit.parent"}
#: A printed page of more units than this is of no use, and a browser would not lay it out.
_PRINTED: Final = 3000
_CHUNK: Final = 65_536
_CSV: Final = "text/csv; charset=utf-8; header=present"
_XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

Row = Sequence[str | int | float | None]
Counted = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Report:
    """What was asked for and counted; `branch` is the unit's code and name, empty for all."""

    period: Asked
    subtree: str | None
    branch: str
    counted: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Sheets:
    """A table with its heading; and what it is of, line by line."""

    titles: tuple[str, str]
    heading: list[str]
    rows: list[Row]
    about: list[Row]


class Reports:
    """`/reports/volumes`, `.csv` and `.xlsx`."""

    def __init__(self, site: Site, reading: Reading, now: Callable[[], int]) -> None:
        self._site, self._reading, self._now = site, reading, now

    async def page(self, request: web.Request) -> web.Response:
        """To be printed."""
        report = await self._reading.count(self._asked(request))
        subtree = {"subtree": report.subtree} if report.subtree else {}
        values = {
            "counted": report.counted,
            "rows": report.counted["rows"][:_PRINTED],
            "columns": COLUMNS[3:],
            "period": report.period,
            "query": report.period.query | subtree,
            "branch": report.branch,
        }
        return await self._reading.compute(lambda: self._site.page(request, "report", **values))

    async def csv(self, request: web.Request) -> web.StreamResponse:
        """RFC 4180, with the mark of UTF-8 that spreadsheets need."""
        return await self._file(request, "csv", _CSV, _write_csv)

    async def xlsx(self, request: web.Request) -> web.StreamResponse:
        """A workbook: the table, and a sheet that says what it is of."""
        return await self._file(request, "xlsx", _XLSX, _write_xlsx)

    def _asked(self, request: web.Request) -> Callable[[sqlite3.Connection], _Report]:
        """What counts the report that is asked for."""
        now = self._now()
        period = asked(request, now, others=("subtree",))
        subtree = request.query.get("subtree") or None
        selection = Selection(subtree=subtree, days=period.days)

        def read(views: sqlite3.Connection) -> _Report:
            counted = volumes(views, selection, now)
            return _Report(period, subtree, _branch(views, subtree) if subtree else "", counted)

        return read

    async def _file(
        self,
        request: web.Request,
        suffix: str,
        content_type: str,
        write: Callable[[IO[bytes], _Sheets], None],
    ) -> web.StreamResponse:
        """The file is made whole first: nobody gets half of one that looks complete. Nor one whose numbers
        lack something, which nothing in it would say: Refusal `unavailable`.
        """
        if request.get(BEHIND, False):
            raise Refusal("unavailable", "the numbers are behind the journal: wait for them", retry_after=30)
        count, spoken = self._asked(request), language(request)
        with TemporaryFile() as file:

            def made(views: sqlite3.Connection) -> _Report:
                report = count(views)
                write(file, _sheets(report, spoken))
                return report

            report = await self._reading.count(made)
            period = report.period.name or f"{report.period.first}_{report.period.last}"
            name = "-".join(["volumes", *filter(None, (report.subtree, period))])
            size = file.tell()
            file.seek(0)
            response = web.StreamResponse()
            response.headers["Content-Type"] = content_type
            response.headers["Content-Disposition"] = f'attachment; filename="{_safe(name)}.{suffix}"'
            response.content_length = size
            return await send_parts(request, response, _parts(file))


async def _parts(file: IO[bytes]) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(file.read, _CHUNK):
        yield chunk


def _branch(views: sqlite3.Connection, subtree: str) -> str:
    code = resolve(views, subtree)
    return f"{code} {names_of(views, (code,))[code]}"


def _sheets(report: _Report, spoken: Language) -> _Sheets:
    say, counted = translator(spoken), report.counted
    about: list[Row] = [
        (say("report.heading"), say("frame.axis")),
        (say("period.named"), written(say, spoken, report.period)),
        (say("report.branch"), report.branch or say("units.all")),
        (say("report.sequence"), _sequence(counted["head"])),
        (say("audit.head"), counted["head"]),
        (say("report.made"), counted["generated_at"]),
    ]
    return _Sheets((say("report.table"), say("report.about")), _heading(say), _rows(counted, say), about)


def _sequence(head: str) -> int:
    """Of a head as it is written, `journal:sequence:hash`; 0 of none."""
    return int(head.rsplit(":", 2)[1]) if head else 0


def _heading(say: Translate) -> list[str]:
    """Cells hold bare numbers: what they count is said here."""
    words = {name: say(_TEXTS.get(name, f"volume.{name}")) for name in COLUMNS}
    words |= {
        name: say("report.in_bytes", column=words[name]) for name in COLUMNS if name.startswith("bytes")
    }
    return list(words.values())


def _rows(counted: Counted, say: Translate) -> list[Row]:
    """The units, then the total."""
    total = {"code": say("volume.total"), "name": "", "parent": "", **counted["total"]}
    return [
        [_share(row) if name == "on_time" else row[name] for name in COLUMNS]
        for row in (*counted["rows"], total)
    ]


def _share(row: dict[str, Any]) -> float | None:
    return on_time(Counts(**{name: row[name] for name in FIELDS}))


def _write_csv(file: IO[bytes], sheets: _Sheets) -> None:
    text = io.TextIOWrapper(file, "utf-8-sig", newline="", write_through=True)
    writer = csv.writer(text)  # its default dialect ends lines with CR LF, as RFC 4180 has it
    writer.writerow(sheets.heading)
    writer.writerows([plain(cell) if isinstance(cell, str) else cell for cell in row] for row in sheets.rows)
    text.detach()


def _write_xlsx(file: IO[bytes], sheets: _Sheets) -> None:
    # Slow to import, and rarely asked for.
    import xlsxwriter

    # Row by row to a temporary file, however many units there are.
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    workbook = xlsxwriter.Workbook(file, options)
    bold, share = workbook.add_format({"bold": True}), workbook.add_format({"num_format": "0.0%"})
    formats = {COLUMNS.index("on_time"): share}
    table, about = (workbook.add_worksheet(title) for title in sheets.titles)
    table.freeze_panes(1, 2)
    table.set_column(0, 0, 16)
    table.set_column(1, 1, 44)
    table.set_column(2, len(COLUMNS) - 1, 14)
    _write_row(table, 0, sheets.heading, dict.fromkeys(range(len(COLUMNS)), bold))
    for number, row in enumerate(sheets.rows, 1):
        _write_row(table, number, row, formats)
    about.set_column(0, 0, 30)
    about.set_column(1, 1, 90)
    for number, row in enumerate(sheets.about):
        _write_row(about, number, row, {0: bold})
    workbook.close()


def _write_row(sheet: Any, number: int, row: Row, formats: dict[int, Any]) -> None:
    for column, cell in enumerate(row):
        if isinstance(cell, str):
            sheet.write_string(number, column, cell, formats.get(column))
        elif cell is not None:
            sheet.write_number(number, column, cell, formats.get(column))


def _safe(name: str) -> str:
    """For a header: a code and days hold nothing else, but whoever asks writes the query."""
    return "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "-_.") else "_" for letter in name
    )
