"""A clock that was set, a machine that slept and a process that stood still are told apart, and told once."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otrade_bot.core.clock import SECOND
from otrade_bot.service.clockwatch import ClockWatch, Reading, Step, StepKind, read_clocks


class Machine:
    """Its clocks: ``pass_`` lets all run, the others do what their names say."""

    def __init__(self) -> None:
        self.real, self.mono, self.boot = 1_789_530_000 * SECOND, 77 * SECOND, 500 * SECOND

    def __call__(self) -> Reading:
        return Reading(self.real, self.mono, self.boot)

    def pass_(self, seconds: float = 1) -> None:
        ns = round(seconds * SECOND)
        self.real, self.mono, self.boot = self.real + ns, self.mono + ns, self.boot + ns

    def sleep(self, seconds: float) -> None:
        ns = round(seconds * SECOND)
        self.real, self.boot = self.real + ns, self.boot + ns

    def set(self, seconds: float) -> None:
        self.real += round(seconds * SECOND)


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def watch(machine: Machine) -> ClockWatch:
    made = ClockWatch(machine)
    assert made.observe() is None
    return made


def seen(watch: ClockWatch) -> list[Step]:
    """All there is to see now."""
    return list(iter(watch.observe, None))


def test_what_we_were_busy_with_ourselves_is_no_stall_but_the_next_one_is(machine: Machine, watch: ClockWatch) -> None:
    watch.busy()
    machine.pass_(9)
    assert watch.observe() is None
    machine.pass_(9)
    assert [step.kind for step in seen(watch)] == [StepKind.STALLED]


def test_a_clock_set_while_we_were_busy_is_noticed_also_before_the_first_look(machine: Machine) -> None:
    watch = ClockWatch(machine)
    watch.busy()
    machine.pass_(9)
    machine.set(720)
    assert [(step.kind, step.seconds) for step in seen(watch)] == [(StepKind.STEPPED, 720.0)]


def test_time_that_passes_is_no_news(machine: Machine, watch: ClockWatch) -> None:
    for seconds in (1, 1.002, 0.9, 1.5, 3.9, 0):
        machine.pass_(seconds)
        assert watch.observe() is None
    assert watch.last is None


@pytest.mark.parametrize(("by", "words"), [
    (65, "the machine's clock was set forward by 65.0 s"),
    (-65, "the machine's clock was set back by 65.0 s"),
    (1.1, "the machine's clock was set forward by 1.1 s"),
])  # fmt: skip
def test_a_clock_that_was_set_is_told_once_with_its_sign(
    machine: Machine, watch: ClockWatch, by: float, words: str
) -> None:
    machine.pass_()
    machine.set(by)
    assert seen(watch) == [Step(StepKind.STEPPED, by)]
    assert watch.last is not None
    assert watch.last.text == words
    assert watch.last_ns == machine.real
    machine.pass_()
    assert seen(watch) == []


def test_a_small_correction_is_ignored(machine: Machine, watch: ClockWatch) -> None:
    for by in (0.9, -0.9, 1.0, 0.3):
        machine.pass_()
        machine.set(by)
        assert watch.observe() is None


def test_hours_of_slewing_are_no_step(machine: Machine, watch: ClockWatch) -> None:
    for _ in range(4 * 3600):
        machine.pass_()
        machine.set(0.0005)
        assert watch.observe() is None


def test_a_machine_that_slept_did_not_set_its_clock(machine: Machine, watch: ClockWatch) -> None:
    machine.pass_(0.4)
    machine.sleep(3600)
    assert seen(watch) == [Step(StepKind.SLEPT, 3600)]
    assert watch.last is not None
    assert watch.last.text == "the machine slept for 3600.0 s"


def test_a_process_that_stood_still_is_told_apart_from_sleep(machine: Machine, watch: ClockWatch) -> None:
    machine.pass_(31)
    assert seen(watch) == [Step(StepKind.STALLED, 30)]
    assert watch.last is not None
    assert watch.last.text == "the process stood still for 30.0 s"


def test_what_happens_at_once_is_all_told(machine: Machine, watch: ClockWatch) -> None:
    machine.sleep(3600)
    machine.set(-7200)
    machine.pass_(11)
    assert seen(watch) == [
        Step(StepKind.SLEPT, 3600), Step(StepKind.STEPPED, -7200), Step(StepKind.STALLED, 10)
    ]  # fmt: skip


@given(st.lists(st.tuples(
    st.floats(0.5, 3), st.floats(-0.0005, 0.0005), st.sampled_from([0, 0, 0, 5, -5, 3600, -3600, 1.5]),
    st.sampled_from([0, 0, 0, 2, 900]),
), max_size=40))  # fmt: skip
def test_every_jump_is_told_and_nothing_else(story: list[tuple[float, float, float, float]]) -> None:
    machine = Machine()
    watch = ClockWatch(machine)
    watch.observe()
    for passed, slew, jump, slept in story:
        machine.pass_(passed)
        machine.set(slew + jump)
        machine.sleep(slept)
        steps = {step.kind: step.seconds for step in seen(watch)}
        assert set(steps) == {kind for kind, by in ((StepKind.STEPPED, jump), (StepKind.SLEPT, slept)) if by}
        assert steps.get(StepKind.STEPPED, 0) == pytest.approx(jump, abs=0.001)
        assert steps.get(StepKind.SLEPT, 0) == pytest.approx(slept, abs=0.001)


def test_the_machines_own_clocks_are_one_moment_and_quiet() -> None:
    now = read_clocks()
    assert abs(now.real - time.time_ns()) < 60 * SECOND
    assert 0 <= time.monotonic_ns() - now.mono < 60 * SECOND
    assert now.boot >= now.mono
    watch = ClockWatch()
    assert watch.observe() is None
    assert [step for step in seen(watch) if step.kind is not StepKind.STALLED] == []


async def test_run_tells_each_step_and_goes_on(machine: Machine) -> None:
    told: asyncio.Queue[Step] = asyncio.Queue()
    watch = ClockWatch(machine, period=1_000_000)
    task = asyncio.create_task(watch.run(told.put_nowait))
    await asyncio.sleep(0)
    for by in (60, -60):
        machine.set(by)
        async with asyncio.timeout(10):
            assert (await told.get()) == Step(StepKind.STEPPED, by)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
