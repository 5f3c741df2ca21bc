"""One document: who, what, every step with its signatures, and an operator's acts on a delivery."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from axis.console.acts import ACTS, Acts
from axis.console.reading import Reading
from axis.console.roles import OPERATOR, Role
from axis.console.signers import signers
from axis.console.site import Site
from axis.core.errors import CODES, Refusal
from axis.ports import StoredRecord
from axis.views.documents import show
from axis.views.file import head_of
from axis.views.queries import query
from axis.views.traffic import Filter, traffic

__all__ = ["Documents"]

#: Steps that a page shows; one with more recipients than that has them all in the traffic log.
_STEPS: Final = 500
#: States from which an operator may end a delivery, or open it again.
_OPEN: Final = frozenset({"in_flight"})
_ENDED: Final = frozenset({"dead", "refused"})

_Act = Callable[[Acts, web.Request, str, str], Awaitable[dict[str, Any]]]


class Documents:
    """`/documents/{id}` and its twin. `record` reads the journal and is called in the event loop."""

    def __init__(self, site: Site, reading: Reading, record: Callable[[int], StoredRecord | None]) -> None:
        self._site, self._reading, self._record = site, reading, record

    async def page(self, request: web.Request) -> web.Response:
        """The page; 404 in words for an id that is none."""
        return await self._show(request, done=request.query.get("done", ""))

    async def found(self, document_id: str) -> dict[str, Any]:
        """What `axis show --json` prints. Refusal `document_unknown`."""

        def place(views: sqlite3.Connection) -> int:
            row = views.execute(query("document"), {"document_id": document_id}).fetchone()
            return int(row["sequence"]) if row else 0

        # The journal is read in the loop's thread, the views in another.
        stored = self._record(await self._reading.read(place))
        return await self._reading.read(lambda views: show(views, document_id, lambda _: stored))

    async def requeue(self, request: web.Request) -> web.Response:
        """Open the next attempt of a delivery that ended without receipt, or was refused."""

        async def act(acts: Acts, of: web.Request, to: str, reason: str) -> dict[str, Any]:
            return await acts.requeue(of[OPERATOR], of.match_info["document_id"], to, reason)

        return await self._act(request, act, "requeued")

    async def close(self, request: web.Request) -> web.Response:
        """End a delivery that is in flight, with a reason."""

        async def act(acts: Acts, of: web.Request, to: str, reason: str) -> dict[str, Any]:
            return await acts.close(of[OPERATOR], of.match_info["document_id"], to, reason)

        return await self._act(request, act, "closed")

    async def _act(self, request: web.Request, act: _Act, done: str) -> web.Response:
        form = await request.post()
        to, reason = str(form.get("to", "")), str(form.get("reason", ""))
        document_id = request.match_info["document_id"]
        before = await self._reading.read(lambda views: _newest(views, document_id))
        try:
            await act(request.app[ACTS], request, to, reason)
        except Refusal as refusal:
            return await self._show(request, problem=refusal)
        await self._until_shown(document_id, before)
        raise web.HTTPSeeOther(f"/documents/{document_id}?done={done}")

    async def _until_shown(self, document_id: str, before: int) -> None:
        """Wait a little for the views: they show what was done, or all that the journal has."""

        def look(views: sqlite3.Connection) -> tuple[int, int]:
            return _newest(views, document_id), head_of(views)

        def there(found: tuple[int, int]) -> bool:
            newest, head = found
            return newest > before or self._record(head + 1) is None

        await self._reading.shown(look, there)

    async def _show(
        self, request: web.Request, *, done: str = "", problem: Refusal | None = None
    ) -> web.Response:
        try:
            document = await self.found(request.match_info["document_id"])
        except Refusal as refusal:
            if refusal.name != "document_unknown":
                raise
            return self._site.page(request, "missing", status=404, problem=refusal.detail)
        steps = document["events"][-_STEPS:]
        for step in steps:
            step["signers"] = signers(self._record(step["sequence"]), document["kind"])
        return self._site.page(
            request,
            "document",
            status=problem.code.http_status if problem else 200,
            document=document,
            steps=steps,
            left_out=len(document["events"]) - len(steps),
            header=json.dumps(document["header"], ensure_ascii=False, indent=2),
            acts=request[OPERATOR].may(Role.OPERATOR),
            open=_OPEN,
            ended=_ENDED,
            explain=_explain,
            done=done if done in {"requeued", "closed"} else "",
            problem=problem,
        )


def _newest(views: sqlite3.Connection, document_id: str) -> int:
    """The sequence of a document's newest event; 0 for none."""
    lines = traffic(views, Filter(document_id=document_id, limit=1))
    return int(str(lines[0]["sequence"])) if lines else 0


def _explain(code: str) -> str:
    """What a stable code means, in words; empty for one that is none."""
    known = CODES.get(code)
    return f"{known.cause} {known.remedy}" if known is not None else ""
