"""What the watchdog must know of the settings: read by a child, printed as JSON, gone again.

Models and the holiday library weigh more than the whole watchdog may. Run as ``python -m`` by ``load`` alone; the
bot's token goes through a pipe, never to a terminal or a file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from otrade_bot.core.clock import SystemClock, ist_date
from otrade_bot.core.errors import ConfigException
from otrade_bot.core.lang import LANGUAGES, Language
from otrade_bot.core.masking import register_secret

__all__ = ["Chat", "Settings", "load"]

#: So long the child may take, s.
PATIENCE = 60
#: Days that are looked ahead; the settings are read again each day.
DAYS = 8


@dataclass(frozen=True, slots=True)
class Chat:
    """Where a person is told, and in what language."""

    chat_id: int
    topic: int | None = None
    language: Language = "en"


@dataclass(frozen=True, slots=True)
class Settings:
    """``hours``: (open, close) in ns UTC by day, for the days ahead. ``closed``: why, of those without a session.
    ``files``: what was read, to be read again when it changes."""

    state_dir: Path
    chats: tuple[Chat, ...] = ()
    hours: Mapping[date, tuple[int, int]] = field(default_factory=dict)
    closed: Mapping[date, str] = field(default_factory=dict)
    token: str = field(default="", repr=False)
    base_url: str = "https://api.telegram.org/bot"
    extra: bool = False  #: there are other channels, and they want risk
    files: tuple[Path, ...] = ()

    def stamp(self) -> tuple[Any, ...]:
        """Changes with the files, or with a day for which they say nothing yet."""
        return tuple((path.name, _changed(path)) for path in self.files)


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def load(now_ns: int) -> Settings:
    """Read them anew. Raises ConfigException as every command does."""
    command = [sys.executable, "-m", __name__, ist_date(now_ns).isoformat()]
    try:
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)  # noqa: S603
        found = json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        raise ConfigException(f"the settings cannot be read: {type(error).__name__}") from None
    if "error" in found:
        raise ConfigException(found["error"])
    return _settings(found)


def _settings(found: Mapping[str, Any]) -> Settings:
    register_secret(found["token"])
    return Settings(
        Path(found["state_dir"]),
        tuple(Chat(one["chat_id"], one["topic"], _language(one["language"])) for one in found["chats"]),
        {date.fromisoformat(day): (times[0], times[1]) for day, times in found["hours"].items()},
        {date.fromisoformat(day): why for day, why in found["closed"].items()},
        found["token"], found["base_url"], found["extra"], tuple(Path(path) for path in found["files"]),
    )  # fmt: skip


def _language(code: str) -> Language:
    return next((known for known in LANGUAGES if known == code), "en")


# --- in the child ---


def _found(today: date) -> dict[str, Any]:
    from otrade_bot.config import ConfigManager, config_dir, environment, state_dir
    from otrade_bot.config.models import FILES
    from otrade_bot.config.secrets import load_secrets

    folder = config_dir()
    config = ConfigManager(folder, environment()).load()
    secrets = load_secrets()
    users = [user for user in config.telegram.users if not user.blocked]
    chosen = _languages(state_dir() / "control.json")
    days = [today + timedelta(days=n) for n in range(-1, DAYS)]
    open_days = [day for day in days if config.calendar.is_trading_day(day)]
    overlay = folder / environment()
    return {
        "state_dir": str(state_dir()),
        "chats": [
            {"chat_id": u.chat_id, "topic": u.topic, "language": chosen.get(str(u.user_id), u.language)} for u in users
        ],
        "hours": {day.isoformat(): _hours(config, day) for day in open_days},
        "closed": {day.isoformat(): config.calendar.holiday_name(day) for day in days if day not in open_days},
        "token": secrets.telegram_token.get_secret_value() if secrets.telegram_token else "",
        "base_url": secrets.telegram_base_url or "https://api.telegram.org/bot",
        "extra": bool(getattr(secrets, "apprise_urls", None)) and config.telegram.notifications.extra != "off",
        "files": [str(at / name) for at in (folder, overlay) for name in FILES] + [
            str(Path(".env").absolute()), str(state_dir() / "control.json")
        ],
    }  # fmt: skip


def _languages(path: Path) -> dict[str, Any]:
    """What people chose on the phone, by their id. Read only: the file is the service's."""
    try:
        people = json.loads(path.read_bytes())["people"]
        return {person: one["language"] for person, one in people.items() if one.get("language")}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _hours(config: Any, day: date) -> tuple[int, int]:
    """From the first open to the last close of what is traded."""
    from otrade_bot.core.session import Segment, day_session

    symbols = {symbol.partition(":")[0] for one in config.trading.strategies for symbol in one.instruments}
    kinds = [(Segment.EQUITY, True), (Segment.EQUITY, False)]
    kinds += [(Segment.FNO, False)] if symbols & {"NFO", "BFO"} else []
    found = [one for kind in kinds if (one := day_session(day, *kind, config.calendar)) is not None]
    return min(one.open for one in found), max(one.close for one in found)


def main() -> int:
    """Print them as one JSON object, or what is wrong with them."""
    from otrade_bot.core.errors import TradingException

    try:
        said: dict[str, Any] = _found(date.fromisoformat(sys.argv[1]) if sys.argv[1:] else ist_date(_now()))
    except TradingException as error:
        said = {"error": str(error)}
    sys.stdout.write(json.dumps(said))
    return 0


def _now() -> int:
    return SystemClock().now_ns()


if __name__ == "__main__":
    os.umask(0o077)
    raise SystemExit(main())
