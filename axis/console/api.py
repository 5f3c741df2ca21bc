"""JSON for machines: what the pages and the command line show, from the same queries."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, cast, get_args

from aiohttp import web

from axis.console.documents import Documents
from axis.console.filters import FILTER, SUBTREE, filter_of, only, wants_newer
from axis.console.periods import ALL, PERIOD, asked
from axis.console.reading import Reading
from axis.console.shapes.documents import Document, TrafficPage
from axis.console.shapes.volumes import Volumes
from axis.core.errors import Refusal
from axis.openapi import Parameter, Route
from axis.views.traffic import page
from axis.views.volumes import By, Kind, Selection, volumes

__all__ = ["Api", "json_answer", "selection_of"]

_DOCUMENT: Final = Parameter("document_id", "path", "the document's id")

#: Elements of a list that are made JSON in one go: a millisecond or so.
_PIECE: Final = 200
_dumps: Final = partial(json.dumps, ensure_ascii=False)


class Api:
    """The twins under `/api/v1`."""

    def __init__(self, reading: Reading, documents: Documents, now: Callable[[], int]) -> None:
        self._reading, self._documents, self._now = reading, documents, now

    def routes(self) -> tuple[Route, ...]:
        """What is served."""
        by = Parameter("by", "query", "a row is", {"enum": list(get_args(By)), "default": "unit"})
        kind = Parameter("kind", "query", "of what", {"enum": list(get_args(Kind)), "default": "document"})
        return (
            Route(
                "GET",
                "/api/v1/volumes",
                self.volumes,
                "What units sent and received, in a period; without one in all time. Each unit alone.",
                Volumes,
                parameters=(*PERIOD, SUBTREE, by, kind),
                codes=("field_invalid", "unavailable"),
            ),
            Route(
                "GET",
                "/api/v1/traffic",
                self.traffic,
                "Events of the journal that match a filter, in pages; without a cursor the newest.",
                TrafficPage,
                parameters=FILTER,
                codes=("field_invalid", "unavailable"),
            ),
            Route(
                "GET",
                "/api/v1/documents/{document_id}",
                self.document,
                "Everything known about one document, as `axis show --json` prints it.",
                Document,
                parameters=(_DOCUMENT,),
                codes=("document_unknown", "field_invalid", "unavailable"),
            ),
        )

    async def volumes(self, request: web.Request) -> web.Response:
        """`axis volumes --json`."""
        now = self._now()
        selection = selection_of(request, now)
        found = await self._reading.count(lambda views: volumes(views, selection, now))
        return await self._reading.compute(lambda: json_answer(found))

    async def traffic(self, request: web.Request) -> web.Response:
        """A page of `axis log --json`: {"events": [oldest first], "older", "newer", "complete", "head"}.

        `before=older` gives the page of older events, `after=newer` that of newer ones.
        """
        wanted = filter_of(request.query)
        newer = wants_newer(request.query)
        found = await self._reading.read(lambda views: page(views, wanted, newer=newer))
        return json_answer(
            {
                "events": found.lines[::-1],
                "older": found.older,
                "newer": found.newer,
                "complete": found.complete,
                "head": found.head,
            }
        )

    async def document(self, request: web.Request) -> web.Response:
        """`axis show --json`."""
        only(request.query, ())
        found = await self._documents.found(request.match_info["document_id"])
        return await self._reading.compute(lambda: json_answer(found))


def json_answer(value: object) -> web.Response:
    """As JSON, readable. A large value: in a thread."""
    return web.Response(text="".join(_dumped(value)), content_type="application/json")


def _dumped(value: object) -> Iterator[str]:
    """As `json.dumps` has it, but long lists piece by piece: one call of it holds the interpreter, and with
    it the event loop, however many threads there are.
    """
    if isinstance(value, dict) and all(isinstance(name, str) for name in value):
        for place, (name, each) in enumerate(value.items()):
            yield f"{', ' if place else '{'}{_dumps(name)}: "
            yield from _dumped(each)
        yield "}" if value else "{}"
    elif isinstance(value, list) and len(value) > _PIECE:
        for at in range(0, len(value), _PIECE):
            yield (", " if at else "[") + _dumps(value[at : at + _PIECE])[1:-1]
        yield "]"
    else:
        yield _dumps(value)


def selection_of(request: web.Request, now: int) -> Selection:
    """Which volumes a query asks for. Refusal `field_invalid` says what is wrong with it."""
    wanted = request.query
    by, kind = wanted.get("by", "unit"), wanted.get("kind", "document")
    if by not in get_args(By) or kind not in get_args(Kind):
        raise Refusal("field_invalid", "by is unit, day or month; kind is document or status")
    days = asked(request, now, others=("by", "kind", "subtree"), default=ALL).days
    subtree = wanted.get("subtree") or None
    return Selection(by=cast("By", by), subtree=subtree, kind=cast("Kind", kind), days=days)
