"""The rows by their brokers' names for them, as the compiled decoders look them up."""

from __future__ import annotations

from collections.abc import Sequence

from otrade_bot.kernel import state as abi
from otrade_bot.kernel.compile import Array, Kernel
from otrade_bot.kernel.frames import place

__all__ = ["slots_for"]


def slots_for(kernel: Kernel, tokens: Sequence[int]) -> Array:
    """``tokens[i]`` is row i's; 0 = none. Of rows with one token the first is found."""
    slots = kernel.new(abi.SLOT, 2 << max(1, len(tokens)).bit_length())
    mask = len(slots) - 1
    for row, token in enumerate(tokens):
        i = place(token, mask)
        while slots[i]["key"] not in (0, token):
            i = i + 1 & mask
        if token and not slots[i]["key"]:
            slots[i]["key"], slots[i]["row"] = token, row
    return slots
