"""The report of volumes per unit: a page to print, CSV and XLSX, with the numbers of `axis volumes`.

A name is whatever somebody registered: in a spreadsheet it must never become a formula.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Callable, Sequence
from sqlite3 import Connection
from tempfile import TemporaryFile
from typing import IO, Any, Final

from aiohttp import web

from axis.console.periods import Asked, asked
from axis.console.reading import Reading
from axis.console.sending import send_parts
from axis.console.shown import plain
from axis.console.site import BEHIND, Site, language
from axis.console.words import Translate, translator
from axis.core.errors import Refusal
from axis.core.volumes import Counts
from axis.views.units import on_time
from axis.views.volumes import FIELDS, Selection, volumes

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


class Reports:
    """`/reports/volumes`, `.csv` and `.xlsx`."""

    def __init__(self, site: Site, reading: Reading, now: Callable[[], int]) -> None:
        self._site, self._reading, self._now = site, reading, now

    async def page(self, request: web.Request) -> web.Response:
        """To be printed."""
        period, subtree, count = self._asked(request)
        counted = await self._reading.count(count)
        values = {
            "counted": counted,
            "rows": counted["rows"][:_PRINTED],
            "columns": COLUMNS[3:],
            "period": period,
            "query": period.query | ({"subtree": subtree} if subtree else {}),
            "subtree": subtree,
        }
        return await self._reading.compute(lambda: self._site.page(request, "report", **values))

    async def csv(self, request: web.Request) -> web.StreamResponse:
        """RFC 4180, with the mark of UTF-8 that spreadsheets need."""
        return await self._file(request, "csv", _CSV, _write_csv)

    async def xlsx(self, request: web.Request) -> web.StreamResponse:
        """A workbook of one sheet."""
        return await self._file(request, "xlsx", _XLSX, _write_xlsx)

    def _asked(self, request: web.Request) -> tuple[Asked, str | None, Callable[[Connection], Counted]]:
        """The period, the subtree, and what counts them."""
        now = self._now()
        period = asked(request, now, others=("subtree",))
        subtree = request.query.get("subtree") or None
        selection = Selection(subtree=subtree, days=period.days)
        return period, subtree, lambda views: volumes(views, selection, now)

    async def _file(
        self,
        request: web.Request,
        suffix: str,
        content_type: str,
        write: Callable[[IO[bytes], list[str], list[Row]], None],
    ) -> web.StreamResponse:
        """The file is made whole first: nobody gets half of one that looks complete. Nor one whose numbers
        lack something, which nothing in it would say: Refusal `unavailable`.
        """
        if request.get(BEHIND, False):
            raise Refusal("unavailable", "the numbers are behind the journal: wait for them", retry_after=30)
        period, subtree, count = self._asked(request)
        say = translator(language(request))
        name = "-".join(["volumes", *filter(None, (subtree, period.name or f"{period.first}_{period.last}"))])
        with TemporaryFile() as file:
            await self._reading.count(lambda views: write(file, _heading(say), _rows(count(views), say)))
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


def _write_csv(file: IO[bytes], heading: list[str], rows: list[Row]) -> None:
    text = io.TextIOWrapper(file, "utf-8-sig", newline="", write_through=True)
    writer = csv.writer(text)  # its default dialect ends lines with CR LF, as RFC 4180 has it
    writer.writerow(heading)
    writer.writerows([plain(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    text.detach()


def _write_xlsx(file: IO[bytes], heading: list[str], rows: list[Row]) -> None:
    # Slow to import, and rarely asked for.
    import xlsxwriter

    # Row by row to a temporary file, however many units there are.
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    workbook = xlsxwriter.Workbook(file, options)
    bold, share = workbook.add_format({"bold": True}), workbook.add_format({"num_format": "0.0%"})
    sheet = workbook.add_worksheet()
    sheet.freeze_panes(1, 2)
    sheet.set_column(0, 0, 16)
    sheet.set_column(1, 1, 44)
    sheet.set_column(2, len(COLUMNS) - 1, 14)
    for column, title in enumerate(heading):
        sheet.write_string(0, column, title, bold)
    for number, row in enumerate(rows, 1):
        for column, cell in enumerate(row):
            if isinstance(cell, str):
                sheet.write_string(number, column, cell)
            elif cell is not None:
                sheet.write_number(number, column, cell, share if COLUMNS[column] == "on_time" else None)
    workbook.close()


def _safe(name: str) -> str:
    """For a header: a code and days hold nothing else, but whoever asks writes the query."""
    return "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "-_.") else "_" for letter in name
    )
