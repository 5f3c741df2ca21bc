"""The operators' accounts of one axis home: `HOME/operators.json`, mode 0600, written whole or not at all.

Accounts belong to their home and are not journalled: a password's hash must be forgettable, which nothing in
the journal is, and they must work when the cluster does not. What an operator *does* is in the journal.

Passwords are kept as argon2id hashes with their parameters (RFC 9106, section 4, second choice: 64 MiB,
3 passes), bearer tokens, which have 256 random bits, as SHA-256. The file is looked at anew each time,
so what one process changes is in force in every other at once. A file that cannot be read lets nobody in.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import unicodedata
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

import structlog
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import Argon2Error, InvalidHashError
from argon2.low_level import Type

from axis.console.roles import CONSOLE, Role
from axis.core.errors import Refusal
from axis.durable import write_whole

__all__ = ["ACCOUNTS_FILE", "Account", "Accounts", "hash_password", "new_token", "token_sha256"]

ACCOUNTS_FILE: Final = "operators.json"
_MODE: Final = 0o600
_VERSION: Final = 1
_MOST: Final = 1000

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
#: Tools that look for secrets in places where none belong find it.
_PREFIX: Final = "axop_"
#: NIST SP 800-63B-4, section 3.1.1.2: length, and nothing about kinds of characters.
_SHORTEST: Final = 12
_LONGEST: Final = 256

_HASHER: Final = PasswordHasher()
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Account:
    """One operator. `generation` grows with each change that ends what the account has open."""

    name: str
    role: Role
    disabled: bool = False
    password: str = ""  # an argon2id hash; empty: no password
    token: str = ""  # SHA-256 in hex; empty: no token
    generation: int = 1
    changed_at: int = 0  # milliseconds since the epoch

    def shown(self) -> dict[str, Any]:
        """As `axis operator list --json` prints it: nothing secret."""
        return {
            "name": self.name,
            "role": str(self.role),
            "state": "disabled" if self.disabled else "active",
            "password": bool(self.password),
            "token": bool(self.token),
        }


def hash_password(password: str) -> str:
    """What is kept of a password. Takes about 0.1 s and 64 MiB. Refusal `field_invalid`."""
    password = _normal(password)
    if not _SHORTEST <= len(password) <= _LONGEST:
        raise Refusal("field_invalid", f"password: {_SHORTEST} to {_LONGEST} characters are possible")
    if len(set(password)) < 4:
        raise Refusal("field_invalid", "password: it is the same few characters again and again")
    return _HASHER.hash(password)


def new_token() -> str:
    """A bearer token. Show it once and keep `token_sha256` of it."""
    return _PREFIX + secrets.token_urlsafe(32)


def token_sha256(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


class Accounts:
    """The accounts of a home. Changes are for whoever holds the home's lock; one process looks or changes."""

    def __init__(self, home: Path) -> None:
        self._path = home / ACCOUNTS_FILE
        #: The file's facts and what it held; one value, since threads look here together.
        self._known: tuple[tuple[int, ...] | None, dict[str, Account]] = (None, {})
        self._nobody = ""

    def all(self) -> list[Account]:
        """Every account, by name."""
        return [account for _, account in sorted(self._read().items())]

    def find(self, name: str) -> Account | None:
        """An account that may be used: not a disabled one."""
        account = self._read().get(name)
        return None if account is None or account.disabled else account

    def by_token(self, token: str) -> Account | None:
        """Whose bearer token this is."""
        digest = token_sha256(token)
        found = None
        for account in self._read().values():
            if account.token and hmac.compare_digest(account.token, digest):
                found = account
        return None if found is None or found.disabled else found

    def by_password(self, name: str, password: str) -> Account | None:
        """Whose name and password these are. Slow, also for a name that nobody has: call it in a thread."""
        if not self._nobody:  # of no password that anybody knows: what a wrong name is compared with
            self._nobody = _HASHER.hash(secrets.token_urlsafe(32))
        account = self.find(name)
        kept = account.password if account is not None and account.password else self._nobody
        try:
            _HASHER.verify(kept, _normal(password[: _LONGEST + 1]))
        except (Argon2Error, InvalidHashError):
            return None
        return account if kept is not self._nobody else None

    def add(self, name: str, role: Role, *, password: str = "", token: str = "", at: int) -> Account:
        """A new account with a password's or a token's hash, or both. Refusal `field_invalid`."""
        if not _NAME.fullmatch(name) or name == CONSOLE:
            detail = f"name: {name[:64]!r}; small letters, digits and . _ @ - are possible, but not {CONSOLE}"
            raise Refusal("field_invalid", detail)
        known = self._for_change()
        if name in known:
            state = "disabled: enable it" if known[name].disabled else "there already"
            raise Refusal("field_invalid", f"name: {name} is {state}")
        if len(known) >= _MOST:
            raise Refusal("field_invalid", f"name: there are {_MOST} accounts, the limit")
        if not password and not token:
            raise Refusal("field_invalid", "password: an account needs a password or a token")
        return self._write(known, Account(name, role, False, _hash(password), _digest(token)), at)

    def change(
        self,
        name: str,
        *,
        role: Role | None = None,
        disabled: bool | None = None,
        password: str | None = None,
        token: str | None = None,
        at: int,
    ) -> Account:
        """Change an account; None leaves a part as it is, empty takes a password or token away.

        What the account has open ends. Refusal `field_invalid`, also where nobody has the name.
        """
        known = self._for_change()
        account = known.get(name)
        if account is None:
            raise Refusal("field_invalid", f"name: no operator is called {name[:64]!r}")
        changed = replace(
            account,
            role=account.role if role is None else role,
            disabled=account.disabled if disabled is None else disabled,
            password=account.password if password is None else _hash(password),
            token=account.token if token is None else _digest(token),
        )
        if changed == account:
            return account
        return self._write(known, replace(changed, generation=account.generation + 1), at)

    def _write(self, known: dict[str, Account], account: Account, at: int) -> Account:
        account = replace(account, changed_at=at)
        rows = [asdict(each) | {"role": str(each.role)} for each in {**known, account.name: account}.values()]
        text = json.dumps({"version": _VERSION, "operators": rows}, indent=1)
        write_whole(self._path, text.encode(), _MODE)
        return account

    def _for_change(self) -> dict[str, Account]:
        """The accounts; Refusal `unavailable` where a change would overwrite what cannot be read."""
        accounts = self._read()
        if not accounts and self._path.exists():
            try:
                return _parsed(self._path.read_bytes())
            except ValueError as error:
                raise Refusal("unavailable", f"{self._path} cannot be read: {error}") from error
        return dict(accounts)

    def _read(self) -> dict[str, Account]:
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            self._known = (None, {})
            return {}
        except OSError as error:  # not this user's, perhaps: fail closed
            _log.error("operators_unreadable", file=str(self._path), error=str(error))
            self._known = (None, {})
            return {}
        with os.fdopen(descriptor, "rb") as file:
            facts = os.fstat(file.fileno())
            seen = (facts.st_dev, facts.st_ino, facts.st_mtime_ns, facts.st_size)
            known, accounts = self._known
            if seen != known:
                try:
                    accounts = _parsed(file.read())
                except ValueError as error:
                    _log.error("operators_unreadable", file=str(self._path), error=str(error))
                    accounts = {}
                self._known = (seen, accounts)
        return accounts


def _parsed(data: bytes) -> dict[str, Account]:
    """The accounts of a file. ValueError."""
    try:
        whole = json.loads(data)
        if whole["version"] != _VERSION:
            raise ValueError(f"version {whole['version']!r} is not known here")
        rows = [cast("dict[str, Any]", row) for row in whole["operators"]]
        accounts = [Account(**(row | {"role": Role[str(row["role"]).upper()]})) for row in rows]
    except (KeyError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(repr(error)) from error
    return {account.name: account for account in accounts}


def _hash(password: str) -> str:
    """An argon2id hash, or nothing."""
    if password:
        try:
            known = extract_parameters(password).type is Type.ID
        except InvalidHashError:
            known = False
        if not known:
            raise Refusal("field_invalid", "password: this is no argon2id hash")
    return password


def _digest(token: str) -> str:
    """A SHA-256 in hex, or nothing."""
    if token and not _DIGEST.fullmatch(token):
        raise Refusal("field_invalid", "token: this is no SHA-256")
    return token


def _normal(password: str) -> str:
    """The same password however a keyboard composes its marks (NIST SP 800-63B-4: NFC or NFKC)."""
    return unicodedata.normalize("NFC", password)
