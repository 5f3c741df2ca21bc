"""The register in the API's forms: every unit, the units of a level, and units with their versions.

A unit's `id` is a UUID made from its primary code (RFC 9562, version 5), the same at every node of this axis.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any, Final

from aiohttp import web
from axispb.v1 import facts_pb2

from agencies.vxp.desk import Desk, Operation
from agencies.vxp.parameters import vietnam_time
from agencies.vxp.replies import list_member
from axis.core.directory import Directory
from axis.core.errors import Refusal
from axis.core.organisation import MAX_LEVELS, is_old_code, level_by_form

__all__ = ["UNITS"]

Json = dict[str, Any]

_LEVELS: Final = ("1", "2", "3", "4", "5", "6")
_REMEMBERED: Final = 8192


async def agencies(desk: Desk) -> web.StreamResponse:
    """{"data": [{"id", "pid", "code", "name", "mail", "oldCode"}]}: every unit that may be written to."""
    identify = _identify(desk)
    return await list_member(
        desk.request,
        "data",
        (
            {
                "id": identify(unit.code),
                "pid": identify(unit.parent),
                "code": unit.code,
                "name": unit.name,
                "mail": unit.mail,
                "oldCode": _old_code(unit),
            }
            for unit in _units(desk)
        ),
    )


async def agencies_of_level(desk: Desk) -> web.StreamResponse:
    """{"data": [{"id", "code", "name", "mail", "code102"}]}: the units of a level of Decision 20/2020.

    A code's groups are its levels: `G22` is of level 1, `H55.242` of level 2. Without `level`, or 0: all.
    """
    level = desk.parameters.text("level", "0")
    if level not in ("0", *_LEVELS):
        raise Refusal("field_invalid", f"level: {level[:20]!r}; 1 to {_LEVELS[-1]} are possible")
    identify = _identify(desk)
    return await list_member(
        desk.request,
        "data",
        (
            {
                "id": identify(unit.code),
                "code": unit.code,
                "name": unit.name,
                "mail": unit.mail,
                "code102": _old_code(unit),
            }
            for unit in _units(desk)
            if level in ("0", str(level_by_form(unit.code)))
        ),
    )


async def synchronise(desk: Desk) -> web.StreamResponse:
    """{"data": [{…, "version", "centerCode", "deleted", "modifyDate", "isAgency"}]}: suspended ones too.

    `version` is where the unit's newest change stands in the axis's journal: it only grows. `centerCode` is
    the unit at the top of its tree. `isAgency`: it stands at the top, or has a node of its own.
    """
    identify = _identify(desk)
    directory = desk.parts.directory.directory
    top = partial(_top, directory)
    return await list_member(
        desk.request,
        "data",
        (
            {
                "id": identify(entry.unit.code),
                "pid": identify(entry.unit.parent),
                "code": entry.unit.code,
                "name": entry.unit.name,
                "mail": entry.unit.mail,
                "version": entry.sequence,
                "centerCode": top(entry.unit),
                "deleted": entry.unit.suspended,
                "modifyDate": vietnam_time(entry.at),
                "isAgency": entry.unit.enrolled or not entry.unit.parent,
            }
            for entry in directory.entries()
        ),
    )


def _units(desk: Desk) -> Iterator[facts_pb2.UnitFact]:
    return (unit for unit in desk.parts.directory.directory.units() if not unit.suspended)


def _identify(desk: Desk) -> Callable[[str], str]:
    """A unit's id; empty for no unit."""
    namespace = uuid.uuid5(uuid.NAMESPACE_OID, desk.parts.identity.axis_id)

    @lru_cache(_REMEMBERED)  # parents come again and again
    def identify(code: str) -> str:
        return str(uuid.uuid5(namespace, code)) if code else ""

    return identify


def _old_code(unit: facts_pb2.UnitFact) -> str:
    """The code of QCVN 102:2016 where there is one, else any older code."""
    old = [code for code in (*unit.old_codes, unit.code) if is_old_code(code)]
    return (old or [*unit.old_codes, ""])[0]


def _top(directory: Directory, unit: facts_pb2.UnitFact) -> str:
    for _ in range(MAX_LEVELS):
        above = directory.unit(unit.parent) if unit.parent else None
        if above is None:
            break
        unit = above
    return unit.code


UNITS: Final = (
    Operation("getAgenciesList", agencies),
    Operation("getAgenciesListQD20", agencies_of_level),
    Operation("getSynchronizeUnit", synchronise),
)
