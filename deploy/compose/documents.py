"""Documents from one container's agency to another's, by its commands and by the VXP API."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from typing import Any

from deploy.compose.running import Failed, fetch, say
from deploy.compose.stack import Stack

__all__ = ["exchange", "exchange_vxp"]

_VXP = "http://127.0.0.1:8091/vxp"
_VXP_UNIT = "G22.VXP"
_ARRIVAL_SECONDS = 60.0


def exchange(stack: Stack, sender: str, receiver: str, subject: str) -> None:
    """One file goes from agency to agency, and is the same byte for byte."""
    content = secrets.token_bytes(300_000)
    name = f"report-{secrets.token_hex(4)}.bin"
    document_id = _send(stack, sender, receiver, subject, name, content, "--wait")
    target = _service(receiver)
    stack.execute(target, "agency", "save", document_id, "--out", f"/tmp/{document_id}")
    if stack.execute(target, "cat", f"/tmp/{document_id}/{name}") != content:
        raise Failed(f"{document_id}: {receiver} has another file than {sender} sent")
    say(f"{subject}: {document_id} went from {sender} to {receiver}, byte for byte")


def exchange_vxp(stack: Stack, sender: str) -> None:
    """A document to the VXP client's own unit: the client finds it, takes it, and its word is the receipt."""
    content = secrets.token_bytes(3_000)
    document_id = _send(stack, sender, _VXP_UNIT, "to the VXP client", "letter.bin", content)
    client = _Vxp(json.loads(stack.execute("agency-g22", "cat", "/data/vxp.json")))
    deadline = time.monotonic() + _ARRIVAL_SECONDS
    while not any(each["docId"] == document_id for each in client.call("getReceivedEdocList")["data"]):
        if time.monotonic() > deadline:
            raise Failed(f"{document_id}: the VXP client does not find it")
        time.sleep(0.5)
    packet = base64.b64decode(client.call("getEdoc", docId=document_id)["data"])
    if base64.b64encode(content) not in packet.replace(b"\n", b""):
        raise Failed(f"{document_id}: the packet does not hold the file that {sender} sent")
    client.call("updateStatus", docId=document_id, status="done")
    while (state := _state(stack, sender, document_id)) != "delivered":
        if time.monotonic() > deadline:
            raise Failed(f"{document_id} is {state} after the VXP client said done")
        time.sleep(0.5)
    say(f"the VXP client took {document_id} from {sender}, and its word was the receipt")


def _send(
    stack: Stack, sender: str, receiver: str, subject: str, name: str, content: bytes, *options: str
) -> str:
    service = _service(sender)
    stack.execute(service, "sh", "-c", f"cat > /tmp/{name}", stdin=content)
    send = ("agency", "send", f"/tmp/{name}", "--to", receiver, "--subject", subject, *options)
    return stack.execute(service, *send, timeout=90).decode().strip()


def _state(stack: Stack, sender: str, document_id: str) -> str:
    return str(json.loads(stack.execute(_service(sender), "agency", "show", document_id, "--json"))["state"])


def _service(code: str) -> str:
    return f"agency-{code.lower()}"


class _Vxp:
    """A client of the VXP API, written from docs/vxp.md."""

    def __init__(self, access: dict[str, str]) -> None:
        self._system_id, self._secret = access["system_id"], access["secret"]

    def call(self, operation: str, **parameters: str) -> dict[str, Any]:
        """One operation's reply. Failed where it says no."""
        named = {"systemid": self._system_id, "timestamp": "27112026T084325+0363"}
        signed = json.dumps({f"XroadVnpt-{name}": value for name, value in named.items()})
        digest = hmac.new(self._secret.encode(), signed.encode(), hashlib.sha256).hexdigest()
        named |= {"servicetype": "eDoc", "messagetype": "edoc", **parameters}
        named |= {"sign-header-key": "systemid;timestamp", "sign-header": signed, "hash-header": digest}
        headers = {f"XroadVnpt-{name}": value for name, value in named.items()}
        reply = fetch(f"{_VXP}/{operation}", headers | {"Content-Type": "application/json"}, b"{}")
        if reply["status"] != "OK":
            raise Failed(f"VXP {operation}: {reply['ErrorDesc']}")
        return dict(reply)
