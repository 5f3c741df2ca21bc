"""What a run ends with."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["ChaosReport"]


@dataclass(slots=True)
class ChaosReport:
    """The last line of `make chaos`. `faults`: every planned kind, and how often it was injected."""

    documents: int = 0
    deliveries: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    duplicated: int = 0
    longest_outage_seconds: float = 0.0
    audits_equal: bool = False
    problems: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Nothing lost, nothing doubled, all books equal, every planned kind injected, no other problem."""
        clean = not (self.lost or self.duplicated or self.problems) and self.documents > 0
        return clean and self.audits_equal and all(self.faults.values())

    def as_json(self) -> dict[str, object]:
        """The fields of the contract; problems only where there are some (the first hundred)."""
        shape: dict[str, object] = {name: getattr(self, name) for name in self.__slots__}
        shape["problems"] = self.problems[:100]
        if not self.problems:
            del shape["problems"]
        return shape
