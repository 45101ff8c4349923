"""What a short-lived child may take of the machine: it sets that itself, first of all."""

from __future__ import annotations

import os
import resource
from contextlib import suppress

__all__ = ["ADDRESS_SPACE", "CPU_SECONDS", "confine"]

#: A picture takes less than one second and 300 MB of addresses.
CPU_SECONDS = 8
ADDRESS_SPACE = 1_200 * 1024 * 1024


def confine(cpu_seconds: int = CPU_SECONDS, address_space: int = ADDRESS_SPACE) -> None:
    """From here on: so much time, so many bytes, no core file, and behind everything else that wants the machine."""
    for what, most in (
        (resource.RLIMIT_CPU, cpu_seconds), (resource.RLIMIT_AS, address_space), (resource.RLIMIT_CORE, 0),
    ):  # fmt: skip
        _, hard = resource.getrlimit(what)
        limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (limit, limit))
    with suppress(OSError):
        os.nice(10)
