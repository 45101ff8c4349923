"""OTrade Bot: a trading agent for Indian markets, commanded from Telegram."""

__version__ = "0.1.0"
