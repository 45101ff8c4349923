"""Logins put together from settings and secrets, for the service and for the command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from otrade_bot.brokers.logins import BROKERS, login_for
from otrade_bot.brokers.tokens import FILE, TokenStore
from otrade_bot.config.models import BrokerConfig
from otrade_bot.config.secrets import Secrets
from otrade_bot.control.reply import Told
from otrade_bot.core.clock import Clock
from otrade_bot.core.masking import register_secret
from otrade_bot.service.callback import Callback, listen_address, notify_path
from otrade_bot.service.login_desk import AGAIN, OnToken, ServiceLogins

__all__ = ["brokers_of", "callback_for", "desk_for", "store_for"]


def brokers_of(settings: BrokerConfig) -> tuple[str, ...]:
    """Those that want a login each day, the one that takes the orders first."""
    named = (settings.primary, settings.feed, settings.backup)
    return tuple(dict.fromkeys(name for name in named if name in BROKERS))


def store_for(secrets: Secrets, state_dir: Path) -> TokenStore:
    """The tokens of this state folder. Without OTRADE_SECRET_KEY it stores nothing, and says so when it has to."""
    key = secrets.secret_key.get_secret_value() if secrets.secret_key is not None else ""
    return TokenStore(state_dir / FILE, key)


def desk_for(
    settings: BrokerConfig,
    secrets: Secrets,
    store: TokenStore,
    *,
    clock: Clock,
    on_token: OnToken,
    tell: Callable[[Told], None],
    brokers: tuple[str, ...] = (),
    again: str = AGAIN,
) -> ServiceLogins | None:
    """None where no broker of the settings (or of ``brokers``, where given) wants a login."""
    names = brokers or brokers_of(settings)
    if not names:
        return None
    return ServiceLogins(
        names, lambda name: login_for(name, secrets, clock), store, on_token=on_token, tell=tell,
        listening=settings.login.listen is not None, again=again,
    )  # fmt: skip


def callback_for(desk: ServiceLogins, settings: BrokerConfig, secrets: Secrets) -> Callback | None:
    """Where the browser comes back to; None where ``login.listen`` is not set. Raises ConfigException."""
    if settings.login.listen is None:
        return None
    host, port = listen_address(settings.login.listen)
    notify = notify_path(secrets.secret_key.get_secret_value()) if secrets.secret_key is not None else ""
    register_secret(notify)
    return Callback(desk, host, port, notify=notify)
