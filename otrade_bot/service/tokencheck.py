"""Whose the token of the environment is, before anything is read or ordered with it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from otrade_bot.brokers.logins import login_for
from otrade_bot.brokers.tokens import TokenStore, token_for, vetted
from otrade_bot.config.secrets import Secrets
from otrade_bot.core.clock import Clock
from otrade_bot.core.errors import BrokerException, ConfigException, TokenException

__all__ = ["Checked", "check_account"]


@dataclass(frozen=True, slots=True)
class Checked:
    """``value``: the token to use, '' for none. ``fault``: what is to be told. ``asked``: no use in asking again."""

    value: str = field(repr=False)
    fault: str = ""
    asked: bool = True


async def check_account(name: str, secrets: Secrets, store: TokenStore, clock: Clock) -> Checked:
    """The token that counts now. One of the environment is asked whose it is, and kept with that account, so that the
    next one is held against it; where it is another account's it is laid down, where that cannot be said now it waits.
    Raises ConfigException.
    """
    found = token_for(name, secrets, store, clock.now_ns())
    if found is None or found.user:
        return Checked(found.value if found else "")
    try:
        token = await vetted(found, login_for(name, secrets, clock, vetting=True), store)
    except TokenException as error:
        return Checked(_instead(name, store, found.value, clock.now_ns()), str(error))
    except BrokerException as error:
        return _waits(name, store, found.value, clock.now_ns(), error)
    if store.keyed:
        with suppress(ConfigException):  # said by whoever needs it
            store.save(name, token)
    return Checked(token.value)


def _waits(name: str, store: TokenStore, value: str, now: int, error: BrokerException) -> Checked:
    """Books and orders may be answered though the profile is not. Where no account is known there is none to miss."""
    known = None
    with suppress(ConfigException):
        known = store.load(name)
    if known is None:
        return Checked(value)
    fault = f"OTRADE_{name.upper()}_ACCESS_TOKEN waits until it is known whose it is: {error}"
    return Checked(_instead(name, store, value, now), fault, asked=False)


def _instead(name: str, store: TokenStore, refused: str, now: int) -> str:
    with suppress(ConfigException):
        stored = store.load(name)
        if stored is not None and stored.holds(now) and stored.value != refused:
            return stored.value
    return ""
