"""Words typed in part: how many are looked for, and that nobody hides those of others."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import product

import pytest

from axis.core.errors import Refusal
from axis.views.syllables import syllables_beginning
from axis.views.text import words_of
from axis.views.words import MOST_WORDS, WordList, begun

LETTERS = "abcdefghijklmnopqrstuvwxyz"
TEXT = """Quyết định số 274 của Thủ tướng Chính phủ về việc phê duyệt Đề án kết nối, chia sẻ dữ liệu;
    căn cứ Luật Tổ chức chính quyền địa phương, Nghị định quy định việc xử phạt vi phạm hành chính; khuyến
    khích người nghèo vươn lên, giữ gìn rừng ngoằn ngoèo, khúc khuỷu; yêu cầu Ủy ban nhân dân huyện Quỳnh
    Lưu, thị xã Buôn Hồ, Nguyễn Huệ, rượu, hươu, xoong, giếng, gương, quạt, thuở, uỷ, khoét, quýt, nghiêng,
    ghềnh, tuần, thủy lợi, tỉnh Đắk Lắk, ngoém, yểng"""


@pytest.fixture
def views() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE words (word TEXT PRIMARY KEY) STRICT, WITHOUT ROWID")
        yield connection


def listed(views: sqlite3.Connection, *words: str) -> None:
    made = WordList(views)
    made.add(words)
    made.write()


def test_every_vietnamese_syllable_is_one() -> None:
    for word in words_of(TEXT):
        if word.isalpha():
            assert word in syllables_beginning(word[:2]), word
    assert all(len(syllables_beginning(a + b)) < 300 for a, b in product(LETTERS, repeat=2))


def test_nonsense_hides_nobodys_words(views: sqlite3.Connection) -> None:
    listed(views, *words_of(TEXT), "qui", "quazimodo")
    assert begun(views, "qu") == [
        ["qu", *sorted({*(w for w in words_of(TEXT) if w[:2] == "qu"), "qui", "quazimodo"})]
    ]
    listed(views, *("quy" + "".join(more) for more in product(LETTERS, repeat=3)))
    (found,) = begun(views, "quy")
    assert found == ["quy", "quyen", "quyeng", "quyet", "quynh", "quyt"]
    (found,) = begun(views, "quyb")
    assert found == ["quyb"], "nothing Vietnamese begins so"
    (found,) = begun(views, "quyba")
    assert len(found) == 27, "few others begin so"


def test_numbers_that_many_begin_with_are_found_by_their_next_digits(views: sqlite3.Connection) -> None:
    listed(views, *map(str, range(20_000, 21_000)), "2026", "202", "27")
    assert begun(views, "20") == [["20", "202", "2026"]]
    assert len(begun(views, "202")[0]) == 102


def test_so_many_words_and_no_more(views: sqlite3.Connection) -> None:
    words = [f"{a}{b}" for a, b in product(LETTERS, repeat=2)]
    listed(views, *(word + "x" for word in words))
    typed = words[:MOST_WORDS]
    assert begun(views, " ".join(typed + typed)) == [
        *([word] for word in typed[:-16]),
        *([word, word + "x"] for word in typed[-16:]),
    ]
    with pytest.raises(Refusal, match="text: at most 100") as refused:
        begun(views, " ".join(words[: MOST_WORDS + 1]))
    assert refused.value.name == "field_invalid"


def test_so_many_together_and_the_rest_whole(views: sqlite3.Connection) -> None:
    many = ["".join(more) for more in product(LETTERS, repeat=2)][:400]
    beginnings = [f"k{letter}" for letter in LETTERS[:6]]
    for beginning in beginnings:
        listed(views, *(beginning + more for more in many))
    listed(views, "zuto")
    found = begun(views, " ".join([*beginnings, "zu"]))
    assert [len(some) for some in found] == [401, 401, 401, 401, 1, 1, 2]
    assert [some[0] for some in found] == [*beginnings, "zu"]
