"""What an address asks of the traffic log: its query as a filter, and what is wrong with it in words."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, cast, get_args

from multidict import MultiMapping

from axis.console.told import Wrong
from axis.openapi import Parameter
from axis.views.criteria import EVENTS, Direction, Filter
from axis.views.text import parse_time

__all__ = [
    "FILTER", "KINDS", "MOST", "OUTCOMES", "SUBTREE", "as_reason", "filter_of", "goes_forward", "only",
]  # fmt: skip

#: Lines of one page, at most.
MOST: Final = 1000
KINDS: Final = ("document", "status")
OUTCOMES: Final = ("received", "refused", "dead")
SUBTREE: Final = Parameter("subtree", "query", "a unit, by any of its codes, with all that stand below it")
_SEQUENCE: Final = {"type": "integer", "minimum": 0}
#: All that a filter may name.
FILTER: Final = (
    Parameter("unit", "query", "this unit alone, by any of its codes"),
    SUBTREE,
    Parameter(
        "direction", "query", "of these: sender, recipient or either", {"enum": list(get_args(Direction))}
    ),
    Parameter("from", "query", "sent by exactly this unit"),
    Parameter("to", "query", "addressed to exactly this unit"),
    Parameter("kind", "query", "of what", {"enum": list(KINDS)}),
    Parameter("operator", "query", "what this operator did; `*`: what any did"),
    Parameter("event", "query", "what happened; `receipt`: received or refused", {"enum": list(EVENTS)}),
    Parameter("outcome", "query", "how it ended", {"enum": list(OUTCOMES)}),
    Parameter("code", "query", "a refusal's or a status's code"),
    Parameter("reason", "query", "exactly this reason or note; `~` before it: as it stands, `~` alone: none"),
    Parameter("number", "query", "the beginning of number/notation"),
    Parameter("text", "query", "words of subject, number or type; begun or whole, with marks or without"),
    Parameter("document", "query", "all about one document: its id"),
    Parameter("since", "query", "a date or an RFC 3339 time, Vietnam's unless it names its offset"),
    Parameter("until", "query", "the same; a date means the whole day"),
    Parameter(
        "limit",
        "query",
        "at most so many",
        {"type": "integer", "minimum": 1, "maximum": MOST, "default": 100},
    ),
    Parameter("after", "query", "events over this sequence; without `before` the oldest of them", _SEQUENCE),
    Parameter("before", "query", "events under this sequence", {"type": "integer", "minimum": 1}),
)
_NAMES: Final = tuple(parameter.name for parameter in FILTER)
_TEXT_MOST: Final = 500
_SEQUENCE_DIGITS: Final = 18


def filter_of(query: Mapping[str, str], limit: int = 100) -> Filter:
    """The filter that a query names; what is empty is not asked for.

    `unit` (alone), `subtree` (a unit with all below it now) and `direction` of these (either, from, to),
    `from`, `to`, `kind`, `operator` (`*` for any), `event` (`receipt`: received or refused), `outcome`,
    `code`, `reason`, `number`, `text`, `document`, `since`, `until`, `limit`, `after`, `before`. Refusal
    `field_invalid` names the one that is wrong or not known.
    """
    only(query, _NAMES)
    given = {name: value.strip() for name, value in query.items() if value.strip()}
    for name, value in given.items():
        if len(value) > _TEXT_MOST + (name == "reason"):  # a mark stands before
            raise Wrong(name, "long", most=_TEXT_MOST)
    return Filter(
        sender=given.get("from"),
        recipient=given.get("to"),
        document_id=given.get("document"),
        since=_time(given, "since"),
        until=_time(given, "until", end=True),
        event=_one_of(given, "event", EVENTS),
        code=given.get("code"),
        text=given.get("text"),
        limit=_number(given, "limit", limit, 1, MOST),
        after=_number(given, "after", 0),
        before=_number(given, "before", 0, 1) if "before" in given else None,
        kind=_one_of(given, "kind", KINDS),
        outcome=_one_of(given, "outcome", OUTCOMES),
        number=given.get("number"),
        unit=given.get("unit"),
        subtree=given.get("subtree"),
        operator=given.get("operator"),
        reason=_reason(query.get("reason", "")),
        direction=cast("Direction", _one_of(given, "direction", get_args(Direction)) or "either"),
    )


def as_reason(reason: str) -> str:
    """How an address asks for exactly this reason."""
    return reason if reason and reason == reason.strip() and not reason.startswith("~") else f"~{reason}"


def goes_forward(query: Mapping[str, str], wanted: Filter) -> bool:
    """Whether the oldest after a cursor are asked for, 0 too, instead of the newest."""
    return bool(query.get("after", "").strip()) and wanted.before is None


def only(query: Mapping[str, str], names: Collection[str]) -> None:
    """Hold a query to these names, each at most once: what was silently left out would give other numbers.

    Refusal `field_invalid` names the one that is not known, and those that are.
    """
    for name in query:
        if name not in names:
            possible = ", ".join(sorted(names))
            raise Wrong(name, "unknown", known=possible) if possible else Wrong(name, "none_known")
        if isinstance(query, MultiMapping) and len(query.getall(name)) > 1:
            raise Wrong(name, "twice")


def _reason(text: str) -> str | None:
    return text[1:] if text.startswith("~") else text.strip() or None


def _time(given: Mapping[str, str], name: str, *, end: bool = False) -> int | None:
    if name not in given:
        return None
    try:
        return parse_time(given[name], end=end)
    except (ValueError, OverflowError) as error:
        raise Wrong(name, "time") from error


def _number(
    given: Mapping[str, str], name: str, default: int, least: int = 0, most: int | None = None
) -> int:
    text = given.get(name)
    if text is None:
        return default
    value = int(text) if text.isascii() and text.isdigit() and len(text) <= _SEQUENCE_DIGITS else -1
    if value < least or (most is not None and value > most):
        word = "least" if most is None else "between"
        raise Wrong(name, word, least=least, most=most)
    return value


def _one_of(given: Mapping[str, str], name: str, known: tuple[str, ...]) -> str | None:
    value = given.get(name)
    if value is not None and value not in known:
        raise Wrong(name, "one_of", known=", ".join(known))
    return value
