"""The three functions that a strategy supplies. The loader puts a switch over all strategies here."""

from __future__ import annotations

from typing import Any


def update(s: Any, p: Any) -> None:
    """A bar has closed (or a tick has come, on the tick timeframe): bring the strategy's STATE up to it."""


def should_buy(s: Any, p: Any) -> bool:
    """Is this a moment to buy?"""
    return False


def should_sell(s: Any, p: Any) -> bool:
    """Is this a moment to sell?"""
    return False
