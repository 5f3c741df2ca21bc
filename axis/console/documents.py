"""One document: who, what, every step with its signatures, and an operator's acts on a delivery."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

from aiohttp import web

from axis.console.acts import ACTS
from axis.console.filters import only
from axis.console.paging import part_of
from axis.console.reading import Reading
from axis.console.roles import OPERATOR, Operator, Role
from axis.console.signers import Signer, signers
from axis.console.site import Site
from axis.console.words import Translate
from axis.core.errors import Refusal
from axis.ports import StoredRecord
from axis.views.documents import show
from axis.views.file import head_of
from axis.views.queries import query
from axis.views.traffic import Filter, parties, traffic
from axis.views.units import names_of

__all__ = ["Documents"]

#: Steps that a page shows with who signed them, which the journal is read for; all are in the traffic log.
_STEPS: Final = 50
#: Records that are read before the event loop turns to others.
_AT_ONCE: Final = 5
#: The newest statuses of a delivery that a page shows.
_STATUSES: Final = 20
#: States from which an operator may end a delivery, or open it again.
_OPEN: Final = frozenset({"in_flight"})
_ENDED: Final = frozenset({"dead", "refused"})

#: By whom, on which document's delivery to which unit, and why.
_Act = Callable[[Operator, str, str, str], Awaitable[dict[str, Any]]]


class Documents:
    """`/documents/{id}` and its twin. `record` reads the journal and is called in the event loop."""

    def __init__(self, site: Site, reading: Reading, record: Callable[[int], StoredRecord | None]) -> None:
        self._site, self._reading, self._record = site, reading, record

    async def page(self, request: web.Request) -> web.Response:
        """The page; 404 in words for an id that is none."""
        only(request.query, ("done", "delivery", "step"))
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
        return await self._act(request, request.app[ACTS].requeue, "requeued")

    async def close(self, request: web.Request) -> web.Response:
        """End a delivery that is in flight, with a reason."""
        return await self._act(request, request.app[ACTS].close, "closed")

    async def _act(self, request: web.Request, act: _Act, done: str) -> web.Response:
        only(request.query, ())
        form = await request.post()
        to, reason = str(form.get("to", "")), str(form.get("reason", ""))
        document_id = request.match_info["document_id"]
        before = await self._reading.read(lambda views: _newest(views, document_id))
        try:
            await act(request[OPERATOR], document_id, to, reason)
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
        document = await self.found(request.match_info["document_id"])
        steps = part_of(request, "step", document["events"], _STEPS, newest=True)
        await self._signed(steps.rows, document["kind"])
        deliveries = part_of(request, "delivery", document["deliveries"])
        codes = {document["from"], *(each["to"] for each in deliveries.rows), *parties(steps.rows)}
        values = {
            "document": document,
            "deliveries": deliveries,
            "names": await self._reading.read(lambda views: names_of(views, codes)),
            "steps": steps,
            "statuses_shown": _STATUSES,
            "header": json.dumps(document["header"], ensure_ascii=False, indent=2),
            "acts": request[OPERATOR].may(Role.OPERATOR),
            "open": _OPEN,
            "ended": _ENDED,
            "explain": _explain,
            "done": done if done in {"requeued", "closed"} else "",
            "problem": problem,
        }
        status = problem.code.http_status if problem else 200
        return await self._reading.compute(
            lambda: self._site.page(request, "document", status=status, **values)
        )

    async def _signed(self, steps: Sequence[dict[str, Any]], kind: str) -> None:
        """Add `signers` to each step. The journal is read in the event loop, some records at a time."""
        for at in range(0, len(steps), _AT_ONCE):
            some = steps[at : at + _AT_ONCE]
            stored = [self._record(step["sequence"]) for step in some]
            found = await self._reading.compute(partial(_signers, stored, kind))
            for step, one in zip(some, found, strict=True):
                step["signers"] = one


def _signers(stored: Sequence[StoredRecord | None], kind: str) -> list[list[Signer]]:
    return [signers(one, kind) for one in stored]


def _newest(views: sqlite3.Connection, document_id: str) -> int:
    """The sequence of a document's newest event; 0 for none."""
    lines = traffic(views, Filter(document_id=document_id, limit=1))
    return int(str(lines[0]["sequence"])) if lines else 0


def _explain(code: str, say: Translate) -> str:
    """What a stable code means, or a status's, in words; empty for one that is none."""
    return say(f"code.{code}", "") or say(f"status.{code}", "")
