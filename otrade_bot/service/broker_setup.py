"""From settings and secrets to a broker's connections: who takes the orders, who gives the prices, who stands by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from otrade_bot.brokers.factory import BrokerFactory
from otrade_bot.brokers.listing import FOLDER, Listings
from otrade_bot.brokers.middleware import UnifiedBrokerMiddleware
from otrade_bot.brokers.tokens import token_for
from otrade_bot.config.models import Config
from otrade_bot.config.secrets import Secrets
from otrade_bot.core.clock import Clock
from otrade_bot.core.errors import ConfigException
from otrade_bot.service.accounts import Account, LiveAccount
from otrade_bot.service.brokerside import BrokerSide
from otrade_bot.service.live_feed import LiveFeed
from otrade_bot.service.live_prices import LiveSource
from otrade_bot.service.logins import store_for
from otrade_bot.service.past_bars import FOLDER as CANDLES
from otrade_bot.service.past_bars import PastBars

__all__ = ["LIVE_FEEDS", "Parts", "broker_parts", "check_live"]

LIVE_FEEDS = ("kite", "upstox")


@dataclass(frozen=True, slots=True)
class Parts:
    """``account`` None: orders stay on paper."""

    source: LiveSource
    side: BrokerSide
    account: Account | None


def check_live(config: Config, secrets: Secrets) -> None:
    """Real orders need real prices, a broker, and a word in the environment. Raises ConfigException."""
    brokers = config.brokers
    if not secrets.live_allowed:
        raise ConfigException(
            "real orders need a word of yours outside of the settings too", file="environment", key="OTRADE_LIVE",
            value=secrets.live or None, allowed="yes (or trading.json: mode paper)",
        )  # fmt: skip
    for key, value in (("primary", brokers.primary), ("feed", brokers.feed)):
        if value not in LIVE_FEEDS:
            raise ConfigException(
                "mode live trades at a broker, on a broker's prices", file="brokers.json", key=key, value=value,
                allowed=", ".join(LIVE_FEEDS),
            )  # fmt: skip


def broker_parts(config: Config, secrets: Secrets, state_dir: Path, clock: Clock) -> Parts:
    """Nothing is connected yet. Raises ConfigException that names what is missing."""
    brokers = config.brokers
    trading = brokers.primary if config.trading.mode == "live" else ""
    store = store_for(secrets, state_dir)
    names = dict.fromkeys(name for name in (trading, brokers.feed, brokers.backup) if name in LIVE_FEEDS)
    found: dict[str, UnifiedBrokerMiddleware] = {}
    tokens: dict[str, str] = {}
    for name in names:
        token = token_for(name, secrets, store, clock.now_ns())
        tokens[name] = token.value if token else ""
        mode = "live" if name == trading else "paper"
        found[name] = BrokerFactory.create_broker(
            name, secrets, access_token=tokens[name], clock=clock, mode=mode, config=brokers
        )
    backup = brokers.backup if brokers.backup != brokers.feed else None
    feed = LiveFeed(
        found[brokers.feed], found[backup] if backup else None, clock=clock, calendar=config.calendar
    )
    listings = Listings(
        state_dir / FOLDER, clock, overrides=config.market.instrument_overrides(),
        assets_root=secrets.upstox_assets_root,
    )  # fmt: skip
    traders = [found[trading]] if trading and found[trading] not in feed.brokers else []
    source = LiveSource(feed, listings, config, clock, past=PastBars(state_dir / CANDLES), traders=traders)
    side = BrokerSide(found, trading, feed, source, store, secrets, clock, tokens)
    return Parts(source, side, LiveAccount(found[trading], lambda: side.users.get(trading, "")) if trading else None)
