"""Where settings and state are: three plain environment variables, cheap to read.

A variable of the process goes before the same one in ``./.env``.
"""

from __future__ import annotations

import os
from pathlib import Path

from otrade_bot.core.errors import ConfigException

__all__ = ["ENVIRONMENTS", "config_dir", "environment", "state_dir"]

ENVIRONMENTS = ("dev", "staging", "prod")


def config_dir() -> Path:
    """``OTRADE_CONFIG_DIR``, default ``./config``."""
    return Path(_variable("OTRADE_CONFIG_DIR") or "config")


def state_dir() -> Path:
    """``OTRADE_STATE_DIR``, default ``./state``."""
    return Path(_variable("OTRADE_STATE_DIR") or "state")


def environment() -> str:
    """``OTRADE_ENV``, default dev. Raises ConfigException for a name that is none of ENVIRONMENTS."""
    return checked_environment(_variable("OTRADE_ENV") or "dev")


def checked_environment(name: str) -> str:
    """``name``, where it is one of ENVIRONMENTS. Raises ConfigException."""
    if name not in ENVIRONMENTS:
        raise ConfigException(
            "no such environment",
            file="environment",
            key="OTRADE_ENV",
            value=name,
            allowed=", ".join(ENVIRONMENTS),
        )
    return name


def _variable(name: str) -> str:
    found = os.environ.get(name, "")
    if found or not os.path.isfile(".env"):
        return found.strip()
    from dotenv import dotenv_values  # only where there is a file to read

    try:
        return (dotenv_values(".env", interpolate=False).get(name) or "").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigException("cannot be read as UTF-8 text", file=".env") from error
