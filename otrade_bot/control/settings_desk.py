"""What settings may be changed while it runs, as commands see it. The service has one that writes the files."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from otrade_bot.config.models import Config

__all__ = ["Change", "Effect", "Knob", "Proposal", "SettingsDesk", "StrategyState"]

#: now; of an open position once its instrument is flat; with the desk opened again; at the next start of the program.
Effect = Literal["now", "flat", "reopen", "restart"]


@dataclass(frozen=True, slots=True)
class Knob:
    """A setting that a command may change. ``allowed`` and ``words`` are English, as the settings' own."""

    file: str
    key: str
    value: Any
    allowed: str = ""
    words: str = ""
    default: bool = False  #: nobody has set it


@dataclass(frozen=True, slots=True)
class Change:
    """One setting as it is in this run, and as it would be. ``raises``: more may be lost than before."""

    file: str
    key: str
    old: Any
    new: Any
    effect: Effect = "now"
    raises: bool = False


@dataclass(frozen=True, slots=True)
class Proposal:
    """What would be done. ``against``: why it cannot be now, each with its cure; ``notes``: what to know before a yes;
    ``stamp``: what that agrees to; ``plan`` is the desk's own."""

    changes: tuple[Change, ...] = ()
    against: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    stamp: Hashable = None
    plan: Any = field(default=None, repr=False, compare=False)

    @property
    def raises(self) -> bool:
        return any(change.raises and change.effect != "restart" for change in self.changes)

    @property
    def acts(self) -> bool:
        """Something of it takes effect without a start."""
        return any(change.effect != "restart" for change in self.changes)


@dataclass(frozen=True, slots=True)
class StrategyState:
    """One strategy of the settings. ``label`` is its name, or ``name:2`` where it stands there again."""

    label: str
    enabled: bool
    timeframe: str
    instruments: tuple[str, ...]
    capital: int  #: rupees that buy one rung
    own_capital: bool  #: it has a capital of its own
    open_rungs: int = 0
    cold: tuple[tuple[str, int, int], ...] = ()  #: (symbol, closed bars, bars needed) of those that cannot enter yet
    params: Sequence[Knob] = ()


class SettingsDesk(Protocol):
    """Everything that proposes reads the files anew, and raises ConfigException or StrategyException with what is
    allowed. Nothing waits: what was judged still holds when it is applied."""

    @property
    def config(self) -> Config:
        """The settings of this run."""
        ...

    def knobs(self) -> list[Knob]:
        """What /set may change."""
        ...

    def strategies(self) -> list[StrategyState]: ...

    def proposed(self, key: str, value: str) -> Proposal:
        """One of ``knobs``."""
        ...

    def switched(self, label: str, on: bool) -> Proposal:
        """A strategy started or stopped."""
        ...

    def parameter(self, label: str, key: str, value: str) -> Proposal:
        """One parameter of a strategy, or its ``capital``; ``default`` gives it back."""
        ...

    def reloaded(self) -> Proposal:
        """What the files say otherwise than this run."""
        ...

    def apply(self, proposal: Proposal, by: str) -> str:
        """Write it, let it hold, tell everybody; the file it stands in, '' where none was written. Raises
        ConfigException, and nothing has changed."""
        ...
