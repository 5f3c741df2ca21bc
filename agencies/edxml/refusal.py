"""Why a packet is not taken: the element, the line, and what is wrong, in a sentence for a person."""

from __future__ import annotations

from axis.core.errors import Refusal

__all__ = ["BAD_CONTENT", "BAD_PACKET", "refused"]

#: Codes of the VXP API (vxp.md): an attachment that cannot be processed, and a packet that is no edXML.
BAD_CONTENT = 21
BAD_PACKET = 22


def refused(element: str, line: int, what: str, vietnamese: str, vxp: int = BAD_PACKET) -> Refusal:
    """Refusal `field_invalid` with `extra` {"element", "line", "vxp", "vi"}."""
    return Refusal(
        "field_invalid",
        f"edXML, line {line}, {element}: {what}",
        extra={
            "element": element,
            "line": line,
            "vxp": vxp,
            "vi": f"dòng {line}, {element}: {vietnamese}",
        },
    )
