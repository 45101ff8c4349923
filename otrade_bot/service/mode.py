"""Paper or live at the next start: what must be so before, and where it is written."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import orjson

from otrade_bot.config import ConfigManager, config_dir, environment
from otrade_bot.config.manager import as_documents
from otrade_bot.config.models import Config
from otrade_bot.config.secrets import Secrets, load_secrets
from otrade_bot.core.errors import CommandException, ConfigException
from otrade_bot.core.lang import t

__all__ = ["ModeSwitch", "live_objections", "missing_variables"]

_FILE, _KEY = "trading.json", "mode"


class ModeSwitch:
    """What /mode asks. Files and environment are read anew each time: they are what the next start reads.

    ``tell`` says the change to everybody in charge; ``rehearsal``: this run must leave the settings alone.
    """

    def __init__(
        self,
        tell: Callable[[str], None],
        *,
        rehearsal: bool = False,
        secrets: Callable[[], Secrets] = load_secrets,
        manager: Callable[[], ConfigManager] = lambda: ConfigManager(config_dir(), environment()),
    ) -> None:
        self._tell, self._rehearsal, self._secrets, self._manager = tell, rehearsal, secrets, manager

    def following(self) -> str:
        """Raises ConfigException where the next start would not come up at all."""
        return self._config().trading.mode

    def objections(self, wanted: str) -> list[str]:
        """Raises ConfigException where settings or environment cannot be read."""
        found = [t("this is a rehearsal, which leaves the settings alone")] if self._rehearsal else []
        if wanted == "live":
            found += live_objections(self._config(), self._secrets())
        if not found:
            try:
                self._manager().put(_FILE, _KEY, wanted, dry=True)
            except ConfigException as error:
                found.append(str(error))
        return found

    def stamp(self) -> Hashable:
        """All settings: a question that was asked under others is asked again."""
        return orjson.dumps(as_documents(self._config()))

    def write(self, wanted: str, by: str) -> str:
        """Raises ConfigException, and nothing has changed; CommandException where what was written is not what the next
        start would read."""
        against = self.objections(wanted)
        if against:
            raise ConfigException("; ".join(against), file=_FILE, key=_KEY)
        path = self._manager().put(_FILE, _KEY, wanted)
        if self.following() != wanted:
            mode = self.following().upper()
            said = t("{path} was written, and yet the next start would be {mode}.", path=path, mode=mode)
            raise CommandException(said)
        self._tell(f"{by} has set the mode of the next start to {wanted.upper()}")
        return path

    def _config(self) -> Config:
        return self._manager().load(create=False)


def live_objections(config: Config, secrets: Secrets) -> list[str]:
    """Why these settings may not trade live, each with its cure."""
    found = []
    if not secrets.live_allowed:
        found.append(t("OTRADE_LIVE is not yes: set OTRADE_LIVE=yes in .env or the environment"))
    primary = config.brokers.primary
    if primary == "paper":
        found.append(t("brokers.json: primary is paper: name kite or upstox, and the same as feed"))
    elif missing := missing_variables(primary, secrets):
        found.append(t("{broker} has no credentials: set {names} in .env", broker=primary, names=", ".join(missing)))
    return found


def missing_variables(broker: str, secrets: Secrets) -> list[str]:
    """The variables without which this broker cannot be reached or logged in to."""
    names = [] if getattr(secrets, f"{broker}_api_key") else [f"OTRADE_{broker.upper()}_API_KEY"]
    if getattr(secrets, f"{broker}_access_token"):
        return names if broker == "kite" else []  # Upstox knows the app by the token
    if not getattr(secrets, f"{broker}_api_secret"):
        names.append(f"OTRADE_{broker.upper()}_API_SECRET")
    if broker == "upstox" and not secrets.upstox_redirect_uri:
        names.append("OTRADE_UPSTOX_REDIRECT_URI")
    if not secrets.secret_key:
        names.append("OTRADE_SECRET_KEY")
    return names
