"""Changes lie over facts until they are stored."""

from axis.core.facts import Changes, FeedRow, Overlay


class Base:
    def get(self, key: str) -> bytes | None:
        return {"a": b"1"}.get(key)


def test_changes_hide_the_base_and_add_up() -> None:
    overlay = Overlay(Base())
    assert overlay.get("a") == b"1"
    overlay.apply(Changes(keys={"k": 1}, facts={"a": (b"2", 1)}))
    later = Changes(facts={"b": (b"3", 2)})
    later.add_feed(["G22", "G14", "G22"], urgent=True, sequence=2)
    overlay.apply(later)
    assert (overlay.get("a"), overlay.get("b"), overlay.get("c")) == (b"2", b"3", None)
    assert overlay.changes.keys == {"k": 1}
    assert overlay.changes.feed == [FeedRow("G22", True, 2), FeedRow("G14", True, 2)]
