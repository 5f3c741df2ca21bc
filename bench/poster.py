"""Posting documents at little cost: the load generator shares the cores with what it measures.

HTTP/1.1 over connections that stay open, one request at a time on each. What a node answers is read by
Content-Length, which is all that the nodes' API uses for small answers.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import Any, Self
from urllib.parse import urlsplit

__all__ = ["Poster"]

_LIMIT_SECONDS = 60.0

_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Poster:
    """Posts to one node. Use it as an async context manager."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._host, self._port = address.hostname or "", address.port or 80
        self._idle: deque[_Connection] = deque()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for _reader, writer in self._idle:
            writer.close()

    async def post(self, path: str, content_type: str, body: bytes) -> Any:
        """The JSON of a 2xx answer; RuntimeError for every other one, TimeoutError after 60 s."""
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
            f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        async with asyncio.timeout(_LIMIT_SECONDS):
            reader, writer = (
                self._idle.pop()
                if self._idle
                else await asyncio.open_connection(self._host, self._port, limit=1 << 20)
            )
            writer.write(head.encode() + body)
            answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = next(
                int(line.partition(":")[2])
                for line in answer.split("\r\n")
                if line.lower().startswith("content-length:")
            )
            content = await reader.readexactly(length)
        self._idle.append((reader, writer))
        if answer.split(" ", 2)[1][0] != "2":
            raise RuntimeError(f"{path}: {answer.splitlines()[0]} {content[:500]!r}")
        return json.loads(content)
