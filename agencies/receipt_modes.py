"""Who says that a document was received: the node when it has verified and stored it, or its software.

The setting of a unit in agency.toml comes first. Else the software decides for every unit that a VXP system
acts for: it says so with `updateStatus`. Else the node's own setting holds.
"""

from __future__ import annotations

from agencies.config import ReceiptMode, Settings
from agencies.link.directory_sync import DirectorySync
from agencies.units import primary
from agencies.vxp.scope import Scope
from agencies.vxp.systems import Systems

__all__ = ["ReceiptModes"]


class ReceiptModes:
    """Settings and systems, as they are now."""

    def __init__(self, settings: Settings, systems: Systems, directory: DirectorySync) -> None:
        self._settings = settings
        self._systems = systems
        self._directory = directory

    def mode(self, unit: str) -> ReceiptMode:
        """For a unit by its primary code. The settings may name it by an older one."""
        for code, own in self._settings.units.items():
            if primary(self._directory.directory, code) == unit:
                return own.receipt
        organisations = self._systems.organisations
        if organisations and Scope(self._directory.directory, organisations).has(unit):
            return "software"
        return self._settings.receipt
