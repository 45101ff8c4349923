"""Settings: JSON in, frozen models out. Secrets are in ``secrets``, which nothing here imports."""

from otrade_bot.config.manager import ConfigManager
from otrade_bot.config.models import (
    BrokerConfig,
    ChargesConfig,
    Config,
    MarketConfig,
    RiskConfig,
    StrategyConfig,
    TelegramConfig,
    TradingConfig,
)
from otrade_bot.config.paths import config_dir, environment, state_dir

__all__ = [
    "BrokerConfig",
    "ChargesConfig",
    "Config",
    "ConfigManager",
    "MarketConfig",
    "RiskConfig",
    "StrategyConfig",
    "TelegramConfig",
    "TradingConfig",
    "config_dir",
    "environment",
    "state_dir",
]
