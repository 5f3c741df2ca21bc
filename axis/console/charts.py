"""Charts as images (SVG by pygal), so that the pages need no inline style or script.

Each stands beside a table of the same numbers, which is what a screen reader reads.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from axis.console import shown
from axis.console.filters import only
from axis.console.over_time import by_period
from axis.console.overview import Overview
from axis.console.periods import asked
from axis.console.reading import Reading
from axis.console.site import language
from axis.console.told import Wrong
from axis.console.words import Language, translator
from axis.views.unit import unit
from axis.views.units import branches
from axis.views.volumes import Selection

__all__ = ["Charts", "Look", "bars"]

_SHOWN: Final = 15
_NAMES: Final = ("sent", "received", "refused")
#: In light and in dark, each at least 3 : 1 against the ground (WCAG 2.2, 1.4.11); told apart without colour
#: by their order, which the legend names.
_COLOURS: Final = ("#17558f", "#2f8f57", "#c0392b", "#b7791f")
_DARK_COLOURS: Final = ("#86bdf0", "#7fcf9b", "#ff9a90", "#e6bd6a")
_IN_THE_DARK: Final = "\n".join(
    f"    .color-{place}, .color-{place} .reactive"
    f" {{ fill: {colour} !important; stroke: {colour} !important; }}"
    for place, colour in enumerate(_DARK_COLOURS)
)
#: An image follows the reader's scheme by itself. No number in it needs a pointer.
_CSS: Final = f"""
  .title, .legend text, .axis text {{ fill: #1d1b18; }}
  .axis .guides, .axis .line {{ stroke: #b8b1a4; }}
  @media (prefers-color-scheme: dark) {{
    .title, .legend text, .axis text {{ fill: #ece8e0 !important; }}
    .axis .guides, .axis .line {{ stroke: #5b564d !important; }}
{_IN_THE_DARK}
  }}
"""


@dataclass(frozen=True, slots=True)
class Look:
    """For whom an image is: the language of its numbers, and whether the screen is narrow (`size=small`),
    where larger letters and fewer labels stay readable.
    """

    language: Language
    small: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, in pixels; the pages say the same."""
        return (400, 360) if self.small else (1000, 420)

    @property
    def labels(self) -> int:
        """At most so many stand below."""
        return 6 if self.small else 24

    @classmethod
    def of(cls, request: web.Request) -> Look:
        """As a request asks for it. Refusal `field_invalid`."""
        size = request.query.get("size", "")
        if size not in {"", "small"}:
            raise Wrong("size", "one_of", known="small")
        return cls(language(request), size == "small")


Series = Sequence[tuple[str, Sequence[float]]]
_Rows = Sequence[dict[str, Any]]


class Charts:
    """`/charts/…`."""

    def __init__(self, reading: Reading, now: Callable[[], int], overview: Overview) -> None:
        self._reading, self._now, self._overview = reading, now, overview
        #: By title and look: the numbers, and the image of them or what draws it.
        self._drawn: dict[tuple[str, Look], tuple[_Rows, asyncio.Task[bytes]]] = {}

    async def minutes(self, request: web.Request) -> web.Response:
        """The last hour, minute by minute. `at` only makes it another address."""
        only(request.query, ("at", "size"))
        rows = [{**row, "sent": row["accepted"]} for row in (await self._overview.found())["minutes"]]
        return await self._shared(request, "chart.minutes", [row["at"][11:16] for row in rows], rows)

    async def days(self, request: web.Request) -> web.Response:
        """The last 30 days. `at` only makes it another address."""
        only(request.query, ("at", "size"))
        rows = (await self._overview.found())["days"]
        return await self._shared(request, "chart.days", _dates(request, rows, "day"), rows)

    async def units(self, request: web.Request) -> web.Response:
        """The units (with what stands below them) that sent and received most in a period."""
        now = self._now()
        days = asked(request, now, others=("subtree", "size")).days
        selection = Selection(subtree=request.query.get("subtree") or None, days=days)
        counted: Any = await self._reading.count(lambda views: branches(views, selection, now))
        rows = sorted(counted["rows"], key=lambda row: -(row["sent"] + row["received"]))[:_SHOWN]
        return await self._answer(request, "chart.units", [row["code"] for row in rows], rows)

    async def periods(self, request: web.Request) -> web.Response:
        """What was sent and received day by day or month by month."""
        now = self._now()
        days = asked(request, now, others=("subtree", "size")).days
        selection = Selection(subtree=request.query.get("subtree") or None, days=days)

        def read(views: sqlite3.Connection) -> dict[str, Any]:
            return by_period(views, selection, now)

        rows = (await self._reading.count(read))["rows"]
        return await self._answer(request, "chart.periods", _dates(request, rows, "period"), rows)

    async def hours(self, request: web.Request) -> web.Response:
        """What a unit sent and received by the hour of the day."""
        now = self._now()
        days = asked(request, now, others=("subtree", "size")).days
        code, selection = request.query.get("subtree", ""), Selection(days=days)
        found = await self._reading.count(lambda views: unit(views, code, selection, now, {}))
        say = translator(language(request))
        series = [
            (say(f"volume.{name}"), [row[name] for row in found["hours"]]) for name in ("sent", "received")
        ]
        labels = [str(row["hour"]) for row in found["hours"]]
        return svg(await self._draw(Look.of(request), say("chart.hours"), labels, series))

    async def _shared(self, request: web.Request, title: str, labels: list[str], rows: _Rows) -> web.Response:
        """Drawn once for all who look at the same numbers in the same way: who follows the first page
        asks for it whenever something happens.
        """
        key = title, Look.of(request)
        known, image = self._drawn.get(key, (None, None))
        if image is None or known != rows or (image.done() and image.exception() is not None):
            image = asyncio.create_task(self._drawing(request, title, labels, rows))
            self._drawn[key] = rows, image
        return svg(await asyncio.shield(image))

    async def _answer(self, request: web.Request, title: str, labels: list[str], rows: _Rows) -> web.Response:
        return svg(await self._drawing(request, title, labels, rows))

    async def _drawing(self, request: web.Request, title: str, labels: list[str], rows: _Rows) -> bytes:
        """What was sent, received, refused at each label."""
        look = Look.of(request)
        say = translator(look.language)
        series = [(say(f"volume.{name}"), [row[name] for row in rows]) for name in _NAMES]
        return await self._draw(look, say(title), labels, series)

    async def _draw(self, look: Look, title: str, labels: Sequence[str], series: Series) -> bytes:
        nothing = translator(look.language)("chart.nothing")
        return await self._reading.compute(lambda: bars(title, labels, series, nothing, look))


def _dates(request: web.Request, rows: _Rows, name: str) -> list[str]:
    """Days and months as people write them; days without their year where there is little room."""
    look = Look.of(request)
    if look.small and rows and len(rows[0][name]) == len("2026-11-29"):
        return [
            f"{row[name][8:]}/{row[name][5:7]}" if look.language == "vi" else row[name][5:] for row in rows
        ]
    return [shown.dated(row[name], look.language) for row in rows]


def svg(image: bytes) -> web.Response:
    """An image, new at each request: the numbers are."""
    return web.Response(body=image, content_type="image/svg+xml", charset="utf-8")


def bars(title: str, labels: Sequence[str], series: Series, nothing: str, look: Look) -> bytes:
    """A chart of columns: each label's values side by side. Computes; call it in a thread."""
    # Slow to import, and needed by nobody who only reads numbers.
    import pygal
    from pygal.style import Style

    # Its hook finds plugins, of which there are none here, in a way that Python 3.12 has done away with.
    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != "pygal"]
    width, height = look.size
    letters = 16 if look.small else 14
    steep = sum(map(len, labels[:: -(-len(labels) // look.labels) or 1])) * letters > width
    chart = pygal.Bar(
        js=[],
        css=["file://style.css", "file://graph.css", f"inline:{_CSS}"],
        style=Style(
            background="transparent",
            plot_background="transparent",
            colors=_COLOURS,
            font_family="sans-serif",
            label_font_size=letters,
            major_label_font_size=letters,
            legend_font_size=letters,
            title_font_size=16,
            no_data_font_size=20,
        ),
        title=None if look.small else title,  # the page has it above
        width=width,
        height=height,
        legend_at_bottom=True,
        legend_at_bottom_columns=3 if look.small else 4,
        order_min=0,  # nothing is counted in halves
        x_label_rotation=35 if steep else 0,
        x_labels_major_every=-(-len(labels) // look.labels) or 1,
        show_minor_x_labels=False,
        no_data_text=nothing,
        include_x_axis=True,
        print_values=False,
        margin_bottom=24,  # what stands at the bottom would touch what follows the image
        max_scale=5 if look.small else 8,
        value_formatter=lambda value: shown.number(round(value), look.language),
    )
    chart.x_labels = list(labels)
    for name, values in series:
        chart.add(name, list(values))
    image: bytes = chart.render()
    return image
