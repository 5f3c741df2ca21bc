"""How units are written."""

import pytest

from axis.core.errors import Refusal
from axis.core.organisation import (
    axis_uri,
    check_code,
    is_old_code,
    level_by_form,
    organisation_uri,
    parents_by_form,
)


@pytest.mark.parametrize("code", ["G22", "H55.242", "G22.99.09", "vxp.saas.03", "000.00.00.G22", "A" * 35])
def test_codes_seen_in_the_field_are_accepted(code: str) -> None:
    assert check_code(code) == code


@pytest.mark.parametrize(
    "code", ["", ".", "G22.", ".G22", "G 22", "G22/1", "Đ22", "A" * 36, "G22\n", "../x", "axis", "٣"]
)
def test_anything_else_is_refused_naming_the_field(code: str) -> None:
    with pytest.raises(Refusal, match="recipients") as caught:
        check_code(code, "recipients")
    assert caught.value.name == "field_invalid"


@pytest.mark.parametrize(
    ("code", "parents"),
    [
        ("G22", []),
        ("H55.242", ["H55"]),
        ("G22.99.09", ["G22.99", "G22"]),
        ("000.00.00.G22", []),
        ("000.00.01.H53", ["000.00.00.H53"]),
        ("001.01.07.H53", ["000.01.07.H53", "000.00.07.H53", "000.00.00.H53"]),
    ],
)
def test_parents_by_form_are_nearest_first(code: str, parents: list[str]) -> None:
    assert parents_by_form(code) == parents


def test_certificate_names() -> None:
    assert organisation_uri("G22") == "urn:axis:org:G22"
    assert axis_uri() == "urn:axis:node"


@pytest.mark.parametrize(
    ("code", "old", "level"),
    [
        ("G22", False, 1),
        ("H55.242", False, 2),
        ("G22.99.09", False, 3),
        ("vxp.saas.03", False, 3),
        ("000.00.00.G22", True, 1),
        ("000.00.01.H53", True, 2),
        ("000.01.07.H53", True, 3),
        ("001.01.07.H53", True, 4),
        ("000.00.00.22G", False, 4),
    ],
)
def test_a_code_s_form_says_its_level(code: str, old: bool, level: int) -> None:
    assert (is_old_code(code), level_by_form(code)) == (old, level)
