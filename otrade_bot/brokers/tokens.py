"""The brokers' access tokens: encrypted on disk, one file for all, and which one counts now.

A token is as good as a password until the next morning. So the file is never readable by anybody else, not for a
moment, and what stands in it is of use only together with ``OTRADE_SECRET_KEY``.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from otrade_bot.brokers.vault import Vault
from otrade_bot.config.secrets import Secrets
from otrade_bot.core.clock import SECOND, at_ist, ist_date
from otrade_bot.core.errors import ConfigException, TokenException
from otrade_bot.core.masking import register_secret

__all__ = ["FILE", "Login", "Token", "TokenStore", "jwt_times", "next_expiry", "token_for", "vetted"]

#: In the state folder.
FILE = "tokens.json"

#: When a broker's tokens die, IST: Kite 06:00, Upstox 03:30 of the next day.
EXPIRES = {"kite": (6, 0), "upstox": (3, 30)}


@dataclass(frozen=True, slots=True)
class Token:
    """An access token. ``user`` is the account's id at the broker, '' where nobody has asked. ns UTC.

    Its value is blotted out of every text from its making on, and stands in no repr.
    """

    value: str = field(repr=False)
    user: str
    issued_ns: int
    expires_ns: int

    def __post_init__(self) -> None:
        register_secret(self.value)

    def holds(self, now_ns: int) -> bool:
        return now_ns < self.expires_ns


class Login(Protocol):
    """How a person logs in to one broker. What is awaited asks the broker in a thread, through its own client."""

    name: str

    def url(self, state: str) -> str:
        """The page to log in at; it sends the browser back with ``state`` and a one-time code. Raises
        ConfigException where the app's key or address is missing."""
        ...

    async def exchange(self, redirected: str) -> Token:
        """The token for the one-time code: the whole redirected address, or the code alone. The broker's profile has
        named its account. Raises TokenException where the broker will not, BrokerException where it cannot be asked."""
        ...

    async def vet(self, value: str) -> Token:
        """The token that somebody holds already, with the account that the broker's profile names. Raises as
        ``exchange``."""
        ...


class TokenStore:
    """``tokens.json``. ``secret_key`` is any text. Safe for several processes; never logs.

    Reads the file each time: another process may have logged in.
    """

    def __init__(self, path: Path, secret_key: str) -> None:
        self._vault = Vault(path, secret_key)

    @property
    def path(self) -> Path:
        return self._vault.path

    @property
    def keyed(self) -> bool:
        """There is a key, so something can be stored."""
        return self._vault.keyed

    def stamp(self) -> tuple[int, int]:
        """Changes whenever the file does; cheap enough to ask each second."""
        return self._vault.stamp()

    def check(self) -> None:
        """Raises ConfigException where nothing could be stored: no key, another key, an unreadable file."""
        self._vault.check()

    def load(self, broker: str) -> Token | None:
        """What was saved last, expired or not. Raises ConfigException."""
        found = self._vault.get(broker)
        if found is None:
            return None
        try:
            return Token(str(found["value"]), str(found["user"]), int(found["issued_ns"]), int(found["expires_ns"]))
        except (KeyError, TypeError, ValueError):
            raise self._vault.spoilt() from None

    def save(self, broker: str, token: Token) -> None:
        """On the disk at return; the other brokers' tokens stay. Raises ConfigException."""
        entry = {
            "value": token.value, "user": token.user, "issued_ns": token.issued_ns, "expires_ns": token.expires_ns,
        }  # fmt: skip
        self._vault.put({broker: entry})

    def first_seen(self, broker: str, value: str, now_ns: int) -> int:
        """When this token first stood in the environment, which says nothing of its age. Raises ConfigException."""
        name, digest = f"{broker}.environment", hashlib.sha256(value.encode()).hexdigest()
        found = self._vault.get(name)
        if found is not None and found.get("digest") == digest:
            return int(found["seen_ns"])
        self._vault.put({name: {"digest": digest, "seen_ns": now_ns}})
        return now_ns


def next_expiry(broker: str, issued_ns: int) -> int:
    """The moment (ns UTC) at which a token of that age dies."""
    hour, minute = EXPIRES[broker]
    day = ist_date(issued_ns)
    at = at_ist(day, hour, minute)
    return at if at > issued_ns else at_ist(day + timedelta(days=1), hour, minute)


def jwt_times(value: str) -> tuple[int, int] | None:
    """(issued, expires) in ns UTC as a JSON web token says of itself; None where it is none."""
    parts = value.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        issued, expires = int(claims["iat"]), int(claims["exp"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return (issued * SECOND, expires * SECOND) if 0 < issued < expires < 2**33 else None


def token_for(name: str, secrets: Secrets, store: TokenStore, now: int) -> Token | None:
    """The token to trade with now (ns UTC): the newer of the stored one and ``OTRADE_*_ACCESS_TOKEN``, None where
    neither holds any more. One of the environment has no ``user`` yet: ``Login.vet`` tells.

    Raises ConfigException where the stored one cannot be read and the environment has none.
    """
    given = _given(name, secrets)
    try:
        stored = store.load(name)
        of_environment = _of_environment(name, given, store, now) if given else None
    except ConfigException:
        if not given:
            raise
        stored, of_environment = None, _dated(name, given, now)
    found = [token for token in (stored, of_environment) if token is not None and token.holds(now)]
    return max(found, key=lambda token: token.issued_ns, default=None)


async def vetted(token: Token, login: Login, store: TokenStore) -> Token:
    """The token with its account. One of the environment is asked after: its account must be the one that is known.

    Raises TokenException, BrokerException, ConfigException.
    """
    if token.user:
        return token
    user = (await login.vet(token.value)).user
    try:
        known = store.load(login.name)
    except ConfigException:
        known = None  # as in ``token_for``: it stands in nobody's way
    if known is not None and known.user != user:
        raise TokenException(
            f"OTRADE_{login.name.upper()}_ACCESS_TOKEN is of the account {user}, the last login was {known.user}: "
            "take the variable away, or log in with the account that is meant"
        )
    return replace(token, user=user)


def _given(name: str, secrets: Secrets) -> str:
    found: Any = getattr(secrets, f"{name}_access_token", None)
    return found.get_secret_value().strip() if found is not None else ""


def _of_environment(name: str, value: str, store: TokenStore, now: int) -> Token:
    """Where the token does not tell its age, it is as old as our knowledge of it."""
    if jwt_times(value) is not None or not store.keyed:
        return _dated(name, value, now)
    return _dated(name, value, store.first_seen(name, value, now))


def _dated(name: str, value: str, seen: int) -> Token:
    issued, expires = jwt_times(value) or (seen, next_expiry(name, seen))
    return Token(value, "", issued, expires)
