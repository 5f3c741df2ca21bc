"""`registerAgency` and `deleteAgency`: units below a system's own, at the axis, by this node's organisation.

What the axis allows its organisations it decides itself; here is added what a system may do of that. A unit
that is deleted is suspended: its history stays, and registering it again resumes it.
"""

from __future__ import annotations

from typing import Any, Final

from axispb.v1 import api_pb2

from agencies.vxp.desk import Desk, Operation
from agencies.vxp.parameters import Parameters
from agencies.vxp.scope import Scope
from axis.core.errors import Refusal
from axis.core.organisation import parents_by_form

__all__ = ["REGISTERING"]


async def register_agency(desk: Desk) -> dict[str, Any]:
    """A new unit, or what is new about one. The body has {id, pcode, code, name, mail, mobile, fax}.

    A unit that is known under another code keeps its primary one. Refusal `field_invalid`,
    `system_not_allowed`, `not_host_of_unit`, and what the axis refuses.
    """
    given = desk.parameters.body_alone()
    code, name, mail = given.required("code"), given.required("name"), given.required("mail")
    async with desk.parts.registering:
        await _register(desk, given, code, name, mail)
    return {}


async def _register(desk: Desk, given: Parameters, code: str, name: str, mail: str) -> None:
    if desk.parts.directory.directory.resolve(code) is None:
        await desk.parts.directory.refresh()  # the registrar may have given the code to another system's unit
    directory = desk.parts.directory.directory
    known = directory.resolve(code)
    unit = directory.unit(known) if known is not None else None
    parent = given.text("pcode") or (unit.parent if unit is not None else "")
    if not parent:
        raise Refusal("field_invalid", "pcode: the unit above is missing")
    parent = desk.may_act_for(parent)
    if unit is not None:
        _own(desk, unit.code)
    else:
        _check_form(desk, code)
    await _change(
        desk,
        api_pb2.UnitChange(
            action="register",
            code=unit.code if unit is not None else code,
            name=name,
            parent=parent,
            mail=mail,
            mobile=given.text("mobile"),
            fax=given.text("fax"),
        ),
    )


async def delete_agency(desk: Desk) -> dict[str, Any]:
    """A unit below the system's own is suspended. Said again, it stays so. Refusals as above."""
    any_code = desk.parameters.required("AgencyCode")
    async with desk.parts.registering:
        code = _own(desk, any_code)
        await _change(desk, api_pb2.UnitChange(action="suspend", code=code, reason="deleteAgency"))
    return {}


def _own(desk: Desk, any_code: str) -> str:
    """The primary code of a unit *below* the system's own: these are the registrar's to change."""
    code = desk.may_act_for(any_code)
    directory = desk.parts.directory.directory
    if code in {directory.resolve(each) for each in desk.caller.system.organisations}:
        raise Refusal("system_not_allowed", f"{code} is the system's own unit: ask the axis's registrar")
    return code


def _check_form(desk: Desk, code: str) -> None:
    """A new code must not stand by its form below a unit of this node that other systems act for.

    Below the units above the system's own it may: the axis sees to whose they are.
    """
    directory = desk.parts.directory.directory
    above = next(filter(None, map(directory.resolve, parents_by_form(code))), None)
    if above is None or desk.scope.has(above):
        return
    below = Scope(directory, [above])
    if not any(below.has(own) for own in desk.caller.system.organisations):
        raise Refusal("system_not_allowed", f"{code} stands by its form below {above}")


async def _change(desk: Desk, change: api_pb2.UnitChange) -> None:
    """Ask the axis, and let this node know before the client goes on: it may send for the unit next."""
    answer = await desk.parts.client.change_unit(change)
    await desk.parts.directory.at_least(answer.sequence)


REGISTERING: Final = (
    Operation("registerAgency", register_agency, needs_body=True),
    Operation("deleteAgency", delete_agency),
)
