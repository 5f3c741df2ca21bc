"""The axis gets new keys while it works: what was accepted before and after verifies, for everybody."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import ssl
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from typer.testing import CliRunner

from agencies.clock import SystemClock
from axis import doctor
from axis.app.backup import back_up, restore
from axis.app.home import init_home, read_home
from axis.app.node import Node, open_home
from axis.app.operations import operations
from axis.app.own_keys import FILES, OwnKeys
from axis.app.serve import Running, serving
from axis.cli import app, main
from axis.commands.views import audit_home
from axis.core import cms
from axis.core.errors import Refusal
from axis.flow.enrolment import Enrolment
from certs.authority import Authority
from tests.support.country import LIMIT, Country, free_port

DAY_MS = 86_400_000


def serial_of(der: bytes) -> str:
    return f"{x509.load_der_x509_certificate(der).serial_number:x}"


def signer_of(home: Path, document_id: str) -> str:
    """Who signed the acceptance that the sender's node keeps: the certificate's serial."""
    with closing(sqlite3.connect(home / "agency.sqlite")) as store:
        (signature,) = store.execute(
            "SELECT acceptance_signature FROM sent WHERE document_id = ?", (document_id,)
        ).fetchone()
    return serial_of(cms.read(signature).certificate_der)


async def served_serial(running: Running) -> str:
    """The serial of the TLS certificate that a new connection is shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    host, port = running.agency_url.removeprefix("https://").split(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return serial_of(der)


async def exchange(country: Country, subject: str) -> str:
    sent = await country.post("G14", {"to": ["G22"], "subject": subject}, subject.encode())
    document_id = str(sent["document_id"])
    assert (await country.outcome("G14", document_id))["state"] == "delivered"
    assert (await country.arrived("G22", document_id))["state"] == "received"
    return document_id


async def test_documents_before_and_after_a_rotation_verify_everywhere(tmp_path: Path) -> None:
    home = tmp_path / "axis"
    await asyncio.to_thread(init_home, home, f"127.0.0.1:{free_port()}", "127.0.0.1:0")
    first = read_home(home).own.current
    limit = aiohttp.ClientTimeout(total=LIMIT)
    async with aiohttp.ClientSession(timeout=limit) as session:
        async with serving(home) as running:
            country = Country(tmp_path, running, session, SystemClock())
            try:
                for code in ("G14", "G22"):
                    await country.join(code)
                    await country.start(code)
                before = await exchange(country, "trước")
                settings = home / "axis.toml"
                settings.write_text(settings.read_text("utf-8") + 'names = ["axis.example"]\n', "utf-8")
                rotated = await country.operator("keys.rotate")
                assert rotated["changed"]
                # Without a restart: for signatures, and for the connections that come.
                after = await exchange(country, "sau")
                assert await served_serial(running) == rotated["tls"]["serial"]
            except BaseException:
                await asyncio.gather(*(node.stop() for node in country.nodes.values()))
                raise
        try:
            async with serving(home) as running:
                country.axis = running
                again = await exchange(country, "sau khi khởi động lại")
                assert await served_serial(running) == rotated["tls"]["serial"]
        finally:
            await asyncio.gather(*(node.stop() for node in country.nodes.values()))

    signers = [signer_of(tmp_path / "G14", each) for each in (before, after, again)]
    assert signers == [first.sign.serial, rotated["sign"]["serial"], rotated["sign"]["serial"]]
    report = await asyncio.to_thread(audit_home, home, quick=False)
    assert report.problems == ()
    assert report.signatures_checked >= 9
    own = read_home(home).own
    assert set(own.current.names) == {*first.names, "axis.example"}
    # The keys before are gone, and the new ones are the node's alone.
    assert not list((home / "keys").glob("*.key"))
    assert {stat.S_IMODE(path.stat().st_mode) for path in own.current.folder.glob("*.key")} == {0o600}
    checks = await asyncio.to_thread(doctor.examine, home)
    assert all(check.ok for check in checks if check.name in {"permissions", "certificates"})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("own") / "axis"
    init_home(home)
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """A home whose node stands still."""
    return Path(shutil.copytree(made, tmp_path / "axis"))


@asynccontextmanager
async def opened(home: Path) -> AsyncIterator[Node]:
    async with open_home(home, with_issuer=True) as node:
        yield node


async def operate(home: Path, operation: str, **arguments: Any) -> Any:
    async with opened(home) as node:
        return await operations(node, serving=False)[operation](arguments)


def issued(home: Path) -> set[str]:
    return {each.serial for each in Authority.open(home / "pki").listed() if each.organisation == "axis"}


#: Right after one step is right before the next.
DEATHS = {
    "before prepare": (OwnKeys, "prepare", False),
    "before renew_axis": (Enrolment, "renew_axis", False),
    "before complete": (OwnKeys, "complete", False),
    "before use": (OwnKeys, "use", False),
    "after use": (OwnKeys, "use", True),
}


@pytest.mark.parametrize(("owner", "step", "done"), DEATHS.values(), ids=list(DEATHS))
async def test_a_rotation_that_breaks_off_goes_on_where_it_was(
    owner: type, step: str, done: bool, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node dies at a step; each is durable before the next."""

    class Death(BaseException):
        """No code of the node's handles it."""

    whole = getattr(owner, step)

    def broken(self: Any, *arguments: Any) -> Any:
        if done:
            whole(self, *arguments)
        raise Death

    async def broken_late(*_: Any) -> Any:
        raise Death

    before = issued(home)
    with monkeypatch.context() as patch:
        patch.setattr(owner, step, broken_late if asyncio.iscoroutinefunction(whole) else broken)
        with pytest.raises(Death):
            await operate(home, "keys.rotate")
    # Whatever happened, the home is good, and in it a set whose certificates are in the journal.
    between = read_home(home).own
    listed = {row["serial"] for row in (await operate(home, "cert.list"))["certificates"]}
    assert {between.current.tls.serial, between.current.sign.serial} <= listed
    begun = step != "prepare" and not done
    checks = await asyncio.to_thread(doctor.examine, home)
    assert [c.remedy for c in checks if c.name == "rotation"] == ["axis keys rotate"] * begun
    if not done:
        assert (await operate(home, "keys.rotate"))["changed"]
    new = read_home(home).own
    assert {new.current.tls.serial, new.current.sign.serial} == issued(home) - before
    assert new.current.number == 2
    assert not new.interrupted


async def test_only_when_they_end_soon(home: Path) -> None:
    ends = read_home(home).own.current.ends
    async with opened(home) as node:
        days = (ends - node.clock.now()) // DAY_MS
    assert not (await operate(home, "keys.rotate", within_days=days - 1))["changed"]
    assert (await operate(home, "keys.rotate", within_days=days + 1))["changed"]
    assert (await operate(home, "keys.rotate"))["changed"]
    assert read_home(home).own.current.number == 3
    assert sorted(path.name for path in (home / "keys").iterdir()) == [
        "3",
        "anchors.pem",
        "chain.pem",
        "current",
    ]


async def test_what_was_prepared_and_then_revoked_is_of_no_use(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = issued(home)
    with monkeypatch.context() as patch:
        patch.setattr(OwnKeys, "use", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await operate(home, "keys.rotate")
    left = issued(home) - before
    for serial in left:
        await operate(home, "cert.revoke", serial=serial, reason="superseded")
    rotated = await operate(home, "keys.rotate")
    assert not left & {rotated["tls"]["serial"], rotated["sign"]["serial"]}


async def test_another_node_takes_the_keys_once_its_journal_knows_them(home: Path) -> None:
    second = Path(shutil.copytree(home, home.with_name("second")))
    shutil.rmtree(second / "pki")
    with pytest.raises(Refusal, match="no issuer here"):
        await operate(second, "keys.rotate")
    rotated = await operate(home, "keys.rotate")
    files = {name: pem.decode() for name, pem in read_home(home).own.current.files.items()}
    with pytest.raises(Refusal, match="not in this node's journal yet"):
        await operate(second, "keys.take", files=files)
    shutil.copy(home / "journal.sqlite", second / "journal.sqlite")
    assert (await operate(second, "keys.take", files=files)) == rotated
    assert read_home(second).own.current.files == read_home(home).own.current.files
    assert not (await operate(second, "keys.take", files=files))["changed"]
    for wrong in (
        {},
        dict.fromkeys(FILES, ""),
        files | {"tls.key": files["sign.key"]},
        files | {"tls.key": files["sign.key"], "tls.crt": files["sign.crt"]},
    ):
        with pytest.raises(Refusal, match=r"field_invalid|certificate_wrong_usage"):
            await operate(second, "keys.take", files=wrong)


def test_the_commands(home: Path) -> None:
    def command(*arguments: str) -> Any:
        done = CliRunner().invoke(app, ["keys", *arguments, "--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    second = Path(shutil.copytree(home, home.with_name("second")))
    rotated = command("rotate", "--home", str(home), "--within", "10000")
    assert rotated["changed"]
    shutil.copy(home / "journal.sqlite", second / "journal.sqlite")
    # From a home, or from a copy of its keys alone.
    assert command("take", "--home", str(second), "--from", str(home)) == rotated
    assert not command("take", "--home", str(second), "--from", str(home / "keys"))["changed"]
    shown = CliRunner().invoke(app, ["keys", "rotate", "--home", str(home), "--within", "60"])
    assert (shown.exit_code, "nothing changed" in shown.stderr) == (0, True)
    assert rotated["sign"]["serial"] in shown.stderr


DAMAGES = {
    "current is no number": lambda keys: (keys / "current").write_bytes(b"\xff\x002"),
    "current is cut short": lambda keys: (keys / "current").write_bytes(b""),
    "current names no set": lambda keys: (keys / "current").write_bytes(b"7"),
    "a key is damaged": lambda keys: (keys / "2" / "tls.key").write_bytes(b"\xff"),
    "a certificate is empty": lambda keys: (keys / "2" / "sign.crt").write_bytes(b""),
    "a key is gone": lambda keys: (keys / "2" / "sign.key").unlink(),
}


@pytest.fixture(scope="module")
def rotated(made: Path) -> Path:
    """A home whose keys are its second set."""
    home = Path(shutil.copytree(made, made.with_name("rotated")))
    assert CliRunner().invoke(app, ["keys", "rotate", "--home", str(home)]).exit_code == 0
    return home


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_damaged_keys_are_named(
    rotated: Path, home: Path, damage: Callable[[Path], Any], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    damaged = Path(shutil.copytree(rotated, home.with_name("damaged")))
    damage(damaged / "keys")
    # Where they are taken from, and where they are in use.
    for arguments in (
        ["take", "--home", str(home), "--from", str(damaged)],
        ["rotate", "--home", str(damaged)],
    ):
        monkeypatch.setattr("sys.argv", ["axis", "keys", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        said = capsys.readouterr().err
        assert said.startswith(f"cannot run [keys_damaged]: {damaged / 'keys'}")
        assert "Traceback" not in said
    assert read_home(home).own.current.number == 1


@pytest.mark.parametrize("before", [0, 1], ids=["the first set", "a later set"])
async def test_the_keys_before_are_deleted_whenever_the_node_dies(home: Path, before: int) -> None:
    class Death(BaseException):
        """No code of the node's handles it."""

    def die(_: object) -> None:
        raise Death

    def private_keys() -> set[Path]:
        return {path.parent for path in (home / "keys").rglob("*.key")}

    for _ in range(before):
        await operate(home, "keys.rotate")
    async with opened(home) as node:
        earlier = node.home.own.current.folder
        node.home.own.on_change(die)
        with pytest.raises(Death):
            await operations(node, serving=False)["keys.rotate"]({})
    assert private_keys() == {earlier, home / "keys" / str(before + 2)}
    async with opened(home) as node:
        assert private_keys() == {node.home.own.current.folder} == {home / "keys" / str(before + 2)}


async def test_a_backup_holds_the_set_in_use(home: Path) -> None:
    rotated = await operate(home, "keys.rotate")
    archive = home.with_name("axis.tar")
    await asyncio.to_thread(back_up, home, archive, with_authority=True)
    again = home.with_name("again")
    await asyncio.to_thread(restore, archive, again)
    assert read_home(again).own.current.tls.serial == rotated["tls"]["serial"]
    assert (await operate(again, "keys.rotate"))["changed"]


def test_the_doctor_warns_sixty_days_before(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = read_home(home).own.current.ends / 1000
    for days, remedies in ((61, {""}), (59, {"axis keys rotate"})):
        monkeypatch.setattr(doctor.time, "time", lambda at=ends - days * 86_400: at)
        assert {c.remedy for c in doctor.examine(home) if c.name == "certificates"} == remedies


async def test_the_doctor_names_a_revoked_certificate(home: Path) -> None:
    serial = read_home(home).own.current.sign.serial
    await operate(home, "cert.revoke", serial=serial, reason="keyCompromise")
    found = await asyncio.to_thread(doctor.examine, home)
    assert [c.remedy for c in found if "is revoked" in c.detail] == ["axis keys rotate"]
    assert (await operate(home, "keys.rotate"))["changed"]
    found = await asyncio.to_thread(doctor.examine, home)
    assert [c for c in found if "is revoked" in c.detail] == []
