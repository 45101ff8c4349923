"""Compiled code believes what it is given: a wrong array is refused before, in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from otrade_bot.kernel import state as abi
from otrade_bot.kernel.check import checked
from otrade_bot.kernel.compile import ENTRIES, Kernel, arguments
from otrade_bot.kernel.link import link, plain


def readonly(array: Any) -> Any:
    array.flags.writeable = False
    return array


def test_the_kernels_own_arrays_pass(kernel: Kernel, twin: Kernel) -> None:
    for one in (kernel, twin):
        one.check(state=one.new_rows(3), acct=one.new_account(), params=one.new_params(3), ev=one.new_event(),
                  out=one.new_intents(3), dates=np.zeros(2, np.int64))  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (lambda: [1, 2], "an array of records is wanted, not list"),
        (lambda: np.zeros(4), "float64 instead of"),
        (lambda: np.zeros(4, abi.INTENT), "row is missing|kind is|records of another kind"),
        (lambda: np.zeros(4, abi.EVENT.newbyteorder()), "kind is >i8 instead of int64"),
        (lambda: np.zeros(4, [(n, "f8") for n in abi.EVENT.names or ()]), "kind is float64 instead of int64"),
        (lambda: np.zeros(4, np.dtype([*abi.EVENT.descr, ("more", "i8")])), "104 bytes instead of 96"),
        (lambda: np.zeros((2, 2), abi.EVENT), "one dimension is wanted, not 2"),
        (lambda: np.zeros((), abi.EVENT), "one dimension is wanted, not 0"),
        (lambda: np.zeros(8, abi.EVENT)[::2], "without gaps"),
        (lambda: readonly(np.zeros(4, abi.EVENT)), "must be writable"),
    ],
)
def test_a_wrong_array_is_refused_in_words(wrong: Any, why: str, kernel: Kernel) -> None:
    with pytest.raises(TypeError, match=why):
        kernel.check(events=wrong())


def test_what_is_only_read_may_be_readonly_and_what_is_too_short_is_named() -> None:
    array = readonly(np.zeros(4, abi.EVENT))
    assert checked("ticks", array, abi.EVENT, writable=False) is array
    with pytest.raises(TypeError, match="ticks: 5 records are wanted, not 4"):
        checked("ticks", array, abi.EVENT, writable=False, least=5)


def test_a_name_that_no_entry_has_is_refused(kernel: Kernel) -> None:
    with pytest.raises(TypeError, match="rows: no entry"):
        kernel.check(rows=kernel.new_rows(1))


def test_every_name_of_the_table_is_an_argument_and_every_array_is_in_the_table(kernel: Kernel) -> None:
    """A misspelt array would be taken for an int64, and a name that is left over misleads."""
    entries = link((), plain, "check")
    codes = [entries[name].__code__ for name in ENTRIES]
    used = {name for code in codes for name in code.co_varnames[: code.co_argcount]}
    known = set(arguments(kernel.row, kernel.params))
    assert known <= used
    assert used - known == {"row", "ts", "price", "volume", "scan", "code", "side", "value"}
