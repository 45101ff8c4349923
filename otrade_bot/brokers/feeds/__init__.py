"""Prices that do not come from a broker's stream: recorded files and synthetic days."""

from __future__ import annotations

from otrade_bot.brokers.feeds.files import read_any, read_bars, read_ticks, symbol_of, write_ticks
from otrade_bot.brokers.feeds.history import synthetic_history
from otrade_bot.brokers.feeds.market import Market
from otrade_bot.brokers.feeds.synthetic import Profile, synthetic_day
from otrade_bot.brokers.feeds.ticks import BarFile, TickFile, merge

__all__ = [
    "BarFile",
    "Market",
    "Profile",
    "TickFile",
    "merge",
    "read_any",
    "read_bars",
    "read_ticks",
    "symbol_of",
    "synthetic_day",
    "synthetic_history",
    "write_ticks",
]
