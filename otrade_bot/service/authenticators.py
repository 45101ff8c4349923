"""The secrets of people's authenticators: encrypted, in a file of their own, written at the machine alone."""

from __future__ import annotations

import secrets
from pathlib import Path

from otrade_bot.brokers.vault import Vault
from otrade_bot.config.secrets import Secrets
from otrade_bot.control.stepup import Seed
from otrade_bot.core.masking import register_secret

__all__ = ["FILE", "ISSUER", "Authenticators", "authenticators_for", "home_of"]

#: In the state folder.
FILE = "totp.json"
#: How the entry is called in the authenticator.
ISSUER = "OTrade Bot"


class Authenticators:
    """By Telegram user id. Reads the file each time: the command line writes it while the service runs.

    Everything raises ConfigException where the file or OTRADE_SECRET_KEY is not usable.
    """

    def __init__(self, path: Path, secret_key: str) -> None:
        self._vault = Vault(path, secret_key, again="set up the authenticators again: otrade-bot telegram totp")

    def check(self) -> None:
        """Whether something can be kept at all."""
        self._vault.check()

    def enrolled(self, user_id: int) -> bool:
        return str(user_id) in self._vault.names()

    def seed(self, user_id: int) -> Seed | None:
        found = self._vault.get(str(user_id))
        if found is None:
            return None
        try:
            seed = Seed(str(found["secret"]), str(found["mark"]), int(found["since"]))
        except (KeyError, TypeError, ValueError):
            raise self._vault.spoilt() from None
        register_secret(seed.secret)
        return seed

    def save(self, user_id: int, secret: str, since: int) -> None:
        """A new authenticator, the old one counts no more. ``since``: the step whose code has proven that it works."""
        self._vault.put({str(user_id): {"secret": secret, "mark": secrets.token_hex(8), "since": since}})

    def drop(self, user_id: int) -> None:
        """Nothing that wants a code is done by this person any more."""
        self._vault.drop(str(user_id))


def home_of(state_dir: Path) -> Path:
    """The state folder that a rehearsal's own lies in: people are the same there."""
    return state_dir.parent if state_dir.name == "rehearsal" else state_dir


def authenticators_for(secrets: Secrets, state_dir: Path) -> Authenticators:
    """Those of this state folder."""
    key = secrets.secret_key.get_secret_value() if secrets.secret_key is not None else ""
    return Authenticators(home_of(state_dir) / FILE, key)
