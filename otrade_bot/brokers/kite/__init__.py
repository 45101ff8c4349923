"""Zerodha's Kite Connect, through its own client."""

from otrade_bot.brokers.kite.broker import KiteBroker
from otrade_bot.brokers.kite.client import KiteSettings

__all__ = ["KiteBroker", "KiteSettings"]
