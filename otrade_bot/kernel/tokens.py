"""The rows by their brokers' names for them, as the compiled decoders look them up."""

from __future__ import annotations

from collections.abc import Sequence

from otrade_bot.kernel import state as abi
from otrade_bot.kernel.compile import Array, Kernel
from otrade_bot.kernel.frames import place
from otrade_bot.kernel.wire import spread

__all__ = ["keys_for", "slots_for"]


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


def keys_for(kernel: Kernel, keys: Sequence[str]) -> tuple[Array, bytes]:
    """The same by instrument keys ("" = none), and the bytes of all of them."""
    slots = kernel.new(abi.KEY, 2 << max(1, len(keys)).bit_length())
    mask, names, known = len(slots) - 1, bytearray(), set[str]()
    for row, key in enumerate(keys):
        name = key.encode()
        if not name or key in known:
            continue
        known.add(key)
        hashed = int(spread(name, 0, len(name)))
        i = hashed & mask
        while slots[i]["length"]:
            i = i + 1 & mask
        slots[i]["hashed"], slots[i]["start"], slots[i]["length"], slots[i]["row"] = hashed, len(names), len(name), row
        names += name
    return slots, bytes(names)
