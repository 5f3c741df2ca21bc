"""Small files of a home that say where it stands with a cluster: what was broken off is taken up again.

- `cluster.joined`: it has been in the cluster, so a missing stream is a loss, never to be founded anew;
- `cluster.founding`: it has begun to publish itself, and must end that first;
- `cluster.leaving`, `cluster.left`: it has closed the stream, or begun to, and goes on alone. Both hold the
  token that the closed stream names, by which this home alone opens it again.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from axis.durable import sync_folder, write_whole

__all__ = ["Marks"]


class Marks:
    """The marks of one home. Each is durable before its method returns."""

    def __init__(self, home: Path) -> None:
        self._joined = home / "cluster.joined"
        self._founding = home / "cluster.founding"
        self._leaving = home / "cluster.leaving"
        self._left = home / "cluster.left"

    @property
    def joined(self) -> bool:
        """Whether it has been in a cluster, and not left it."""
        return self._joined.exists()

    @property
    def founding(self) -> bool:
        """Whether it has begun to publish itself."""
        return self._founding.exists()

    @property
    def token(self) -> str:
        """By which it closed the stream; empty where it did not."""
        for path in (self._left, self._leaving):
            if path.exists():
                return path.read_text("ascii").strip()
        return ""

    def founds(self) -> None:
        """It begins to publish itself."""
        self._make(self._founding, b"")

    def joins(self) -> None:
        """It is in the cluster; what was before is over."""
        self._make(self._joined, b"")
        self._drop(self._founding, self._leaving, self._left)

    def leaves(self) -> str:
        """It begins to leave; the token, the same when begun again."""
        if not self.token:
            self._make(self._leaving, secrets.token_hex(16).encode("ascii"))
        return self.token

    def has_left(self) -> None:
        """It has everything, and nobody appends any more."""
        self._make(self._left, self.token.encode("ascii"))
        self._drop(self._joined, self._founding, self._leaving)

    def _make(self, path: Path, content: bytes) -> None:
        write_whole(path, content, 0o600)

    def _drop(self, *paths: Path) -> None:
        for path in paths:
            path.unlink(missing_ok=True)
        sync_folder(self._joined.parent)
