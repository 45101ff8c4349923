"""Whether an array is what compiled code takes it for.

Code that was compiled ahead of time believes what it is given: a wrong record, a strided or a foreign-endian array is
garbage or the end of the process, a readonly one is written to all the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def checked(
    name: str, array: Any, dtype: np.dtype[Any], *, writable: bool = True, least: int = 0
) -> npt.NDArray[Any]:
    """The array: one dimension of ``dtype``, contiguous, at least ``least`` long. TypeError names what is wrong."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name}: an array of records is wanted, not {type(array).__name__}")
    if array.dtype != dtype:
        raise TypeError(f"{name}: records of another kind than the kernel's: {_difference(array.dtype, dtype)}")
    if array.ndim != 1:
        raise TypeError(f"{name}: one dimension is wanted, not {array.ndim}")
    if not array.flags.c_contiguous:
        raise TypeError(f"{name}: its records must follow each other without gaps")
    if writable and not array.flags.writeable:
        raise TypeError(f"{name}: must be writable")
    if len(array) < least:
        raise TypeError(f"{name}: {least} records are wanted, not {len(array)}")
    return array


def _difference(found: np.dtype[Any], wanted: np.dtype[Any]) -> str:
    """The first thing that differs."""
    if found.names is None or wanted.names is None:
        return f"{found} instead of {wanted}"
    for name in wanted.names:
        if name not in found.names:
            return f"{name} is missing"
        if found[name] != wanted[name]:
            return f"{name} is {found[name]} instead of {wanted[name]}"
    return f"{found.itemsize} bytes instead of {wanted.itemsize}, or fields in another order"
