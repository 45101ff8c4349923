"""What a person types for an instrument, and which one is meant."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from otrade_bot.control.words import short
from otrade_bot.core.errors import CommandException
from otrade_bot.core.lang import t

__all__ = ["resolved"]


def resolved(word: str, known: Sequence[str]) -> str:
    """The full symbol of what was typed. Raises CommandException with the nearest ones."""
    wanted = word.upper()
    full = {symbol.upper(): symbol for symbol in known}
    if wanted in full:
        return full[wanted]
    bare = [symbol for symbol in known if symbol.upper().partition(":")[2] == wanted]
    if len(bare) == 1:
        return bare[0]
    if bare:
        several = t("{symbol} is on several exchanges: {symbols}. Say which.", symbol=wanted, symbols=", ".join(bare))
        raise CommandException(several)
    names = {symbol.upper().partition(":")[2] or symbol.upper(): symbol for symbol in known}
    near = get_close_matches(wanted.rpartition(":")[2], list(names), 3, 0.5)
    said = t("{symbol} is not followed.", symbol=short(wanted, 40))
    if near:
        meant = t(" or ").join(names[one] for one in near)
        said = t("{symbol} is not followed. Did you mean {names}?", symbol=short(wanted, 40), names=meant)
    raise CommandException(said)
