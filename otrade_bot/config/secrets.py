"""What must never stand in a settings file: keys, tokens, addresses. From the environment and ``.env``.

Not imported by the package itself: pydantic-settings costs memory that only a command with a broker or
a phone needs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from otrade_bot.core.errors import ConfigException
from otrade_bot.core.masking import register_secret

__all__ = ["Secrets", "load_secrets"]

_HTTP = r"^https?://[^\s/]+[^\s]*$"
_WS = r"^wss?://[^\s/]+[^\s]*$"
Http = Annotated[str, Field(pattern=_HTTP)]
Socket = Annotated[str, Field(pattern=_WS)]


class Secrets(BaseSettings):
    """The ``OTRADE_*`` variables. A variable of the process goes before ``.env``; empty means absent."""

    model_config = SettingsConfigDict(
        env_prefix="OTRADE_",
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    secret_key: SecretStr | None = None
    telegram_token: SecretStr | None = None
    telegram_base_url: Http | None = None
    telegram_base_file_url: Http | None = None

    apprise_urls: SecretStr | None = None

    kite_api_key: SecretStr | None = None
    kite_api_secret: SecretStr | None = None
    kite_access_token: SecretStr | None = None
    kite_root: Http = "https://api.kite.trade"
    kite_ws_root: Socket = "wss://ws.kite.trade"
    kite_login_root: Http = "https://kite.zerodha.com"

    upstox_api_key: SecretStr | None = None
    upstox_api_secret: SecretStr | None = None
    upstox_redirect_uri: Http | None = None
    upstox_access_token: SecretStr | None = None
    upstox_root: Http = "https://api.upstox.com"
    upstox_order_root: Http = "https://api-hft.upstox.com"
    upstox_ws_root: Socket = "wss://api.upstox.com"
    upstox_assets_root: Http = "https://assets.upstox.com"

    live: str = ""

    @property
    def live_allowed(self) -> bool:
        """``OTRADE_LIVE`` is exactly ``yes``."""
        return self.live == "yes"


def load_secrets(env_file: Path | str | None = ".env") -> Secrets:
    """Read them, and blot their values out of every log and message from now on.

    Raises ConfigException with the variable's name; never with its value.
    """
    try:
        secrets = Secrets(_env_file=env_file)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        name = "OTRADE_" + str(first["loc"][0]).upper().removeprefix("OTRADE_")
        allowed = "ws:// or wss:// address" if name.endswith("WS_ROOT") else "http:// or https:// address"
        raise ConfigException("is not an address", file="environment", key=name, allowed=allowed) from None
    except (OSError, UnicodeDecodeError):
        raise ConfigException("cannot be read as UTF-8 text", file=str(env_file)) from None
    for name in Secrets.model_fields:
        value = getattr(secrets, name)
        if isinstance(value, SecretStr):
            register_secret(value.get_secret_value())
    return secrets
