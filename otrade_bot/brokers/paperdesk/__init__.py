"""A broker and an exchange on paper: the interface of the live ones, and a book that survives kill -9."""

from otrade_bot.brokers.paperdesk.account import PaperSettings
from otrade_bot.brokers.paperdesk.broker import PaperBroker

__all__ = ["PaperBroker", "PaperSettings"]
