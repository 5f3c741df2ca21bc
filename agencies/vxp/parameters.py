"""What a call says: its `XroadVnpt-…` headers, and a JSON body where there is one.

The real client keeps the headers of its earlier calls, so an operation reads what it needs and nothing else.
Header names differ in case between clients, and even between one client's calls (`docId`, `docid`). Another
header that comes twice with different values is refused: what was signed and what is used must be the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from multidict import CIMultiDict

from axis.core.errors import Refusal
from axis.core.volumes import VIETNAM

__all__ = ["PREFIX", "Headers", "Parameters", "vietnam_time"]

PREFIX: Final = "XroadVnpt-"
_TIME: Final = "%d/%m/%Y %H:%M:%S"
_TIME_FORM: Final = re.compile(r"\d{2}/\d{2}/\d{4} \d{2}:\d{2}:\d{2}", re.ASCII)
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_MOST_RECIPIENTS: Final = 1000


class Headers(Protocol):
    """A request's headers, names without regard to case."""

    def getall(self, key: str, default: Sequence[str]) -> Sequence[str]:
        """Every value of a header."""
        ...

    def items(self) -> Iterable[tuple[str, str]]:
        """Every header in the spelling that it came in, one for each value."""
        ...


class Parameters:
    """The parameters of one call."""

    def __init__(self, headers: Headers, body: Mapping[str, Any] | None = None) -> None:
        self._headers = headers
        self._body = {name.casefold(): value for name, value in (body or {}).items()}

    def with_body(self, body: Mapping[str, Any]) -> Parameters:
        """The same headers, and what the body says where they say nothing."""
        return Parameters(self._headers, body)

    def body_alone(self) -> Parameters:
        """What the body says, whatever headers an earlier call has left."""
        return Parameters(CIMultiDict(), self._body)

    def header(self, name: str) -> str | None:
        """A header as it came, by its whole name; None without it. Refusal `field_invalid` for two values."""
        values = set(self._headers.getall(name, ()))
        if len(values) > 1:
            raise Refusal("field_invalid", f"{name}: the header comes twice, with different values")
        return values.pop() if values else None

    def text(self, name: str, default: str = "") -> str:
        """A parameter: the header `XroadVnpt-<name>`, else the body's member; numbers as their digits."""
        given = self.header(PREFIX + name)
        if given is None:
            return _plain(name, self._body.get(name.casefold()), default)
        return _storable(_unquoted(_readable(given))).strip() or default

    def spellings(self, name: str) -> list[str]:
        """A parameter's values where its header comes in several spellings, the exact one's first.

        The client keeps what an earlier call has left under another spelling. [] where there is none.
        """
        wanted = (PREFIX + name).casefold()
        found = [(key, value) for key, value in self._headers.items() if key.casefold() == wanted]
        found.sort(key=lambda header: header[0] != PREFIX + name)
        values = [_storable(_unquoted(_readable(value))).strip() for _, value in found]
        return [value for value in dict.fromkeys(values) if value] or [
            value for value in (_plain(name, self._body.get(name.casefold()), ""),) if value
        ]

    def required(self, name: str) -> str:
        """A parameter that the operation cannot do without. Refusal `field_invalid`."""
        found = self.text(name)
        if not found:
            raise Refusal("field_invalid", f"{name}: it is missing")
        return found

    def codes(self, name: str) -> list[str]:
        """A JSON array of unit codes, quoted once more or not, or codes with commas; [] where there is none.

        Refusal `field_invalid`.
        """
        given = self.header(PREFIX + name)
        text = _readable(given or "").strip()
        if not text:
            return []
        value: object = _json(name, text) if text[0] in '["' else text
        if isinstance(value, str):
            value = _json(name, value) if value.lstrip()[:1] == "[" else [c for c in value.split(",") if c]
        if not isinstance(value, list) or not all(isinstance(code, str) for code in value):
            raise Refusal("field_invalid", f"{name}: it is no JSON array of unit codes")
        codes = [_storable(code).strip() for code in value]
        if len(codes) > _MOST_RECIPIENTS:
            raise Refusal("field_invalid", f"{name}: at most {_MOST_RECIPIENTS} units")
        return [code for code in dict.fromkeys(codes) if code]

    def time(self, name: str) -> int | None:
        """`dd/MM/yyyy HH:mm:ss`, Vietnam time, as milliseconds since the epoch; None where there is none."""
        text = self.text(name)
        if not text:
            return None
        if not _TIME_FORM.fullmatch(text):
            raise Refusal("field_invalid", f"{name}: {text[:40]!r} is not dd/MM/yyyy HH:mm:ss")
        try:
            moment = datetime.strptime(text, _TIME).replace(tzinfo=VIETNAM)
        except ValueError as error:
            raise Refusal("field_invalid", f"{name}: {text!r} is no moment") from error
        return (moment - _EPOCH) // timedelta(milliseconds=1)


def vietnam_time(at: int) -> str:
    """Milliseconds since the epoch as replies have them; empty for 0, which means never."""
    if not at:
        return ""
    return (datetime.fromtimestamp(0, VIETNAM) + timedelta(milliseconds=at)).strftime(_TIME)


def _readable(value: str) -> str:
    """Text of a header: what is no UTF-8 becomes U+FFFD, so that it can be stored and answered."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _storable(text: str) -> str:
    """Text of a body: JSON can name halves of characters, which nothing can store."""
    return text.encode("utf-8", "replace").decode()


def _unquoted(text: str) -> str:
    """Some clients put single values into JSON too."""
    if len(text) >= 2 and text[0] == text[-1] == '"':
        try:
            value = json.loads(text)
        except ValueError:
            return text
        return value if isinstance(value, str) else text
    return text


def _plain(name: str, value: object, default: str) -> str:
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Refusal("field_invalid", f"{name}: a text or a number is possible")
    return _storable(str(value)).strip() or default


def _json(name: str, text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refusal("field_invalid", f"{name}: it is no JSON") from error
