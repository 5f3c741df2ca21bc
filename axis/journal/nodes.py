"""Where the nodes of a cluster stand: each answers who asks, from its own file.

Only used to say who is ahead and who disagrees; what is in the journal only frames decide. Answers come over
the cluster's own TLS, yet are read strictly: one that makes no sense counts as none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from axis.journal.sqlite import SqliteJournal
from axis.journal.stream import JournalStream

__all__ = ["NodeAnswer", "answering", "ask_nodes", "sides"]

_MOST: Final = 64
_ASK_SECONDS: Final = 0.5
_NAME_LIMIT: Final = 200
_SHOWN: Final = 12  # digits of a hash, for people


@dataclass(frozen=True, slots=True)
class NodeAnswer:
    """A node's head, and its frame at the number that was asked for (empty: it has none there)."""

    node: str
    journal_id: str
    frame: int
    sequence: int
    sha256: str
    asked_sha256: str
    doubt: str

    @classmethod
    def of(cls, file: SqliteJournal, node: str, number: int, doubt: str = "") -> NodeAnswer:
        """What this node says of itself, from its file."""
        head = file.head()
        asked = file.frames(number - 1, 1) if 0 < number <= head.number else []
        return cls(
            node=node,
            journal_id=head.journal_id,
            frame=head.number,
            sequence=head.sequence,
            sha256=head.sha256.hex(),
            asked_sha256=asked[0].head.sha256.hex() if asked else "",
            doubt=doubt,
        )

    def as_json(self) -> dict[str, object]:
        """For people and scripts."""
        return {name: value for name, value in asdict(self).items() if name != "asked_sha256"}


def answering(file: SqliteJournal, name: str, doubt: Callable[[], str]) -> Callable[[bytes], bytes]:
    """What this node answers to a question (the number of a frame; else 0)."""

    def give(question: bytes) -> bytes:
        number = int(question) if question.isdigit() and len(question) < 20 else 0
        return json.dumps(asdict(NodeAnswer.of(file, name, number, doubt()))).encode()

    return give


async def ask_nodes(
    stream: JournalStream, journal_id: str, number: int = 0, seconds: float = _ASK_SECONDS
) -> list[NodeAnswer]:
    """What the nodes of this journal answer within `seconds`, by name. Raises NotAnswered."""
    raw = await stream.survey(b"%d" % number, seconds, _MOST)
    answers = [answer for each in raw if (answer := _read(each)) is not None]
    return sorted((a for a in answers if a.journal_id == journal_id), key=lambda a: a.node)


def sides(answers: Sequence[NodeAnswer], number: int, in_stream: bytes | None) -> str:
    """Who holds which frame `number`: "frame 7 is 3f… in the stream and at b, 81… at a"."""
    at: dict[str, list[str]] = {}
    if in_stream is not None:
        at[hashlib.sha256(in_stream).hexdigest()] = ["in the stream"]
    for answer in answers:
        if answer.asked_sha256:
            at.setdefault(answer.asked_sha256, []).append(f"at {answer.node}")
    held = [f"{sha256[:_SHOWN]}… {' and '.join(places)}" for sha256, places in at.items()]
    return f"frame {number} is {', '.join(held)}" if held else f"no node told of its frame {number}"


def _read(raw: bytes) -> NodeAnswer | None:
    """An answer; None for one that is none."""
    try:
        said = json.loads(raw)
        answer = NodeAnswer(**said)
    except (ValueError, TypeError, RecursionError):
        return None
    texts = (answer.node, answer.journal_id, answer.doubt)
    whole = (
        all(isinstance(text, str) for text in texts)
        and 0 < len(answer.node) <= _NAME_LIMIT
        and all(_is_count(number) for number in (answer.frame, answer.sequence))
        and _is_hash(answer.sha256)
        and (answer.asked_sha256 == "" or _is_hash(answer.asked_sha256))
    )
    return answer if whole else None


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")
