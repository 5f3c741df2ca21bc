"""What a refusal says to people, in the language of whoever reads it; programs get its English detail.

`Wrong` is of one field of a form or an address, `NotNow` of what the node cannot do now, and both know the
words for it. Any other refusal is said by the sentence of its stable code, with the detail after it, which is
English.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from axis.console.words import Translate, translator
from axis.core.errors import Refusal
from axis.views.volumes import UnknownUnit

__all__ = ["NotNow", "Told", "Wrong", "told"]

_LONGEST_NAME: Final = 40


class Wrong(Refusal):
    """`field_invalid`: what is wrong with a field, by the word `wrong.<word>`, whose places `values` fill.

    `detail` is said to programs instead of the English word.
    """

    def __init__(self, field: str, word: str, *, detail: str = "", **values: object) -> None:
        self.field = field[:_LONGEST_NAME]
        self.word, self.values = f"wrong.{word}", values
        english = translator("en")(self.word, **values)
        super().__init__("field_invalid", detail or f"{self.field}: {english}")


class NotNow(Refusal):
    """`unavailable`: why, and what helps, by the word `not_now.<word>`, whose `seconds` are `retry_after`."""

    def __init__(self, word: str, detail: str, retry_after: int) -> None:
        self.word = f"not_now.{word}"
        super().__init__("unavailable", detail, retry_after=retry_after)


@dataclass(frozen=True, slots=True)
class Told:
    """A sentence, and what only English has of it."""

    sentence: str
    english: str = ""


def told(say: Translate, refusal: Refusal) -> Told:
    """A refusal in the words of `say`."""
    if isinstance(refusal, Wrong):
        return Told(f"{_named(say, refusal.field)}: {say(refusal.word, **refusal.values)}")
    if isinstance(refusal, NotNow):
        return Told(say(refusal.word, seconds=refusal.retry_after))
    if isinstance(refusal, UnknownUnit):
        return Told(say("wrong.unit", given=refusal.given))
    sentence = say(f"code.{refusal.name}")
    name = refusal.detail.partition(":")[0]
    if refusal.name == "field_invalid" and say(f"field.{name}", ""):
        sentence = f"{_named(say, name)}: {say('wrong.value')}"
    return Told(sentence, "" if refusal.detail == refusal.code.cause else refusal.detail)


def _named(say: Translate, field: str) -> str:
    """A field as the form calls it, and as the address does."""
    label = say(f"field.{field}", "")
    return f"{label} ({field})" if label else field
