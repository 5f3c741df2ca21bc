"""A registrar's acts on register and certificates, by forms: what is asked for, a page that says what it will
do and asks why, then the act. Each is done by `axis.console.acts` and stands in the journal with who and why.

A token is shown in the answer to its form and nowhere else: it is not kept, and the page is not cached.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from axis.console.acts import ACTS
from axis.console.filters import only
from axis.console.reading import Reading
from axis.console.roles import OPERATOR
from axis.console.site import Site
from axis.console.told import Wrong
from axis.core.decide_enrolment import REVOCATION_REASONS
from axis.core.errors import Refusal
from axis.core.organisation import AXIS, check_code
from axis.views.file import head_of
from axis.views.trust import certificate, one_unit

__all__ = ["RegisterActs"]

#: Of a unit: what its page is told afterwards.
_UNIT_ACTS: Final = {"token": "", "suspend": "suspended", "resume": "resumed"}
_FIELDS: Final = ("code", "name", "parent", "old_code", "mail", "reason")


class RegisterActs:
    """`/trust/add`, `/trust/units/{code}/{act}`, `/trust/certificates/{serial}/revoke`."""

    def __init__(
        self, site: Site, reading: Reading, *, directory: Callable[[], int], now: Callable[[], int]
    ) -> None:
        self._site, self._reading, self._directory, self._now = site, reading, directory, now

    def routes(self) -> list[web.RouteDef]:
        """What is served."""
        return [
            web.get("/trust/add", self.add),
            web.post("/trust/add", self.add),
            web.get("/trust/units/{code}/{act}", self.unit),
            web.post("/trust/units/{code}/{act}", self.unit),
            web.get("/trust/certificates/{serial}/revoke", self.revoke),
            web.post("/trust/certificates/{serial}/revoke", self.revoke),
        ]

    async def add(self, request: web.Request) -> web.Response:
        """Register a unit: the form, then what was filled in to be confirmed, then its token."""
        only(request.query, ())
        given = await _form(request)
        values = {name: given.get(name, "") for name in _FIELDS}
        if not given or "change" in given:
            return self._site.page(request, "trust_add", section="trust", given=values, problem=None)
        try:
            reason = _reason(given)
            for needed in ("code", "name"):
                if not values[needed]:
                    raise Wrong(needed, "missing")
            for name in ("code", "parent", "old_code"):
                if values[name]:
                    _formed(name, values[name])
            existing = await self._reading.read(lambda views: _registered(views, values["code"]))
            known = existing["code"] if existing else ""
            # Whoever confirmed a new unit is asked again where it has been registered meanwhile.
            if "confirmed" not in given or given.get("known", "") != known:
                return self._site.page(
                    request, "trust_confirm", section="trust", given=values, existing=existing
                )
            token = not existing or given.get("token") == "1"
            answer = await request.app[ACTS].register(
                request[OPERATOR],
                values["code"],
                values["name"],
                values["parent"],
                [values["old_code"]] if values["old_code"] else [],
                values["mail"],
                reason,
                token=token,
            )
        except Refusal as refusal:
            status = refusal.code.http_status
            return self._site.page(
                request, "trust_add", status=status, section="trust", given=values, problem=refusal
            )
        await self._until_shown()
        if not token:
            raise web.HTTPSeeOther(f"/trust/units/{quote(known)}?done=changed")
        return self._token(request, answer)

    async def unit(self, request: web.Request) -> web.Response:
        """Give a unit another token, suspend it, or resume it; the page before says what that means."""
        act = request.match_info["act"]
        if act not in _UNIT_ACTS:
            raise web.HTTPNotFound
        only(request.query, ())
        code = request.match_info["code"]
        try:
            unit = await self._reading.read(lambda views: one_unit(views, code))
        except Refusal as refusal:
            return self._missing(request, refusal, "unit_unknown")
        problem = None
        if request.method == "POST":
            try:
                reason = _reason(await _form(request))
                acts, by = request.app[ACTS], request[OPERATOR]
                if act == "token":
                    return self._token(request, await acts.token(by, unit["code"], reason))
                await (acts.suspend if act == "suspend" else acts.resume)(by, unit["code"], reason)
            except Refusal as refusal:
                problem = refusal
            else:
                await self._until_shown()
                raise web.HTTPSeeOther(f"/trust/units/{quote(unit['code'])}?done={_UNIT_ACTS[act]}")
        return self._ask(request, act, problem, unit=unit)

    async def revoke(self, request: web.Request) -> web.Response:
        """Revoke a certificate, for a reason of RFC 5280 and one in words."""
        only(request.query, ())
        serial = request.match_info["serial"]
        try:
            found = await self._reading.read(lambda views: certificate(views, serial, self._now()))
        except Refusal as refusal:
            return self._missing(request, refusal, "certificate_unknown")
        problem = None
        given = await _form(request)
        if request.method == "POST":
            try:
                remark = _reason(given)
                code = given.get("code", "")
                await request.app[ACTS].revoke(request[OPERATOR], found["serial"], code, remark)
            except Refusal as refusal:
                problem = refusal
            else:
                await self._until_shown()
                if found["org"] == AXIS:  # which is no unit
                    raise web.HTTPSeeOther("/trust?state=revoked")
                raise web.HTTPSeeOther(f"/trust/units/{quote(found['org'])}?done=revoked")
        return self._ask(request, "revoke", problem, certificate=found)

    def _ask(self, request: web.Request, act: str, problem: Refusal | None, **about: Any) -> web.Response:
        status = problem.code.http_status if problem else 200
        about = {
            "unit": None,
            "certificate": None,
            "problem": problem,
            "reasons": REVOCATION_REASONS,
            **about,
        }
        return self._site.page(request, "trust_act", status=status, section="trust", act=act, **about)

    def _token(self, request: web.Request, answer: dict[str, Any]) -> web.Response:
        return self._site.page(request, "trust_token", section="trust", made=answer)

    def _missing(self, request: web.Request, refusal: Refusal, name: str) -> web.Response:
        if refusal.name != name:
            raise refusal
        return self._site.problem(request, 404, refusal)

    async def _until_shown(self) -> None:
        """Wait a little for the views, so that the page that follows shows what was done."""

        done = self._directory()
        await self._reading.shown(head_of, lambda head: head >= done)


async def _form(request: web.Request) -> dict[str, str]:
    """The fields of a form that was sent; none for a page that is asked for."""
    if request.method != "POST":
        return {}
    return {name: value.strip() for name, value in (await request.post()).items() if isinstance(value, str)}


def _registered(views: sqlite3.Connection, code: str) -> dict[str, Any] | None:
    """The unit that has this code already, with its `parent_name`; None for a code that nobody has."""
    try:
        unit = one_unit(views, code)
    except Refusal as refusal:
        if refusal.name != "unit_unknown":
            raise
        return None
    return {**unit, "parent_name": one_unit(views, unit["parent"])["name"] if unit["parent"] else ""}


def _formed(field: str, code: str) -> None:
    """Raise Refusal `field_invalid` for what can be no unit's code, before anybody is asked to confirm it."""
    try:
        check_code(code, field)
    except Refusal as refusal:
        raise Wrong(field, "form", given=code[:60], detail=refusal.detail) from None


def _reason(given: dict[str, str]) -> str:
    """Why, in words; Refusal `field_invalid`."""
    reason = given.get("reason", "")
    if not reason:
        raise Wrong("reason", "why")
    return reason
