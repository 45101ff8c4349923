"""Which broker's login it is, and what every login has in common."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from pydantic import SecretStr

from otrade_bot.brokers.tokens import Login
from otrade_bot.config.secrets import Secrets
from otrade_bot.core.clock import Clock, SystemClock
from otrade_bot.core.errors import BrokerException, ConfigException, TokenException
from otrade_bot.core.masking import register_secret
from otrade_bot.core.redirects import redirected

__all__ = ["BROKERS", "code_of", "in_thread", "login_for"]

#: Those that want a login each day.
BROKERS = ("kite", "upstox")

#: Of a whole login or profile check, s.
DEADLINE_S = 25.0

T = TypeVar("T")


def login_for(name: str, secrets: Secrets, clock: Clock | None = None, *, vetting: bool = False) -> Login:
    """The login of a broker of BROKERS. ``vetting``: only to ask whose a token is, which needs no secret of the app.

    Raises ConfigException that names the missing variable.
    """
    clock = clock or SystemClock()

    def needed(variable: str, value: SecretStr | str | None, *, to_vet: bool = False) -> str:
        return _needed(variable, value) if to_vet or not vetting else ""

    if name == "kite":
        from otrade_bot.brokers.kite.login import KiteLogin

        return KiteLogin(
            needed("OTRADE_KITE_API_KEY", secrets.kite_api_key, to_vet=True),
            needed("OTRADE_KITE_API_SECRET", secrets.kite_api_secret),
            root=secrets.kite_root, login_root=secrets.kite_login_root, clock=clock,
        )  # fmt: skip
    if name == "upstox":
        from otrade_bot.brokers.upstox.login import UpstoxLogin

        return UpstoxLogin(
            needed("OTRADE_UPSTOX_API_KEY", secrets.upstox_api_key),
            needed("OTRADE_UPSTOX_API_SECRET", secrets.upstox_api_secret),
            needed("OTRADE_UPSTOX_REDIRECT_URI", secrets.upstox_redirect_uri),
            root=secrets.upstox_root, clock=clock,
        )  # fmt: skip
    raise ConfigException("has no login", key="broker", value=name, allowed=", ".join(BROKERS))


def _needed(variable: str, value: SecretStr | str | None) -> str:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not text or not text.strip():
        raise ConfigException("is not set, and a login needs it", file="environment", key=variable)
    return text.strip()


def code_of(text: str, broker: str) -> str:
    """The one-time code in a redirected address, or that is the text. Raises TokenException."""
    found = redirected(text)
    if found is None or found.broker not in ("", broker):
        raise TokenException(f"that is no address to which {broker} sends a browser back")
    if found.refused:
        raise TokenException(f"{broker} sent the browser back without a code: the login was not completed")
    register_secret(found.code)
    return found.code


async def in_thread(broker: str, work: Callable[[], T]) -> T:
    """What the broker's client does, off the loop. Raises BrokerException at the deadline."""
    try:
        return await asyncio.wait_for(asyncio.to_thread(work), DEADLINE_S)
    except TimeoutError:
        raise BrokerException(f"{broker} gave no answer within {DEADLINE_S:g} s") from None
