"""Small file systems of their own that can be filled to the last byte, and emptied again.

A tmpfs for each; the mounts live in a mount namespace of this process and its children, and go with them,
even after `kill -9`. That takes root.
"""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path
from typing import Final

__all__ = ["MountDenied", "Volume", "own_namespace"]

_CLONE_NEWNS: Final = 0x00020000
_MS_REC: Final = 0x4000
_MS_PRIVATE: Final = 1 << 18
_libc: Final = ctypes.CDLL(None, use_errno=True)
_BALLAST: Final = "ballast"


class MountDenied(Exception):
    """File systems cannot be mounted here; says what for and why."""


def own_namespace() -> None:
    """Give this process a mount namespace of its own. Before any thread is started. MountDenied."""
    if _libc.unshare(_CLONE_NEWNS) or _libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None):
        raise MountDenied(f"disk_full needs to mount a tmpfs: {os.strerror(ctypes.get_errno())} (be root)")


class Volume:
    """One tmpfs at `folder`, `mebibytes` large."""

    def __init__(self, folder: Path, mebibytes: int) -> None:
        self.folder = folder
        self._mebibytes = mebibytes
        self._ballast = folder / _BALLAST

    def mount(self) -> None:
        """Mount it, empty. MountDenied."""
        self.folder.mkdir(parents=True, exist_ok=True)
        options = f"size={self._mebibytes}m,mode=0700".encode()
        if _libc.mount(b"tmpfs", os.fsencode(self.folder), b"tmpfs", 0, options):
            raise MountDenied(f"a tmpfs at {self.folder}: {os.strerror(ctypes.get_errno())}")

    def unmount(self) -> None:
        """Let it go, whoever still has a file open there."""
        _libc.umount2(os.fsencode(self.folder), 2)  # MNT_DETACH

    def fill(self) -> int:
        """Write until nothing goes in any more; how many bytes that took."""
        with self._ballast.open("wb", buffering=0) as file:
            block = 1 << 20
            while block:
                try:
                    file.write(bytes(block))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    block //= 4
            return file.tell()

    def empty(self) -> None:
        """Take the ballast away."""
        self._ballast.unlink(missing_ok=True)
