"""What the commands ask of a node's API."""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import aiohttp

from agencies.commands.saving import Folder
from agencies.desk.spool import safe_name
from agencies.local import LocalApi
from axis.core.errors import Refusal

__all__ = ["either", "everything", "save_attachments", "say_status", "send_files", "send_packet"]

Json = dict[str, Any]

_PAGE: Final = 500


async def send_files(api: LocalApi, request: Json, files: Sequence[Path]) -> Json:
    """Hand in a document. {"document_id", "state", "online"}: whether a node is there to send it."""
    online = bool((await api.json("GET", "/v1/node"))["online"])
    with aiohttp.MultipartWriter("form-data") as form:
        part = form.append_json(request)
        part.set_content_disposition("form-data", name="document")
        opened = []
        try:
            for path in files:
                opened.append(path.open("rb"))
                media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
                part = form.append(opened[-1], {"Content-Type": media_type})
                part.set_content_disposition("form-data", name="file", filename=path.name)
            answer: Json = await api.json("POST", "/v1/documents", data=form)
        finally:
            for file in opened:
                file.close()
    return answer | {"online": online}


async def send_packet(api: LocalApi, path: Path) -> Json:
    """Hand in an edXML packet. {"document_id", "state", "warnings", "online"}."""
    online = bool((await api.json("GET", "/v1/node"))["online"])
    headers = {"Content-Type": "application/octet-stream"}
    with path.open("rb") as file:
        answer: Json = await api.json("POST", "/v1/edxml", data=file, headers=headers)
    return answer | {"online": online}


async def say_status(api: LocalApi, document_id: str, code: str, note: str) -> Json:
    """Say a status of a document that was received, or sent (13). {"statuses": [...]}."""
    side = "documents" if code == "13" else "inbox"
    body = {"code": code, "note": note}
    answer: Json = await api.json("POST", f"/v1/{side}/{document_id}/statuses", json=body)
    return answer


async def everything(api: LocalApi, path: str) -> list[Json]:
    """All pages of a list."""
    found: list[Json] = []
    after = ""
    while True:
        page = await api.json("GET", path, params={"after": after, "limit": str(_PAGE)})
        found += page["documents"]
        if len(page["documents"]) < _PAGE:
            return found
        after = page["next"]


async def either(api: LocalApi, document_id: str) -> Json:
    """One document of the inbox or the outbox, or of both. Refusal `document_unknown`."""
    found: Json = {}
    for side, path in (("received", "inbox"), ("sent", "documents")):
        try:
            found[side] = await api.json("GET", f"/v1/{path}/{document_id}")
        except Refusal as refusal:
            if refusal.name != "document_unknown":
                raise
    if not found:
        raise Refusal("document_unknown", f"no document {document_id[:64]} at this node")
    if len(found) == 1:
        ((side, one),) = found.items()
        return {"side": side, **one}
    return {"side": "both", **found["sent"], "received": found["received"]}


async def save_attachments(api: LocalApi, document_id: str, out: Path) -> list[Path]:
    """Write the attachments into a folder, none over anything. Refusal `document_unknown`.

    What an earlier call saved there, and is unchanged, is kept and named again.
    """
    found = await either(api, document_id)
    path = "documents" if found["side"] == "sent" else "inbox"
    listed = found["received"] if found["side"] == "both" else found
    written: list[Path] = []
    with Folder(out) as folder:
        for number, attachment in enumerate(listed["attachments"]):
            content = f"/v1/{path}/{document_id}/attachments/{number}"

            async def fill(file: BinaryIO, content: str = content) -> None:
                await api.download(content, file)

            written.append(await folder.save(safe_name(attachment["name"], number), number, fill))
    return written
