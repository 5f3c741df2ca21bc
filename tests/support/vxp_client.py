"""A client of the VXP API with the habits of the Java SDK, written from the protocol's description alone.

It shares no code with the server. Blocking, as the SDK is: tests call it through `asyncio.to_thread`. Each
habit can be switched off, which gives a clean client.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

__all__ = ["Answer", "VxpClient"]

PREFIX = "XroadVnpt-"
STAMP = "22112026T084325+0363"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    http_status: int
    content_type: str
    body: bytes

    def __getitem__(self, name: str) -> Any:
        return self.json[name]

    @property
    def json(self) -> dict[str, Any]:
        assert self.content_type == "application/json"
        assert self.body.isascii()  # the SDK garbles UTF-8
        found: dict[str, Any] = json.loads(self.body)
        assert found["status"] in ("OK", "FAIL")
        assert isinstance(found["ErrorCode"], str)
        return found

    @property
    def ok(self) -> bool:
        return self.json["status"] == "OK" and self.json["ErrorCode"] == "0"


@dataclass
class VxpClient:
    """One service object of the SDK: one stamp for its life, and one map of parameters that only grows."""

    endpoint: str
    system_id: str
    secret: str
    stamp: str = STAMP
    sticky: bool = True  # headers of earlier calls stay on later ones
    unpadded_hash: bool = True
    trailing_crlf: bool = True
    quoted_to: bool = True
    counts_by_post: bool = True
    expect: bool = False
    signs: tuple[str, ...] = ("systemid", "timestamp", "Content-Type")
    #: Changed on the way, after the headers were signed.
    tampered: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    _connection: http.client.HTTPConnection | None = None

    def send_edoc(self, packet: bytes, sender: str, messagetype: str = "edoc", to: Any = None) -> Answer:
        digest = hashlib.sha256(packet).digest()
        form = "{:x}" if self.unpadded_hash else "{:02x}"
        more = {
            "from": sender,
            "servicetype": "eDoc",
            "messagetype": messagetype,
            "hash-file": "".join(form.format(byte) for byte in digest),
        }
        if to is not None:
            codes = json.dumps(to)
            more["to"] = json.dumps(codes) if self.quoted_to else codes
        body = packet + (b"\r\n" if self.trailing_crlf else b"")
        return self.call("sendEdoc", more, body=body, content_type="application/octet-stream")

    def received(self, messagetype: str = "edoc", **dates: str) -> Answer:
        return self.call("getReceivedEdocList", {"servicetype": "eDoc", "messagetype": messagetype, **dates})

    def sent(self, document_id: str, messagetype: str = "edoc") -> Answer:
        more = {"servicetype": "eDoc", "messagetype": messagetype, "docId": document_id}
        return self.call("getSentEdocList", more)

    def get_edoc(self, document_id: str) -> Answer:
        return self.call("getEdoc", {"docId": document_id, "filePath": "/tmp/x.edxml"})

    def download(self, document_id: str) -> Answer:
        return self.call("downloadEdoc", {"docId": document_id}, method="GET")

    def download_without_headers(self) -> Answer:
        return self._request("GET", "downloadEdoc", {}, b"")

    def update_status(self, document_id: str, status: str, note: str = "", name: str = "docId") -> Answer:
        return self.call("updateStatus", {name: document_id, "status": status, "description": note})

    def count(self, what: str) -> Answer:
        method = "POST" if self.counts_by_post else "GET"
        return self.call(f"countReceive{what}", {}, method=method, body=b"{}" if self.counts_by_post else b"")

    def register(self, **unit: str) -> Answer:
        return self.call("registerAgency", {}, body=json.dumps(unit).encode())

    def delete(self, code: str) -> Answer:
        return self.call("deleteAgency", {"AgencyCode": code})

    def call(
        self,
        operation: str,
        more: dict[str, str] | None = None,
        *,
        method: str = "POST",
        body: bytes = b"",
        content_type: str = "application/json",
    ) -> Answer:
        """One call with every header that the protocol asks for, and what earlier calls have left."""
        known = self.parameters if self.sticky else {}
        known |= {"systemid": self.system_id, "timestamp": self.stamp, "Content-Type": content_type}
        known |= more or {}
        signed = json.dumps({PREFIX + name: known[name] for name in self.signs}, separators=(",", ":"))
        digest = hmac.new(self.secret.encode(), signed.encode(), hashlib.sha256).hexdigest()
        headers = {PREFIX + name: value for name, value in known.items()} | {
            PREFIX + "sign-header-key": ";".join(self.signs),
            PREFIX + "sign-header": signed,
            PREFIX + "hash-header": digest,
            PREFIX + "version": "3.0.201608",
            "User-Agent": "JAVASDKAgent/1.0.0 XRoad/VPCP",
            "Content-Type": content_type,
        }
        if self.expect:
            headers["Expect"] = "100-continue"
        return self._request(method, operation, headers | self.tampered, body)

    def _request(self, method: str, operation: str, headers: dict[str, str], body: bytes) -> Answer:
        address = urlsplit(f"{self.endpoint}/{operation}")
        for attempt in range(3):
            if self._connection is None:
                self._connection = http.client.HTTPConnection(address.netloc, timeout=30)
            try:
                raw = {name: value.encode() for name, value in headers.items()}
                self._connection.request(method, address.path, body or None, raw)
                response = self._connection.getresponse()
                return Answer(response.status, response.headers.get("Content-Type", ""), response.read())
            except (ConnectionError, http.client.HTTPException):
                self._connection.close()
                self._connection = None
                if attempt == 2:
                    raise
        raise AssertionError("not reached")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
