"""Units by their primary codes: an old code may be given, but what is stored and shown is the primary one."""

from __future__ import annotations

from collections.abc import Callable

from axis.core.directory import Directory

__all__ = ["Primary", "hosted_by", "primary"]

#: Gives a unit's primary code for any of its codes.
Primary = Callable[[str], str]


def primary(directory: Directory, code: str) -> str:
    """The primary code of the unit that has this code; the code itself where the directory has none."""
    return directory.resolve(code) or code


def hosted_by(directory: Directory, organisation: str) -> list[str]:
    """The codes of the units that an organisation's node takes documents for, its own first."""
    return [organisation, *(code for code in directory.hosted(organisation) if code != organisation)]
