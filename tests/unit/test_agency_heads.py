"""What a node echoes of the heads that it has seen: whatever an answer rests on is proven, or asked about."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agencies.store import heads as heads_module
from agencies.store.database import Store
from agencies.store.heads import Echo, Heads, learnt
from axis.core.errors import Refusal


def head(sequence: int, journal: str = "j", life: str = "ab") -> str:
    return f"{journal}:{sequence}:{life * 32}"


def answered(heads: Heads, *headers: str | None) -> None:
    """Answers to requests that were all made before the first of them was answered."""
    echo = heads.echo()
    for header in headers:
        heads.answered(echo, header)


def earlier(heads: Heads) -> list[int]:
    return [each.sequence for each in heads.echo().earlier]


def test_the_highest_head_stays() -> None:
    heads = Heads()
    assert heads.echo().headers == {}
    answered(heads, head(5), None, "x", "j:1", head(9, "other"))
    assert str(heads) == head(5)
    assert heads.echo().headers == {"Axis-Head": head(5)}
    heads.forget()
    assert (str(heads), heads.sequence) == ("", 0)


def test_a_head_that_comes_late_is_echoed_until_an_answer_proves_it() -> None:
    heads = Heads()
    answered(heads, head(5))
    asked = heads.echo()
    heads.answered(heads.echo(), head(9))
    heads.answered(asked, head(7))
    assert heads.echo().headers == {"Axis-Head": head(9), "Axis-Earlier-Heads": f"7:{'ab' * 32}"}
    heads.answered(asked, head(9))
    assert earlier(heads) == [7], "that answer was to a request which did not echo it"
    answered(heads, head(9))
    assert earlier(heads) == []


def test_a_head_that_is_overtaken_before_it_was_echoed_is_echoed() -> None:
    heads = Heads()
    answered(heads, head(5), head(6))
    assert earlier(heads) == [5]
    answered(heads, head(8))
    assert earlier(heads) == [], "6 was echoed as the highest"


def test_a_head_is_echoed_once_more_when_an_answer_overtakes_it_that_does_not_prove_it() -> None:
    """The axis had it at some time; this answer may be of one that was restored since."""
    heads = Heads()
    answered(heads, head(3))
    asked = heads.echo()
    heads.answered(heads.echo(), head(9))
    heads.answered(heads.echo(), head(9))
    heads.answered(asked, head(12, life="cd"))
    assert earlier(heads) == [9]
    answered(heads, head(12, life="cd"))
    assert earlier(heads) == []


def test_what_was_stored_torn_is_put_in_order() -> None:
    heads = Heads(head(5), f"7:{'ab' * 32},3:{'ab' * 32}")
    assert str(heads) == head(7)
    assert earlier(heads) == [5, 3]


def test_what_was_asked_before_the_axis_was_restored_says_nothing() -> None:
    heads = Heads()
    answered(heads, head(5))
    asked = heads.echo()
    heads.forget()
    heads.answered(asked, head(9))
    assert str(heads) == ""


def test_no_more_is_kept_than_can_be_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads_module, "_UNPROVEN_AT_MOST", 40)
    heads = Heads()
    with pytest.raises(Refusal, match="unavailable"):
        answered(heads, *(head(number) for number in range(1, 100)))
    assert earlier(heads) == list(range(1, 33)), "as many as the axis takes with one request"
    answered(heads, None)
    assert earlier(heads) == list(range(33, 41))


async def test_what_is_not_proven_survives_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path / "agency.sqlite")
    heads = Heads.stored_in(store)
    answered(heads, head(5), head(6), head(3))
    assert await store.write(lambda connection: learnt(connection, "0", heads))
    again = Heads.stored_in(store)
    assert again.echo() == heads.echo() == Echo(0, heads.seen, tuple(heads.echo().earlier))
    assert earlier(again) == [5, 3]
    store.close()


@given(
    st.lists(
        st.tuples(st.sampled_from(["ask", "arrive", "answer", "restore"]), st.integers(0, 5)), max_size=80
    )
)
def test_nothing_that_a_restored_axis_lost_stays_unnoticed(steps: list[tuple[str, int]]) -> None:
    """Requests under way at once that arrive and are answered in any order, an axis that comes back from
    older copies: once the node has heard twice more, it has taken no head that the axis lacks.
    """
    heads, journal, life = Heads(), ["00"], 0
    taken: set[tuple[int, str]] = set()
    asked: list[Echo] = []
    answers: list[tuple[Echo, str | None]] = []

    def arrive(which: int) -> None:
        echo = asked.pop(which % len(asked))
        seen = [each for each in (echo.highest, *echo.earlier) if each is not None]
        assert all(each.sequence <= echo.highest.sequence for each in echo.earlier if echo.highest)
        if all(
            each.sequence < len(journal) and each.frame_sha256 == journal[each.sequence] * 32 for each in seen
        ):
            journal.append(f"{life:02x}")
            answers.append((echo, head(len(journal) - 1, life=journal[-1])))
        else:
            answers.append((echo, None))  # head_unknown

    def answer(which: int) -> None:
        echo, header = answers.pop(which % len(answers))
        if header is None and echo.life == heads.life:
            heads.forget()
            taken.clear()
        elif header is not None and echo.life == heads.life:
            heads.answered(echo, header)
            _, sequence, sha256 = header.split(":")
            taken.add((int(sequence), sha256))

    for what, number in steps:
        if what == "ask" and len(asked) < 20:
            asked.append(heads.echo())
        elif what == "arrive" and asked:
            arrive(number)
        elif what == "answer" and answers:
            answer(number)
        elif what == "restore":
            life += 1
            del journal[max(1, len(journal) - number) :]
    while asked:
        arrive(0)
    while answers:
        answer(0)
    for _ in range(2):
        asked.append(heads.echo())
        arrive(0)
        answer(0)
    assert all(journal[sequence] * 32 == sha256 for sequence, sha256 in taken)
