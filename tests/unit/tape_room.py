"""Days at a bench with a recorder on its deck, and tapes written again with something changed in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from otrade_bot.kernel.compile import Kernel
from otrade_bot.research.selfcheck import KernelFor, Verdict, check_day
from otrade_bot.research.tape import (
    Begin,
    Change,
    Header,
    Mark,
    describe,
    pack_mark,
    read_segment,
    tapes,
)
from otrade_bot.research.tape_blocks import BEGIN, CHANGE, INPUTS, MARK, Inputs, blocks, pack, pack_inputs
from otrade_bot.service.recorder import Recorder
from tests.harness.bench import Bench, kernel

Part = Begin | Inputs | Change | Mark
SECONDS = 20.0


def header_of(bench: Bench, built: Kernel | None = None) -> Header:
    engine, used = bench.engine, built or kernel()
    symbols = tuple(row.instrument.symbol for row in engine.table)
    strategies = tuple(row.strategy for row in engine.table)
    return Header(
        bench.day, 0, used.key, symbols, strategies, tuple(used.sids), "A1", bench.now, describe(used.row),
        describe(used.params),
    )  # fmt: skip


def record(bench: Bench, folder: Path, told: list[str] | None = None, keep_days: int = 30) -> Recorder:
    """From now on."""
    said = [] if told is None else told
    recorder = Recorder(folder, header_of(bench), keep_days, said.append)
    bench.engine.deck.tape = recorder
    return recorder


def ended(recorder: Recorder) -> Path:
    """The file, closed."""
    assert recorder.end().wait(SECONDS)
    assert not recorder.fault, recorder.fault
    assert recorder.path is not None
    return recorder.path


def checked(folder: Path, bench: Bench, kernel_for: KernelFor = lambda header: kernel()) -> Verdict:
    return check_day([path for _, _, path in tapes(folder, bench.day)], kernel_for, bench.day)


def written_again(path: Path, change: Callable[[Part], Part], *, honest: bool = False) -> None:
    """Each part as ``change`` makes it, with checksums that are right. ``honest``: the marks know of it too."""
    segment = read_segment(path)
    line, digest = segment.header.line(), 0
    raw = [block.payload for block in blocks(segment.data, segment.start, path.name)]
    out = [line]
    for payload, part in zip(raw, segment.parts(), strict=True):
        new = change(part)
        if isinstance(new, Inputs):
            digest = new.digest(digest)
            out.append(pack(INPUTS, pack_inputs(new, segment.header.rows)))
        elif isinstance(new, Mark):
            out.append(pack(MARK, pack_mark(replace(new, digest=digest) if honest else new)))
        else:
            out.append(pack(BEGIN if isinstance(new, Begin) else CHANGE, payload))
    path.write_bytes(b"".join(out))


def with_price(number: int, paise: int) -> Callable[[Part], Part]:
    """One price of the tape, counted from 0, is another one."""
    seen = 0

    def change(part: Part) -> Part:
        nonlocal seen
        if not isinstance(part, Inputs):
            return part
        first, seen = seen, seen + len(part.ticks)
        if not first <= number < seen:
            return part
        ticks: Any = part.ticks.copy()
        ticks["price"][number - first] += paise
        return replace(part, ticks=ticks)

    return change
