"""Pages: templates, in the language and with the words of whoever asks.

Every page is made here, so that all have the same frame, and nothing but escaped text comes into it.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp_jinja2
import jinja2
from aiohttp import hdrs, web
from yarl import URL

from axis.console import shown
from axis.console.assets import Assets
from axis.console.filters import as_reason
from axis.console.periods import written
from axis.console.roles import OPERATOR
from axis.console.told import told
from axis.console.words import LANGUAGES, Language, language_of, translator
from axis.core.errors import Refusal
from axis.views.text import parse_time, rfc3339

__all__ = ["BEHIND", "PAGES", "Site", "language"]

#: Whether what a request is shown is behind the journal: numbers that lack something.
BEHIND: Final = web.RequestKey("behind", bool)

#: What is to be seen, in the order of the navigation.
PAGES: Final = (
    ("overview", "/"),
    ("traffic", "/traffic"),
    ("units", "/units"),
    ("trust", "/trust"),
    ("audit", "/audit"),
)

#: Statuses that have words of their own.
_SAID: Final = frozenset({401, 403, 404, 409, 422, 429, 503})
LANGUAGE_COOKIE: Final = "axis_language"
_A_YEAR: Final = 365 * 86_400


def language(request: web.Request) -> Language:
    """The language of whoever asks: as chosen before, else Vietnamese."""
    return language_of(request.cookies.get(LANGUAGE_COOKIE))


class Site:
    """Makes pages for one application."""

    def __init__(self, application: web.Application, assets: Assets) -> None:
        aiohttp_jinja2.setup(
            application,
            loader=jinja2.PackageLoader("axis.console", "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment = aiohttp_jinja2.get_env(application)
        environment.filters |= {"as_reason": as_reason, "instant": rfc3339, "local": _local, "ms": parse_time}
        self._assets = assets
        application.router.add_get("/static/{name}", assets.serve)
        application.router.add_get("/language/{language}", _choose)

    def page(self, request: web.Request, name: str, *, status: int = 200, **values: object) -> web.Response:
        """Render `name`.html with `values` and what every page may use.

        `t(name)` a word, `told(refusal)` a refusal in words; `number`, `moment`, `day`, `dated`, `written`,
        `duration`, `amount`, `percent` show values;
        `asset`; `here(**changes)` this address with its query changed (None takes a part away).
        """
        return aiohttp_jinja2.render_template(
            f"{name}.html", request, {**self._frame(request), "section": name, **values}, status=status
        )

    def problem(
        self, request: web.Request, status: int, refusal: Refusal | None = None, *, said: str = ""
    ) -> web.Response:
        """A page that says in words why another is not shown; `said` names the word where the status is not
        enough, `refusal` says more.
        """
        said = said or str(status if status in _SAID else 503)
        response = self.page(request, "problem", status=status, said=said, refusal=refusal)
        if refusal is not None and refusal.retry_after is not None:
            response.headers[hdrs.RETRY_AFTER] = str(refusal.retry_after)
        return response

    def fragment(self, request: web.Request, name: str, **values: object) -> str:
        """A part of a page, for live updates."""
        return aiohttp_jinja2.render_string(f"{name}.html", request, {**self._frame(request), **values})

    def _frame(self, request: web.Request) -> dict[str, Any]:
        spoken = language(request)
        say = translator(spoken)
        return {
            "t": say,
            "told": partial(told, say),
            "language": spoken,
            "languages": LANGUAGES,
            "pages": PAGES,
            "operator": request.get(OPERATOR),
            "behind": request.get(BEHIND, False),
            "asset": self._assets.path,
            "here": partial(_here, request),
            "number": partial(shown.number, language=spoken),
            "percent": partial(shown.percent, language=spoken),
            "amount": partial(shown.amount, language=spoken),
            "duration": partial(shown.duration, language=spoken),
            "written": partial(written, say, spoken),
            "dated": partial(shown.dated, language=spoken),
            "moment": partial(shown.moment, language=spoken),
            "day": partial(shown.day, language=spoken),
        }


def _here(request: web.Request, **changes: object) -> str:
    """The address of this page with another query."""
    query = {name: value for name, value in request.query.items() if name not in changes}
    query |= {name: str(value) for name, value in changes.items() if value is not None}
    return request.path + (f"?{urlencode(query)}" if query else "")


@jinja2.pass_context
def _local(context: jinja2.runtime.Context, text: str) -> str:
    """A time in RFC 3339 as people read it."""
    return shown.moment(parse_time(text), context["language"])


async def _choose(request: web.Request) -> web.Response:
    """Keep the language, and go back to the page."""
    wanted = request.match_info["language"]
    if wanted not in LANGUAGES:
        raise web.HTTPNotFound(text="there is no such language\n")
    back = request.query.get("back", "/")
    response = web.HTTPSeeOther(back if is_here(back) else "/")
    response.set_cookie(LANGUAGE_COOKIE, wanted, max_age=_A_YEAR, httponly=True, samesite="Strict", path="/")
    raise response


def is_here(back: str) -> bool:
    """Whether a place is a page of this console, and not another host, as `//host` or a backslash would be.

    Looked at as it will be sent: what makes addresses drops tabs and ends of lines (WHATWG URL, section 4.4).
    """
    if not back.isprintable():
        return False
    try:
        url = URL(back)
    except ValueError:
        return False
    sent = str(url)
    return url.host is None and sent.startswith("/") and not sent.startswith("//") and "\\" not in back + sent
