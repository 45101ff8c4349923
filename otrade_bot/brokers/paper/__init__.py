"""The paper broker: an exchange and an account in one file of JSON lines, fed by real or recorded prices."""

from __future__ import annotations

from otrade_bot.brokers.paper.broker import PaperBroker
from otrade_bot.brokers.paper.settings import CanPlace, ChargeOf, PaperSettings

__all__ = ["CanPlace", "ChargeOf", "PaperBroker", "PaperSettings"]
