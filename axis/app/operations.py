"""What the command line can ask of a node, by name: over the control socket of a running one, or directly.

Arguments and answers are JSON. `axis.cli` and the demo are the callers; docs/operations.md is for people.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from axis.app.node import Node
from axis.control import Operation
from axis.core.errors import Refusal
from axis.flow.registry import By
from axis.logs import get_logger

if TYPE_CHECKING:
    from axis.app.cluster_acts import ClusterActs
    from axis.console.accounts import Account, Accounts

__all__ = ["operations"]

_SYNC_SECONDS: Final = 20.0


def operations(node: Node, *, serving: bool) -> dict[str, Operation]:
    """The operations on a node. `serving`: its views follow the journal by themselves."""
    registry = node.registry

    async def add(a: dict[str, Any]) -> object:
        old_codes = [str(code) for code in a.get("old_codes") or () if code]
        return await registry.add(
            str(a["code"]),
            str(a["name"]),
            _text(a, "parent"),
            old_codes,
            _text(a, "mail"),
            token=bool(a.get("token", True)),
            by=_by(a),
        )

    async def views_sync(_: dict[str, Any]) -> object:
        return await _views_sync(node, serving)

    async def cluster_status(_: dict[str, Any]) -> object:
        return await _cluster(node).status()

    async def journal_reseed(a: dict[str, Any]) -> object:
        seeded = await _cluster(node).reseed(reopen=bool(a.get("reopen")))
        return {"published": seeded.published, "last": seeded.last}

    async def status(_: dict[str, Any]) -> object:
        return _status(node, serving)

    async def rotate(a: dict[str, Any]) -> object:
        within = a.get("within_days")
        return await node.rotation.rotate(None if within is None else int(within))

    async def take(a: dict[str, Any]) -> object:
        return await node.rotation.take({str(name): str(pem).encode() for name, pem in a["files"].items()})

    return {
        **_operators(node),
        "org.add": add,
        "org.token": lambda a: registry.token(str(a["code"]), by=_by(a)),
        "org.import": lambda a: registry.import_units(a["rows"], by=_by(a)),
        "org.list": lambda a: registry.units(),
        "org.show": lambda a: registry.show(str(a["code"])),
        "org.suspend": lambda a: registry.suspend(str(a["code"]), _text(a, "reason"), by=_by(a)),
        "org.resume": lambda a: registry.resume(str(a["code"]), by=_by(a)),
        "cert.list": lambda a: registry.certificates(),
        "cert.revoke": lambda a: registry.revoke(str(a["serial"]), str(a["reason"]), by=_by(a)),
        "keys.rotate": rotate,
        "keys.take": take,
        "document.requeue": lambda a: registry.requeue(
            str(a["document_id"]), str(a["to"]), _text(a, "reason"), by=_by(a)
        ),
        "document.close": lambda a: registry.close(
            str(a["document_id"]), str(a["to"]), str(a["reason"]), by=_by(a)
        ),
        "cluster.status": cluster_status,
        "journal.reseed": journal_reseed,
        "views.sync": views_sync,
        "node.status": status,
    }


def _operators(node: Node) -> dict[str, Operation]:
    """The console's accounts: changed under the home's lock, which a running node holds."""

    async def listed(_: dict[str, Any]) -> object:
        return {"operators": [account.shown() for account in _accounts(node).all()]}

    async def add(a: dict[str, Any]) -> object:
        from axis.console.roles import Role

        role, now = Role.named(str(a["role"])), node.clock.now()
        name, password, token = str(a["name"]), _text(a, "password"), _text(a, "token")
        account = _accounts(node).add(name, role, password=password, token=token, at=now)
        return _changed("operator_added", account, a)

    async def change(a: dict[str, Any]) -> object:
        from axis.console.roles import Role

        account = _accounts(node).change(
            str(a["name"]),
            role=Role.named(str(a["role"])) if "role" in a else None,
            disabled=bool(a["disabled"]) if "disabled" in a else None,
            password=str(a["password"]) if "password" in a else None,
            token=str(a["token"]) if "token" in a else None,
            at=node.clock.now(),
        )
        return _changed("operator_changed", account, a)

    return {"operator.list": listed, "operator.add": add, "operator.change": change}


def _changed(event: str, account: Account, arguments: dict[str, Any]) -> dict[str, Any]:
    shown = account.shown()
    about = {name: shown[name] for name in ("name", "role", "state")}
    get_logger().warning(event, **about, operator=_text(arguments, "operator"))
    return shown


def _accounts(node: Node) -> Accounts:
    from axis.console.accounts import Accounts  # with the hashing, which no other command needs

    return Accounts(node.home.path)


def _cluster(node: Node) -> ClusterActs:
    if node.cluster is None:
        raise Refusal("field_invalid", "this axis is in no cluster: its journal is its home's own file")
    return node.cluster


def _text(arguments: dict[str, Any], name: str) -> str:
    """An argument that may be missing."""
    return str(arguments.get(name) or "")


def _by(arguments: dict[str, Any]) -> By:
    """Who asks. The caller says so: whoever reaches the control socket could change the files as well."""
    return By(_text(arguments, "operator"), _text(arguments, "remark"))


async def _views_sync(node: Node, serving: bool) -> dict[str, Any]:
    """Bring the views to the journal's head of now: {"head", "sequence"}."""
    head = node.journal.head()
    if not serving:
        node.views.catch_up(node.journal)
    elif not await node.views.reached(head.sequence, _SYNC_SECONDS):
        raise Refusal("unavailable", f"the views have not reached {head.sequence} in time", retry_after=5)
    return {"head": str(head), "sequence": head.sequence}


def _status(node: Node, serving: bool) -> dict[str, Any]:
    return {
        "running": serving,
        "head": str(node.journal.head()),
        "url": node.url,
        "in_flight": node.deadlines.in_flight,
        "open_polls": node.feed.waiting,
        "broken": node.sequencer.broken,
        "doubt": node.journal.doubt,
        "clock_doubt": node.sequencer.clock_doubt,
    }
