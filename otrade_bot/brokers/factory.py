"""From a broker's name to its account as trading sees it. A broker's own library is loaded only here, on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic import SecretStr

from otrade_bot.brokers.budget import KITE, UPSTOX, Budget, Limits
from otrade_bot.brokers.kite import KiteBroker, KiteSettings
from otrade_bot.brokers.middleware import UnifiedBrokerMiddleware
from otrade_bot.brokers.stream import StreamSettings
from otrade_bot.brokers.streams import BrokerStreams, KiteStreams, UpstoxStreams
from otrade_bot.brokers.upstox import UpstoxBroker, UpstoxSettings
from otrade_bot.config.models import BrokerConfig
from otrade_bot.config.secrets import Secrets
from otrade_bot.core.clock import SECOND, Clock
from otrade_bot.core.errors import ConfigException

__all__ = ["BrokerFactory"]


#: Writes under way at once, so that none waits for a thread behind some that hang: ten a second for three seconds.
AT_ONCE = 32


class BrokerFactory:
    """Makes the accounts of brokers."""

    @staticmethod
    def create_broker(
        name: str,
        secrets: Secrets,
        *,
        access_token: str | None = None,
        clock: Clock,
        mode: str = "live",
        config: BrokerConfig | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        settings: Mapping[str, Any] | None = None,
        stream: StreamSettings | None = None,
        budget: Budget | None = None,
    ) -> UnifiedBrokerMiddleware:
        """The account at ``kite`` or ``upstox``. ``access_token`` None: the one of the environment serves. Without any
        (''), whatever the environment has, it is there, and every answer says that a login is due.

        Orders leave in mode ``live`` only, and only where ``OTRADE_LIVE`` is yes: otherwise writes are Refused.
        ``settings`` replaces fields of KiteSettings or UpstoxSettings, ``stream`` those of the streams. Raises
        ConfigException that names what is missing.
        """
        if name not in _MAKERS:
            raise ConfigException("no broker of this name has an account", value=name, allowed=", ".join(_MAKERS))
        make, limits = _MAKERS[name]
        timed: dict[str, Any] = {"settings": stream}
        if sleep is not asyncio.sleep:  # the streams' pauses go by the same clock
            timed |= {"sleep": sleep, "clock": lambda: clock.now_ns() / SECOND}
        token = _text(getattr(secrets, f"{name}_access_token")) if access_token is None else access_token
        broker, streams = make(secrets, token, config or BrokerConfig(), settings or {}, timed)
        return UnifiedBrokerMiddleware(
            broker, streams, budget or Budget(limits), clock=clock, sleep=sleep,
            read_only=_read_only(name, mode, secrets),
        )  # fmt: skip


def _read_only(name: str, mode: str, secrets: Secrets) -> str:
    if mode != "live":
        return f"in mode {mode} nothing is ordered at {name}"
    return "" if secrets.live_allowed else "OTRADE_LIVE is not yes"


def _kite(
    secrets: Secrets, token: str, config: BrokerConfig, given: Mapping[str, Any], timed: Mapping[str, Any]
) -> tuple[KiteBroker, KiteStreams]:
    key = _needed("OTRADE_KITE_API_KEY", secrets.kite_api_key)
    fields = {
        "root": secrets.kite_root.rstrip("/"), "algo_id": config.algo_id or "", "writers": AT_ONCE, **given,
    }  # fmt: skip
    broker = KiteBroker(KiteSettings(key, token, **fields))
    broker.gtt_distance_percent = config.gtt_distance_percent
    return broker, KiteStreams(key, token, root=secrets.kite_ws_root.rstrip("/"), **timed)


def _upstox(
    secrets: Secrets, token: str, config: BrokerConfig, given: Mapping[str, Any], timed: Mapping[str, Any]
) -> tuple[UpstoxBroker, UpstoxStreams]:
    if not (token or _text(secrets.upstox_access_token)):
        _needed("OTRADE_UPSTOX_API_KEY", secrets.upstox_api_key)
    fields = {
        "host": secrets.upstox_root.rstrip("/"), "order_host": secrets.upstox_order_root.rstrip("/"),
        "algo_name": config.algo_name or "", "threads": AT_ONCE, **given,
    }  # fmt: skip
    broker = UpstoxBroker({}, UpstoxSettings(**fields), token)
    return broker, UpstoxStreams(token, root=secrets.upstox_ws_root.rstrip("/"), **timed)


def _needed(name: str, value: SecretStr | None) -> str:
    if value is None:
        raise ConfigException("is not set: it comes with the broker's API app", file="environment", key=name)
    return value.get_secret_value()


def _text(value: SecretStr | None) -> str:
    return "" if value is None else value.get_secret_value()


_Make = Callable[
    [Secrets, str, BrokerConfig, Mapping[str, Any], Mapping[str, Any]],
    tuple[KiteBroker | UpstoxBroker, BrokerStreams],
]
_MAKERS: dict[str, tuple[_Make, Limits]] = {"kite": (_kite, KITE), "upstox": (_upstox, UPSTOX)}
