"""Which role each route of the console needs, in one table. What is not in it is served to nobody.

`check_routes` holds the application to the table when it is made, so that no new page is forgotten here.
"""

from __future__ import annotations

from typing import Final

from aiohttp import hdrs, web

from axis.console.roles import Role

__all__ = ["ACCESS", "OPEN", "check_routes", "least_role"]

#: Needs no log-in.
OPEN: Final = None

#: Method and path, as the route was added → the least role.
ACCESS: Final[dict[tuple[str, str], Role | None]] = {
    ("GET", "/livez"): OPEN,
    ("GET", "/readyz"): OPEN,
    ("GET", "/metrics"): OPEN,
    ("GET", "/static/{name}"): OPEN,
    ("GET", "/language/{language}"): OPEN,
    ("GET", "/login"): OPEN,
    ("POST", "/login"): OPEN,
    ("POST", "/logout"): Role.VIEWER,
    ("GET", "/"): Role.VIEWER,
    ("GET", "/traffic"): Role.VIEWER,
    ("GET", "/traffic.csv"): Role.VIEWER,
    ("GET", "/traffic.ndjson"): Role.VIEWER,
    ("GET", "/live/traffic"): Role.VIEWER,
    ("GET", "/units"): Role.VIEWER,
    ("GET", "/units/{code}"): Role.VIEWER,
    ("GET", "/reports/volumes"): Role.VIEWER,
    ("GET", "/reports/volumes.csv"): Role.VIEWER,
    ("GET", "/reports/volumes.xlsx"): Role.VIEWER,
    ("GET", "/live/overview"): Role.VIEWER,
    ("GET", "/api"): Role.VIEWER,
    ("GET", "/api/v1/openapi.json"): Role.VIEWER,
    ("GET", "/live/audit"): Role.VIEWER,
    ("GET", "/api/v1/overview"): Role.VIEWER,
    ("GET", "/charts/minutes.svg"): Role.VIEWER,
    ("GET", "/charts/days.svg"): Role.VIEWER,
    ("GET", "/charts/units.svg"): Role.VIEWER,
    ("GET", "/charts/periods.svg"): Role.VIEWER,
    ("GET", "/charts/hours.svg"): Role.VIEWER,
    ("GET", "/api/v1/units"): Role.VIEWER,
    ("GET", "/api/v1/units/{code}"): Role.VIEWER,
    ("GET", "/documents/{document_id}"): Role.VIEWER,
    ("POST", "/documents/{document_id}/requeue"): Role.OPERATOR,
    ("POST", "/documents/{document_id}/close"): Role.OPERATOR,
    ("GET", "/deliveries"): Role.VIEWER,
    ("GET", "/trust"): Role.VIEWER,
    ("GET", "/trust/units"): Role.VIEWER,
    ("GET", "/trust/units/{code}"): Role.VIEWER,
    ("GET", "/trust/add"): Role.REGISTRAR,
    ("POST", "/trust/add"): Role.REGISTRAR,
    ("GET", "/trust/units/{code}/{act}"): Role.REGISTRAR,
    ("POST", "/trust/units/{code}/{act}"): Role.REGISTRAR,
    ("GET", "/trust/certificates/{serial}/revoke"): Role.REGISTRAR,
    ("POST", "/trust/certificates/{serial}/revoke"): Role.REGISTRAR,
    ("GET", "/audit"): Role.VIEWER,
    ("POST", "/audit"): Role.OPERATOR,
    ("GET", "/api/v1/audits"): Role.VIEWER,
    ("POST", "/api/v1/audits"): Role.OPERATOR,
    ("GET", "/api/v1/deliveries"): Role.VIEWER,
    ("GET", "/api/v1/trust"): Role.VIEWER,
    ("GET", "/api/v1/trust/units"): Role.VIEWER,
    ("GET", "/api/v1/volumes"): Role.VIEWER,
    ("GET", "/api/v1/traffic"): Role.VIEWER,
    ("GET", "/api/v1/documents/{document_id}"): Role.VIEWER,
    ("POST", "/api/v1/documents/{document_id}/requeue"): Role.OPERATOR,
    ("POST", "/api/v1/documents/{document_id}/close"): Role.OPERATOR,
    ("POST", "/api/v1/units"): Role.REGISTRAR,
    ("POST", "/api/v1/units/{code}/token"): Role.REGISTRAR,
    ("POST", "/api/v1/units/{code}/suspend"): Role.REGISTRAR,
    ("POST", "/api/v1/units/{code}/resume"): Role.REGISTRAR,
    ("POST", "/api/v1/certificates/{serial}/revoke"): Role.REGISTRAR,
}


def check_routes(application: web.Application) -> None:
    """Raise LookupError unless every route of the application is in the table."""
    missing = [
        f"{route.method} {route.resource.canonical}"
        for route in application.router.routes()
        if route.resource is not None and _key(route.method, route.resource.canonical) not in ACCESS
    ]
    if missing:
        raise LookupError(f"nobody may see {', '.join(missing)}: axis.console.access says who may")


def least_role(request: web.Request) -> Role | None:
    """The least role for this request; OPEN where none is needed.

    A path that does not exist is told to those only who have logged in: outside nobody learns which do.
    """
    resource = request.match_info.route.resource
    if resource is None:
        return Role.VIEWER
    return ACCESS[_key(request.method, resource.canonical)]


def _key(method: str, path: str) -> tuple[str, str]:
    return (hdrs.METH_GET if method == hdrs.METH_HEAD else method), path
