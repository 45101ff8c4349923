"""Every error this package raises on purpose.

TradingException
├── ConfigException        a setting is wrong: which file, which key, what is allowed
├── BrokerException        a broker could not be read, or refused a read
│   └── TokenException     the broker's access token is missing or has expired
├── CalculationException   a formula was given input it has no answer for
├── RiskException          a request that the risk gate must never let through got past its types
├── KernelException        the compiled kernel could not be built, or was bound to wrong arrays
├── StrategyException      a strategy file cannot be used: file, line and reason
├── DataException          a file of ticks or bars cannot be read at all
├── JournalException       the journal or the paper book cannot be written: trading must not go on
└── CommandException       a command from a human cannot be carried out, and why
"""

from __future__ import annotations

__all__ = [
    "BrokerException",
    "CalculationException",
    "CommandException",
    "ConfigException",
    "DataException",
    "JournalException",
    "KernelException",
    "RiskException",
    "StrategyException",
    "TokenException",
    "TradingException",
]


class TradingException(Exception):  # noqa: N818 - the public name of the tree's root
    """Root of the tree: catching it catches every deliberate error of this package."""


class ConfigException(TradingException):
    """A setting is wrong.

    Attributes hold the parts so that a caller can point at the place; ``str()`` is one line
    with all of them, fit for standard error.
    """

    def __init__(
        self, message: str, *, file: str = "", key: str = "", value: object = None, allowed: str = ""
    ) -> None:
        self.file, self.key, self.value, self.allowed = file, key, value, allowed
        where = ": ".join(part for part in (file, key) if part)
        got = "" if value is None else f" (got {value!r})"
        may = f"; allowed: {allowed}" if allowed else ""
        super().__init__(f"{where + ': ' if where else ''}{message}{got}{may}")


class BrokerException(TradingException):
    """A broker could not be read, or refused a read."""


class TokenException(BrokerException):
    """The broker's access token is missing or has expired."""


class CalculationException(TradingException):
    """A formula was given input it has no answer for."""


class RiskException(TradingException):
    """A request that the risk gate must never let through got past its types."""


class KernelException(TradingException):
    """The compiled kernel could not be built, or was bound to wrong arrays."""


class StrategyException(TradingException):
    """A strategy file cannot be used. ``str()`` is ``file:line: reason``."""

    def __init__(self, message: str, *, file: str, line: int = 0) -> None:
        self.file, self.line = file, line
        super().__init__(f"{file}:{line}: {message}" if line else f"{file}: {message}")


class DataException(TradingException):
    """A file of ticks or bars cannot be read at all."""


class JournalException(TradingException):
    """The journal or the paper book cannot be written: trading must not go on."""


class CommandException(TradingException):
    """A command from a human cannot be carried out; the text says why."""
