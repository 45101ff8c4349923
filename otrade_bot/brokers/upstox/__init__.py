"""Upstox: orders, books and GTTs over its own client; its answers in our words."""

from __future__ import annotations

from otrade_bot.brokers.upstox.broker import UpstoxBroker
from otrade_bot.brokers.upstox.wire import UpstoxSettings

__all__ = ["UpstoxBroker", "UpstoxSettings"]
