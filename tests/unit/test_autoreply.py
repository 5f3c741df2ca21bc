"""What a simulated counterpart may be told to say."""

from __future__ import annotations

import pytest

from agencies.desk.autoreply import parse_codes


def test_codes() -> None:
    assert parse_codes("01, 03,06,") == ("01", "03", "06")


@pytest.mark.parametrize("text", ["13", "1", "01,99", ",", "01;03"])
def test_what_a_receiver_cannot_say_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a receiver says"):
        parse_codes(text)
