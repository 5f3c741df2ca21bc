"""Unit codes and certificate names: how an organisation is written.

A *unit* is anything that can send or receive; an *organisation* is a unit that runs a node and so has
certificates. Codes: Decision 20/2020/QĐ-TTg (`G22`, `H55.242`), and the older 13 characters of
QCVN 102:2016 (`000.00.00.G22`); test units such as `vxp.saas.03` occur. Old and new codes name the same
unit through the register only, never by calculation.
"""

from __future__ import annotations

import re
from typing import Final

from axis.core.errors import Refusal

__all__ = [
    "AXIS",
    "MAX_LEVELS",
    "axis_uri",
    "check_code",
    "is_old_code",
    "is_top_code",
    "level_by_form",
    "organisation_uri",
    "parents_by_form",
]

#: What stands for the axis itself where certificates name an organisation. Not a registrable unit.
AXIS: Final = "axis"

#: No unit stands deeper, and what reads the tree goes no further: organisations add levels by themselves, and
#: without an end one of them could make every look-up of its units as slow as it likes.
MAX_LEVELS: Final = 64

_CODE: Final = re.compile(r"[A-Za-z0-9]+(?:\.[A-Za-z0-9]+)*", re.ASCII)
_OLD_CODE: Final = re.compile(r"\d{3}\.\d{2}\.\d{2}\.[A-Z]\d{2}", re.ASCII)
_TOP_CODE: Final = re.compile(r"(?:000\.00\.00\.)?[A-Z]\d{2}", re.ASCII)
_CODE_LIMIT: Final = 35


def check_code(text: str, field: str = "code") -> str:
    """Return `text` if it is a unit code (at most 35 characters, case-sensitive).

    Raises Refusal `field_invalid` naming the field.
    """
    if len(text) > _CODE_LIMIT or not _CODE.fullmatch(text) or text == AXIS:
        raise Refusal("field_invalid", f"{field}: {text[:60]!r} is not a unit code")
    return text


def parents_by_form(unit_code: str) -> list[str]:
    """Codes that may be the parent of a unit registered without one, nearest first.

    New style: the prefixes, longest first (`G22.99.09` → `G22.99`, `G22`). Old style: the next levels up
    (`001.01.07.H53` → `000.01.07.H53`, `000.00.07.H53`, `000.00.00.H53`).
    """
    groups = unit_code.split(".")
    if _OLD_CODE.fullmatch(unit_code):
        candidates = []
        for level in range(3):
            zeroed = ["0" * len(g) for g in groups[: level + 1]] + groups[level + 1 :]
            candidates.append(".".join(zeroed))
        return [c for c in dict.fromkeys(candidates) if c != unit_code]
    return [".".join(groups[:count]) for count in range(len(groups) - 1, 0, -1)]


def is_old_code(unit_code: str) -> bool:
    """Whether a code has the 13 characters of QCVN 102:2016."""
    return _OLD_CODE.fullmatch(unit_code) is not None


def is_top_code(unit_code: str) -> bool:
    """Whether a code is one that the national lists give: `H41`, `000.00.00.H41`."""
    return _TOP_CODE.fullmatch(unit_code) is not None


def level_by_form(unit_code: str) -> int:
    """The level that a code's form says, from 1: its groups, without an old code's groups of zeros."""
    groups = unit_code.split(".")
    if is_old_code(unit_code):
        return 4 - sum(not group.strip("0") for group in groups[:3])
    return len(groups)


def organisation_uri(unit_code: str) -> str:
    """The URI SAN of both of an organisation's certificates."""
    return f"urn:axis:org:{unit_code}"


def axis_uri() -> str:
    """The URI SAN of the axis's own certificates."""
    return "urn:axis:node"
