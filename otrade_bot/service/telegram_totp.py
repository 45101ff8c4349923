"""``telegram totp``: an authenticator for one person. Only at the machine: a stolen phone cannot get itself one."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

from otrade_bot.config import ConfigManager, config_dir, environment, state_dir
from otrade_bot.config.models import User
from otrade_bot.config.secrets import load_secrets
from otrade_bot.control.stepup import matching_step
from otrade_bot.core.errors import ConfigException
from otrade_bot.core.masking import register_secret
from otrade_bot.core.onetime import six_digits
from otrade_bot.service.authenticators import ISSUER, Authenticators, authenticators_for
from otrade_bot.service.people import FILE, active
from otrade_bot.service.terminal_words import ask, ask_secret, hint, qr

__all__ = ["run_totp"]

TRIES = 3


def run_totp(args: argparse.Namespace) -> int:
    """0 where it is as asked, 1 where no right code came. Raises ConfigException."""
    store = authenticators_for(load_secrets(), state_dir())
    store.check()
    if args.remove and args.name and args.name.isdecimal():  # also of somebody who is no user any more
        store.drop(int(args.name))
        print(f"User {args.name} has no authenticator any more: what wants a code is refused there.")
        return 0
    user = _whom(ConfigManager(config_dir(), environment()).load(create=False).telegram.users, args.name)
    name = user.name or str(user.user_id)
    if args.remove:
        store.drop(user.user_id)
        print(f"{name} has no authenticator any more: what wants a code is refused on that phone.")
        return 0
    if store.enrolled(user.user_id):
        hint(f"{name} has an authenticator; a new one makes the old one useless")
        if ask("A new one? yes or no: ").strip().casefold() != "yes":
            print("Nothing was changed.")
            return 1
    return _enrol(store, user.user_id, name)


def _enrol(store: Authenticators, user_id: int, name: str) -> int:
    """Kept only once a code has shown that the phone has it: a half set-up one would lock its owner out."""
    import pyotp

    secret = pyotp.random_base32(32)
    register_secret(secret)
    address = pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=ISSUER)
    print(f"For {name}: scan this with an authenticator app (Aegis, Google Authenticator ...), best on another phone "
          f"than the one with Telegram.\n{qr(address)}\nOr type: {_grouped(secret)}\n", flush=True)  # fmt: skip
    for left in reversed(range(TRIES)):
        digits = six_digits(ask_secret("The six digits it shows: "))
        step = matching_step(secret, digits, time.time()) if digits else None
        if step is not None:
            store.save(user_id, secret, step)
            print(f"{name} has an authenticator. It counts from now on, also in a service that runs.")
            return 0
        more = "1 more try" if left == 1 else f"{left} more tries"
        hint(f"that is not its code; {more}" if left else "that is not its code either")
    print("Nothing was kept. Is the clock of both machines right?")
    return 1


def _grouped(secret: str) -> str:
    return " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))


def _whom(users: Sequence[User], wanted: str | None) -> User:
    """By name or number; without one the only admin there is. Raises ConfigException."""
    known = {user.user_id: user for user in active(users)}.values()
    if wanted is None:
        found = [user for user in known if user.role == "admin"]
    else:
        found = [user for user in known if wanted == str(user.user_id)]
        found = found or [user for user in known if wanted.casefold() == user.name.casefold()]
    if len(found) == 1:
        return found[0]
    names = ", ".join(f"{user.name} {user.user_id}".strip() for user in known)
    names = names or "nobody yet: otrade-bot telegram setup"
    raise ConfigException("say whose authenticator", file=FILE, value=wanted, allowed=names)
