"""What an audit found.

Codes of problems: those of `axis.core.errors` for signatures and certificates, and

- the journal's bytes: `frame_missing`, `frame_changed`, `frame_malformed`, `frame_invalid`, `chain_broken`,
  `head_mismatch`, `tree_mismatch`, `journal_unreadable`, `record_malformed`;
- what records say: `founded_twice`, `anchor_mismatch`, `code_taken`, `parent_unknown`, `unit_unknown`,
  `certificate_mismatch`, `serial_taken`, `revoked_twice`, `accepted_twice`, `acceptance_mismatch`,
  `delivery_unknown`, `receipt_mismatch`, `late_receipt_mismatch`, `notice_mismatch`, `outcome_repeated`;
- what is computed from them: `index_row_…` and `view_row_changed`, `…_missing`, `…_added`, `views_missing`,
  `views_elsewhere`, `views_unreadable`, `views_behind` (they cannot be brought up);
- content: `blob_missing`, `blob_mismatch`, `blob_unreadable`; `blobs_unreachable` when a home's cluster does
  not answer, which says nothing about what is stored.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

__all__ = ["UNREACHABLE", "AuditReport", "Findings", "Problem"]

#: Attachments could not be read because a cluster does not answer.
UNREACHABLE: Final = "blobs_unreachable"

#: Of one code, so that one dropped frame does not bury everything else under what follows from it.
_KEPT: Final = 50


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as it must be. `sequence` is the record it shows at; 0 where there is none."""

    sequence: int
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The answer of an audit. Clean if there are no problems."""

    head: str
    records: int
    root_hash: str
    signatures_checked: int
    volumes_equal: bool
    problems: tuple[Problem, ...]

    @property
    def incomplete(self) -> bool:
        """Whether nothing was found wrong, but attachments could not be read."""
        return bool(self.problems) and all(problem.code == UNREACHABLE for problem in self.problems)

    def as_json(self) -> dict[str, object]:
        """The contract's shape."""
        return {
            "head": self.head,
            "records": self.records,
            "root_hash": self.root_hash,
            "signatures_checked": self.signatures_checked,
            "volumes_equal": self.volumes_equal,
            "problems": [
                {"sequence": problem.sequence, "code": problem.code, "detail": problem.detail}
                for problem in self.problems
            ],
        }


@dataclass(slots=True)
class Findings:
    """Problems as they are found."""

    problems: list[Problem] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, sequence: int, code: str, detail: str) -> None:
        """Note a problem; past 50 of a code they are only counted."""
        self.counts[code] += 1
        if self.counts[code] <= _KEPT:
            self.problems.append(Problem(sequence, code, detail))

    def final(self) -> tuple[Problem, ...]:
        """Everything in the order of sequences, with what was only counted summed up."""
        summed = [
            Problem(0, code, f"… and {count - _KEPT} more")
            for code, count in self.counts.items()
            if count > _KEPT
        ]
        return (*sorted(self.problems, key=lambda problem: problem.sequence), *summed)
