"""control.json: what a human decided is on the disk before it is told, and holds after a restart."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from harness.bench import DAY, Bench, config
from harness.venue import FakeVenue
from hypothesis import given
from hypothesis import strategies as st

from otrade_bot.core.clock import at_ist
from otrade_bot.core.errors import BrokerException
from otrade_bot.core.events import Event, EventKind, Severity
from otrade_bot.core.masking import register_secret
from otrade_bot.core.model import Block, Product
from otrade_bot.service import control_state, statefile
from otrade_bot.service.control_state import ControlState

TOMORROW = DAY.replace(day=17)
PAUSED = {"paused": True, "paused_by": "owner", "paused_at": "2026-09-16T10:00:00+05:30"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.json"


def on_disk(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def bench(tmp_path: Path, path: Path, **more: Any) -> Bench:
    """An engine that keeps its decisions at ``path``, as a process start makes it."""
    made = Bench.paper(tmp_path / "paper.jsonl", **more)
    ControlState.load(path).restore(made.engine)
    return made


def again(path: Path, day: Any = DAY) -> tuple[Bench, list[str]]:
    """The next process, with an empty venue; what it says."""
    made = Bench(lambda b: FakeVenue(b.clock), day=day)
    return made, ControlState.load(path).restore(made.engine)


def decided(path: Path, queued_at: str = "") -> None:
    """A file of an earlier process: paused, and a flatten queued at that time."""
    flatten = {"queued": bool(queued_at), "ask_again": False, "by": "owner", "at": queued_at}
    path.write_text(json.dumps({**PAUSED, "flatten": flatten}))


def no_space(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(statefile.os, "fsync", full)


def states(made: Bench) -> list[str]:
    return [str(e.data["state"]) for e in made.events(EventKind.FLATTEN)]


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came to that")


# --- decisions reach the disk ---------------------------------------------------------------------


def test_nothing_decided_writes_nothing(tmp_path: Path, path: Path) -> None:
    made = bench(tmp_path, path)
    made.signal()
    assert not path.exists()
    assert Block.PAUSED not in made.engine.blocks


def test_every_decision_is_on_the_disk_before_anyone_is_told(tmp_path: Path, path: Path) -> None:
    made = Bench.paper(tmp_path / "paper.jsonl")
    seen: list[tuple[bool, str]] = []

    def watch(event: Event) -> None:
        if event.kind in (EventKind.BLOCK, EventKind.ALERT):
            seen.append((on_disk(path)["paused"], on_disk(path)["error"]))

    made.engine.add_observer(watch)
    ControlState.load(path).restore(made.engine)
    made.engine.pause("owner")
    made.engine.critical("the tape tore")
    made.engine.resume("owner")
    # paused; blocked and its alert; the error forgiven, then the pause
    assert seen == [(True, ""), (True, "the tape tore"), (True, "the tape tore"), (True, ""), (False, "")]


def test_who_and_when_in_a_private_file_that_leaves_no_other_behind(tmp_path: Path, path: Path) -> None:
    made = bench(tmp_path, path)
    made.engine.pause("owner")
    assert on_disk(path)["paused_by"] == "owner"
    assert on_disk(path)["paused_at"] == "2026-09-16T09:15:00+05:30"
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(p.name for p in tmp_path.iterdir()) == ["control.json", "paper.jsonl"]


def test_the_file_and_its_folder_are_flushed_before_the_pause_returns(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bench(tmp_path, path)
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def flushed(fd: int) -> None:
        steps.append("folder" if os.path.isdir(f"/proc/self/fd/{fd}") else "file")
        fsync(fd)

    def renamed(one: Path, other: Path) -> None:
        steps.append("rename")
        replace(one, other)

    monkeypatch.setattr(statefile.os, "fsync", flushed)
    monkeypatch.setattr(statefile.os, "replace", renamed)
    made.engine.pause("owner")
    assert steps == ["file", "rename", "folder"]
    made.engine.pause("owner")
    made.engine.block(Block.STALE)
    assert len(steps) == 3  # only what changed


def test_keys_of_others_are_kept_untouched(tmp_path: Path, path: Path) -> None:
    path.write_text('{"paused": false, "muted": {"until": 9007199254740993}, "flatten": {"x": [1.5]}, "pinned": 7}')
    made = bench(tmp_path, path)
    made.engine.pause("owner")
    found = on_disk(path)
    assert (found["muted"], found["pinned"]) == ({"until": 9007199254740993}, 7)
    assert found["flatten"]["x"] == [1.5]


def test_secrets_and_texts_without_an_encoding_do_no_harm(tmp_path: Path, path: Path) -> None:
    register_secret("control-state-secret-42")
    made = bench(tmp_path, path)
    made.engine.critical("token control-state-secret-42 in \udcff.py")
    assert on_disk(path)["error"] == "token *** in \\udcff.py"


def test_a_journal_that_fails_is_an_error_that_holds_too(tmp_path: Path, path: Path) -> None:
    made = bench(tmp_path, path)
    made.diary.broken = True
    made.engine.alert("anything")
    assert "journal cannot be written" in on_disk(path)["error"]


# --- and hold after a restart -----------------------------------------------------------------------


def test_a_pause_holds_on_later_days_until_resume(tmp_path: Path, path: Path) -> None:
    bench(tmp_path, path).engine.pause("owner")
    made, said = again(path, TOMORROW)
    assert said == ["entries stay paused by owner since Wed 16 Sep 2026 09:15:00 IST; /resume allows them"]
    assert made.engine.status().paused
    made.signal()
    assert made.codes() == ["blocked"]
    assert made.engine.resume("owner")
    made, said = again(path, TOMORROW)
    assert said == []
    made.signal()
    assert made.codes() == []


async def test_recovery_leaves_a_restored_pause_in_force(path: Path) -> None:
    decided(path)
    made, _ = again(path)
    await made.engine.recover()
    made.signal()
    assert made.codes() == ["blocked"]


def test_an_error_blocks_until_resume_and_its_text_is_said_again(tmp_path: Path, path: Path) -> None:
    bench(tmp_path, path).engine.critical("90 sold, 60 held")
    made, said = again(path)
    assert said == ["entries stay blocked until /resume after: 90 sold, 60 held"]
    assert made.engine.blocks == {Block.ERROR}
    made.engine.resume("owner")
    assert again(path)[1] == []


def test_restoring_is_no_news_and_writes_nothing(path: Path) -> None:
    decided(path)
    before = path.stat().st_ino
    made, _ = again(path)
    assert made.diary.events == []
    assert path.stat().st_ino == before


# --- a disk that fails ---------------------------------------------------------------------------


def test_a_full_disk_stops_no_pause_and_the_human_hears_that_it_may_not_last(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Bench.paper(tmp_path / "paper.jsonl")
    control = ControlState.load(path)
    control.restore(made.engine)
    with monkeypatch.context() as patch:
        no_space(patch)
        assert made.engine.pause("owner")
        made.signal()
        assert made.codes() == ["blocked"]
        assert made.alerts == [
            "control.json cannot be written (No space left on device): the pause holds now, but may not survive a "
            "restart"
        ]
        assert not control.check().well
        assert control.retry() == ""
    assert "is written again" in control.retry()
    assert on_disk(path)["paused"]
    assert control.check().well
    assert control.retry() == ""
    assert sorted(p.name for p in tmp_path.iterdir()) == ["control.json", "paper.jsonl"]


def test_a_resume_that_cannot_be_written_leaves_the_pause_in_the_file(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bench(tmp_path, path)
    made.engine.pause("owner")
    no_space(monkeypatch)
    assert made.engine.resume("owner")
    assert on_disk(path)["paused"]
    assert "the end of the pause holds now" in made.alerts[0]


def test_a_keeper_that_raises_stops_neither_the_pause_nor_its_news(tmp_path: Path) -> None:
    def broken(event: Event) -> str:
        raise ZeroDivisionError("oops")

    made = Bench.paper(tmp_path / "paper.jsonl")
    made.engine.keeper = broken
    assert made.engine.pause("owner")
    assert made.alerts == ["what was decided is not kept for a restart: ZeroDivisionError: oops"]
    assert len(made.events(EventKind.BLOCK)) == 1


# --- a file that cannot be read --------------------------------------------------------------------


def check_paused(path: Path) -> None:
    """Paused, said once, kept aside, and paused again at the next start."""
    made, said = again(path)
    assert Block.PAUSED in made.engine.blocks
    assert len(said) == 1
    assert said[0].startswith("entries stay paused")
    (alert,) = made.alerts
    assert alert.startswith("control.json: ")
    assert "Entries are paused until /resume" in alert
    assert on_disk(path)["paused"] is True
    made, _ = again(path)
    assert Block.PAUSED in made.engine.blocks
    assert made.alerts == []


@pytest.mark.parametrize("raw", [
    b"", b"\0" * 512, b"{", b"[]", b"null", b"{}", b'{"muted": true}', b'{"paused": 0}', b'{"paused": "no"}',
    b'{"paused": null}', b'{"paused": false, "error": null}', b'{"paused": false, "flatten": []}',
    b'{"paused": false, "flatten": {"queued": 1}}', b'{"paused": false, "paused_at": 7}', b'{"paused": fal',
    b'{"paused": false} {"paused": false}', b"[" * 100_000, b'{"paused": false, "x": NaN}', b" " * (1 << 20) + b"{}",
])  # fmt: skip
def test_a_broken_or_foreign_file_counts_as_paused_and_is_kept(path: Path, raw: bytes) -> None:
    path.write_bytes(raw)
    check_paused(path)
    assert path.with_name("control.json.broken").read_bytes() == raw


def test_what_is_no_file_counts_as_paused(tmp_path: Path) -> None:
    for name, make in (("pipe", os.mkfifo), ("folder", os.mkdir), ("link", lambda p: os.symlink("nowhere", p))):
        folder = tmp_path / name
        folder.mkdir()
        make(folder / "control.json")
        check_paused(folder / "control.json")


def test_a_crash_between_putting_aside_and_writing_is_still_paused(path: Path) -> None:
    path.with_name("control.json.broken").write_bytes(b"{")
    check_paused(path)
    assert path.with_name("control.json.broken").read_bytes() == b"{"


def test_a_broken_file_on_a_full_disk_is_paused_now_and_at_the_next_start(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_bytes(b"{")
    with monkeypatch.context() as patch:
        no_space(patch)
        made, _ = again(path)
        assert Block.PAUSED in made.engine.blocks
        assert any("cannot be written" in alert for alert in made.alerts)
    check_paused(path)


def test_a_file_that_cannot_be_put_aside_is_not_overwritten(path: Path) -> None:
    path.write_bytes(b"{")
    aside = path.with_name("control.json.broken")
    (aside / "taken").mkdir(parents=True)
    made, _ = again(path)
    assert Block.PAUSED in made.engine.blocks
    assert "could not be put aside" in made.alerts[0]
    assert path.read_bytes() == b"{"
    made.engine.resume("owner")
    assert on_disk(path)["paused"] is False


def test_the_alert_comes_once_a_process(path: Path) -> None:
    path.write_bytes(b"{")
    control = ControlState.load(path)
    first, second = (Bench(lambda b: FakeVenue(b.clock)) for _ in range(2))
    control.restore(first.engine)
    control.restore(second.engine)
    assert (len(first.alerts), len(second.alerts)) == (1, 0)
    assert Block.PAUSED in second.engine.blocks


def free_to_trade(raw: bytes) -> bool:
    """By the letter of the format: an object that says so."""
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return False
    return isinstance(found, dict) and found.get("paused") is False


@given(raw=st.one_of(
    st.binary(max_size=200),
    st.binary(max_size=60).map(lambda tail: b'{"paused": false, "error": ""' + tail),
    st.integers(0, 90).map(lambda cut: json.dumps({"paused": False, "error": "", "flatten": {"queued": False}})
                           .encode()[:cut]),
))  # fmt: skip
def test_bytes_that_do_not_clearly_say_otherwise_are_paused(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    path = tmp_path_factory.mktemp("state") / "control.json"
    path.write_bytes(raw)
    control = ControlState.load(path)
    if not free_to_trade(raw):
        assert control.paused
        assert ControlState.load(path).paused
        assert path.with_name("control.json.broken").read_bytes() == raw


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=6,
)  # fmt: skip


@given(others=st.dictionaries(st.text(st.characters(codec="utf-8")), JSON, max_size=4), pause=st.booleans())
def test_whatever_others_keep_there_survives_a_decision(
    tmp_path_factory: pytest.TempPathFactory, others: dict[str, Any], pause: bool
) -> None:
    path = tmp_path_factory.mktemp("state") / "control.json"
    kept = {key: value for key, value in others.items() if key not in control_state._FRESH}
    path.write_bytes(orjson.dumps({**kept, "paused": not pause}))
    control = ControlState.load(path)
    event = Event(EventKind.BLOCK, 0, data={"on": pause, "reason": Block.PAUSED.value, "by": "x"})
    assert control.keep(event) == ""
    found = orjson.loads(path.read_bytes())
    assert found["paused"] is pause
    assert {key: found[key] for key in kept} == kept


# --- a flatten that a restart interrupts -----------------------------------------------------------


def holding(tmp_path: Path) -> Bench:
    """Yesterday's delivery rung, before today's open, at the paper broker."""
    made = Bench.paper(tmp_path / "paper.jsonl", config(product=Product.CNC))
    made.signal()
    made.at(15, 40)
    made.broker.start_day(TOMORROW)
    made.clock.advance_to(at_ist(TOMORROW, 9, 3))
    made.engine.start_day(TOMORROW)
    made.day = TOMORROW
    return made


def bought(path: Path) -> Bench:
    """An intraday rung at a venue that answers when it is told to."""
    made = Bench(lambda b: FakeVenue(b.clock))
    ControlState.load(path).restore(made.engine)
    made.signal()
    made.broker.fill(made.broker.accept(), say=False)
    made.broker.deliver_all()
    made.broker.accept()
    made.broker.deliver_all()
    return made


def restarted(path: Path, before: Bench, hour: int, minute: int, day: Any = None) -> tuple[Bench, list[str]]:
    """The next process, at the same venue."""
    made = Bench(lambda b: before.broker, before.config, day=day or before.day)
    made.clock.advance_to(at_ist(made.day, hour, minute))
    before.broker.clock = made.clock
    return made, ControlState.load(path).restore(made.engine)


async def test_a_queued_flatten_is_on_the_disk_before_the_answer(tmp_path: Path, path: Path) -> None:
    made = holding(tmp_path)
    ControlState.load(path).restore(made.engine)
    assert "takes no orders yet" in await made.engine.flatten("owner")
    flatten = on_disk(path)["flatten"]
    assert flatten == {"queued": True, "ask_again": False, "by": "owner", "at": "2026-09-17T09:03:00+05:30"}
    made.clock.advance_to(at_ist(TOMORROW, 9, 15))
    made.price(10_050, seconds=0)
    made.price(10_050)
    await until(lambda: states(made)[-1:] == ["flat"])
    assert on_disk(path)["flatten"]["queued"] is False
    assert on_disk(path)["paused"] is True


async def test_a_queued_flatten_is_done_at_once_by_a_process_that_starts_after_the_open(path: Path) -> None:
    before = bought(path)
    decided(path, "2026-09-16T09:03:00+05:30")
    made, said = restarted(path, before, 9, 40)
    assert said[1] == ("the flatten by owner since Wed 16 Sep 2026 09:03:00 IST had not ended: it goes on as soon as "
                       "orders are taken")  # fmt: skip
    await made.engine.recover(history=[(at_ist(DAY, 9, 39), 0, 10_000, 0)])
    made.broker.accept()
    made.broker.deliver_all()
    made.broker.fill("V002")
    await until(lambda: states(made) == ["started", "flat"])
    assert on_disk(path)["flatten"]["queued"] is False


async def test_before_the_open_a_restored_flatten_waits_for_it(path: Path) -> None:
    decided(path, "2026-09-16T09:03:00+05:30")
    made = Bench(lambda b: FakeVenue(b.clock))
    made.clock._now = at_ist(DAY, 9, 10)
    ControlState.load(path).restore(made.engine)
    await made.engine.recover()
    assert states(made) == []
    made.clock.advance_to(at_ist(DAY, 9, 15))
    made.pulse(0)
    await until(lambda: states(made) == ["started", "flat"])


async def test_a_price_during_recovery_does_not_use_up_a_queued_flatten(path: Path) -> None:
    before = bought(path)
    decided(path, "2026-09-16T09:03:00+05:30")
    made, _ = restarted(path, before, 9, 40)
    book = made.broker.get_gtts

    async def with_a_price() -> Any:
        made.price(10_000)
        return await book()

    made.broker.get_gtts = with_a_price
    await made.engine.recover()
    assert states(made) == ["started"]
    assert [c.what for c in made.broker.calls].count("modify") == 1
    made.broker.accept()
    made.broker.deliver_all()
    made.broker.fill("V002")
    await until(lambda: states(made) == ["started", "flat"])


async def test_a_flatten_that_dies_half_way_goes_on_in_the_next_process(path: Path) -> None:
    before = bought(path)
    asked = asyncio.create_task(before.engine.flatten("owner"))
    await until(lambda: states(before) == ["started"])
    assert on_disk(path)["flatten"]["queued"] is True
    assert not before.broker.orders["V002"].status.final
    before.broker.accept()  # taken, but the process dies before it hears of it
    asked.cancel()
    made, said = restarted(path, before, 9, 20)
    assert any("had not ended" in text for text in said)
    await made.engine.recover()
    made.broker.deliver_all()
    made.broker.fill("V002")
    await until(lambda: states(made)[-1:] == ["flat"])
    assert [c.what for c in made.broker.calls].count("modify") == 1
    assert on_disk(path)["flatten"] == {"queued": False, "ask_again": False, "by": "", "at": ""}


async def test_a_queued_flatten_of_another_day_is_asked_about_not_done(path: Path) -> None:
    decided(path, "2026-09-16T15:16:00+05:30")
    made, said = again(path, TOMORROW)
    assert "is asked about again" in said[1]
    assert on_disk(path)["flatten"]["ask_again"] is True
    await made.engine.recover()
    assert [a for a in made.alerts if "send /flatten again" in a]
    assert states(made) == ["asked"]
    assert on_disk(path)["flatten"]["ask_again"] is False


async def test_what_was_asked_while_closed_is_asked_again_by_a_process_that_starts_after_the_open(
    tmp_path: Path, path: Path
) -> None:
    first = Bench.paper(tmp_path / "paper.jsonl", config(product=Product.CNC))
    ControlState.load(path).restore(first.engine)
    first.signal()
    first.at(16, 30)
    assert "asked again" in await first.engine.flatten("owner")
    assert on_disk(path)["flatten"]["ask_again"] is True
    made, _ = again(path)
    made.clock.advance_to(at_ist(DAY, 17))
    await made.engine.recover()
    assert made.alerts == []  # still closed: it stays remembered
    made, said = again(path, TOMORROW)
    made.clock.advance_to(at_ist(TOMORROW, 11))
    assert any("is asked about again" in text for text in said)
    await made.engine.recover()
    assert [a for a in made.alerts if "send /flatten again" in a]
    assert made.events(EventKind.FLATTEN)[0].severity is Severity.DEBUG  # one message, not two
    assert again(path, TOMORROW)[1] == [said[0]]


async def test_a_newer_flatten_stands_for_a_remembered_one(tmp_path: Path, path: Path) -> None:
    made = holding(tmp_path)
    ControlState.load(path).restore(made.engine)
    made.engine.flattener.ask_again = True
    await made.engine.flatten("owner")
    assert (made.engine.flattener.queued, made.engine.flattener.ask_again) == (True, False)


async def test_a_book_that_cannot_be_read_ends_the_flatten_by_saying_so(path: Path) -> None:
    made, _ = again(path)

    async def broken() -> list[Any]:
        raise BrokerException("timeout")

    made.broker.get_positions = broken
    assert (await made.engine.flatten("owner")).startswith("NOT CONFIRMED")
    assert on_disk(path)["flatten"]["queued"] is False
