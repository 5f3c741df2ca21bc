"""The console's words: Vietnamese first, English second, from `words.toml`.

Templates name what they say (`{{ t("traffic.title") }}`); nothing that people read stands in code. A word
that only one language has is a defect, which loading finds.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Final, Literal, get_args

__all__ = ["LANGUAGES", "Language", "Translate", "language_of", "translator"]

Language = Literal["vi", "en"]
#: Says a word in one language; `values` fill its places.
Translate = Callable[..., str]

LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)


def language_of(text: str | None) -> Language:
    """The language that a cookie names; Vietnamese for anything else."""
    return "en" if text == "en" else "vi"


def translator(language: Language) -> Translate:
    """The words of one language. KeyError for a name that there is not: a template is wrong.

    With `otherwise` that is said instead: for what a journal may hold and these words do not know.
    """
    words = _WORDS[language]

    def translate(name: str, otherwise: str | None = None, /, **values: object) -> str:
        if otherwise is not None and name not in words:
            return otherwise
        word = words[name]
        return word.format(**values) if values else word

    return translate


def known(language: Language) -> Mapping[str, str]:
    """Every word of a language by its name."""
    return _WORDS[language]


def _load() -> dict[Language, dict[str, str]]:
    text = resources.files("axis.console").joinpath("words.toml").read_text("utf-8")
    words: dict[Language, dict[str, str]] = {language: {} for language in LANGUAGES}
    for section, entries in tomllib.loads(text).items():
        for name, pair in entries.items():
            for language, word in zip(LANGUAGES, pair, strict=True):
                words[language][f"{section}.{name}"] = word
    return words


_WORDS: Final = _load()
