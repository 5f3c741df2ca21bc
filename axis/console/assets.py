"""Style sheet, script and icon: files of the package, under names that change with their content."""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import Final

from aiohttp import web

__all__ = ["Assets"]

_TYPES: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_FOREVER: Final = "public, max-age=31536000, immutable"


class Assets:
    """Serves them, without a log-in: the form needs its style."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[str, bytes]] = {}
        self._paths: dict[str, str] = {}
        for file in resources.files("axis.console").joinpath("static").iterdir():
            stem, _, suffix = file.name.rpartition(".")
            if suffix in _TYPES:
                content = file.read_bytes()
                name = f"{stem}.{hashlib.sha256(content).hexdigest()[:16]}.{suffix}"
                self._files[name] = _TYPES[suffix], content
                self._paths[file.name] = f"/static/{name}"

    def path(self, name: str) -> str:
        """Where a file is served: `console.css`."""
        return self._paths[name]

    async def serve(self, request: web.Request) -> web.Response:
        """One file."""
        found = self._files.get(request.match_info["name"])
        if found is None:
            raise web.HTTPNotFound(text="there is no such file\n")
        content_type, body = found
        return web.Response(
            body=body, content_type=content_type, charset="utf-8", headers={"Cache-Control": _FOREVER}
        )
