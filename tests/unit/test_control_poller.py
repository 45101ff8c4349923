"""Listening goes on for ever: every error is one visible state, told once, tried again, and never shows the token."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from phone_desk import CLERK, DESK, GUEST, OWNER, STRANGER, TOP, desk
from telegram import error

from otrade_bot.control.phone.poller import FAULTS, Patience, Poller, fault_of
from otrade_bot.control.reply import text
from otrade_bot.core.masking import forget_secrets
from tests.venues.telegram import (
    BadGateway,
    BadRequest,
    BotApi,
    Closed,
    Conflict,
    Fault,
    Forbidden,
    Hang,
    NotFound,
    Refused,
    Reset,
    TooMany,
    Unauthorized,
)

ROWS: list[tuple[Exception, str, float]] = [
    (error.InvalidToken(), "refused", 30),
    (error.Forbidden("x"), "refused", 30),
    (error.EndPointNotFound("x"), "refused", 30),
    (error.Conflict("x"), "conflict", 15),
    (error.RetryAfter(17), "throttled", 17),
    (error.TimedOut(), "offline", 0.5),
    (error.NetworkError("x"), "offline", 0.5),
    (error.BadRequest("x"), "offline", 0.5),
    (error.ChatMigrated(5), "offline", 0.5),
    (error.PassportDecryptionError("x"), "offline", 0.5),
    (error.TelegramError("x"), "offline", 0.5),
    (OSError("x"), "offline", 0.5),
]


class Failing:
    """A bot whose every question ends in an error."""

    def __init__(self, problem: Exception) -> None:
        self.problem = problem

    async def get_updates(self, **_: object) -> object:
        raise self.problem

    readable = get_updates


async def states_of(problem: Exception, times: int) -> tuple[Poller, list[float], list[str]]:
    slept: list[float] = []
    logged: list[str] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == times:
            raise asyncio.CancelledError

    async def nothing(*_: object) -> None: ...

    poller = Poller(
        Failing(problem),
        nothing,
        settle=nothing,
        greet=nothing,
        log=logged.append,
        sleep=sleep,
        jitter=lambda: 0.0,
        wall=lambda: 1.0,
    )  # type: ignore[arg-type]
    with pytest.raises(asyncio.CancelledError):
        await poller.run()
    return poller, slept, logged


@pytest.mark.parametrize(("problem", "word", "wait"), ROWS, ids=lambda one: type(one).__name__)
async def test_each_error_is_one_state_with_a_cure_told_once_and_tried_again(
    problem: Exception, word: str, wait: float
) -> None:
    poller, slept, logged = await states_of(problem, 12)
    assert poller.state.word == word
    assert poller.state.cure
    assert poller.state.error.startswith(type(problem).__name__)
    assert len(logged) == 1
    assert slept[0] == wait
    if word == "offline":
        assert slept == [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30]
    else:
        assert slept == [wait] * 12


def test_the_table_has_a_row_for_every_error_of_the_library() -> None:
    known = {getattr(error, name) for name in error.__all__}
    assert known <= FAULTS.keys()
    assert known == {type(problem) for problem, _, _ in ROWS} - {OSError}


def test_an_error_that_the_library_does_not_have_yet_has_a_state_too() -> None:
    class Newer(error.Forbidden):
        pass

    assert fault_of(Newer("x")).word == "refused"
    assert fault_of(KeyError("x")).word == "offline"


async def test_jitter_takes_at_most_half_and_never_goes_below_the_first() -> None:
    patience = Patience()
    for jitter in (0.0, 0.5, 0.999):
        poller = Poller(None, None, settle=None, greet=None, jitter=lambda: jitter)  # type: ignore[arg-type] # noqa: B023
        for _ in range(20):
            assert patience.first <= poller._failed(error.NetworkError("x")) <= patience.cap


FAULTY: list[tuple[Callable[[], Fault], str]] = [
    (Unauthorized, "refused"),
    (NotFound, "refused"),
    (Forbidden, "refused"),
    (Conflict, "conflict"),
    (lambda: TooMany(17), "throttled"),
    (BadGateway, "offline"),
    (Reset, "offline"),
    (Closed, "offline"),
    (lambda: BadRequest("offset is wrong"), "offline"),
    (lambda: Refused(500, "Internal Server Error: restart"), "offline"),
]


@pytest.mark.parametrize(("make", "word"), FAULTY, ids=[one[1] + str(at) for at, one in enumerate(FAULTY)])
async def test_over_the_wire_each_fault_is_a_state_and_commands_work_when_it_is_over(
    tmp_path: Path, make: Callable[[], Fault], word: str
) -> None:
    async with desk(tmp_path) as at:
        began = at.phone.state.since
        at.api.fail("getUpdates", make(), times=3)
        at.api.say(CLERK, "/status")  # ends the poll under way
        await at.api.until(lambda: any(line.startswith(f"phone: {word}: ") for line in at.logged))
        await at.said(1, CLERK)
        await at.quiet()
        at.api.say(CLERK, "/pause")
        await at.api.until(lambda: at.engine.calls)
        assert at.phone.state.word == "polling"
        assert at.phone.state.error == ""
        assert at.phone.state.last_ok >= at.phone.state.since >= began
        told = [line.split(":")[1].split()[0] for line in at.logged if line.startswith("phone:")]
        assert told == ["polling", word, "polling"]
        assert len(at.slept) == 3
        assert word != "throttled" or at.slept == [17.0] * 3
        assert word != "conflict" or at.slept == [15.0] * 3
        assert word != "refused" or at.slept == [30.0] * 3


async def test_a_conflict_is_told_to_the_admins_once_though_it_comes_and_goes(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        for number in range(1, 5):
            at.api.fail("getUpdates", Conflict(), times=2)
            at.api.say(CLERK, "/status")
            await at.said(number, CLERK)
            await at.quiet()
        assert sum(line.startswith("phone: conflict") for line in at.logged) == 4
        told = (await at.said(1, OWNER))[0]
        assert told.text.startswith(f"{TOP}\nCommands may not reach this bot")
        assert "/revoke" in told.text
        assert len(at.api.to(OWNER)) == 1


async def test_a_poll_that_telegram_has_not_let_go_of_at_the_start_is_no_alarm_but_a_second_conflict_is(
    tmp_path: Path,
) -> None:
    async with BotApi([OWNER]) as api:
        api.fail("getUpdates", Conflict())
        async with desk(tmp_path / "a", api=api) as at:
            assert any(line.startswith("phone: conflict") for line in at.logged)
            assert api.sent == []
        api.fail("getUpdates", Conflict(), times=3)
        async with desk(tmp_path / "b", api=api) as at:
            await at.said(1)
            assert len(api.sent) == 1


async def test_a_webhook_is_taken_away_and_what_waited_is_done(tmp_path: Path) -> None:
    async with BotApi([OWNER]) as api:
        api.say(OWNER, "/pause")
        api.set_webhook("https://example.invalid/hook")
        async with desk(tmp_path, api=api) as at:
            await api.until(lambda: at.engine.calls)


async def test_telegram_down_at_the_start_is_waited_for(tmp_path: Path) -> None:
    async with BotApi([OWNER]) as api:
        api.down()
        async with desk(tmp_path, api=api, listening=False) as at:
            await api.until(lambda: len(at.slept) > 20)
            assert at.phone.state.word == "offline"
            assert at.phone.state.last_ok == 0
            assert at.slept[0] == 0.5
            assert max(at.slept) <= 30
            assert len(at.logged) <= 2
            api.up()
            api.say(OWNER, "/pause")
            await api.until(lambda: at.engine.calls)
            assert at.phone.state.word == "polling"


async def test_telegram_gone_in_the_middle_loses_nothing(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        at.api.down()
        await at.api.until(lambda: at.phone.state.word == "offline")
        at.api.say(OWNER, "/pause")
        at.api.up()
        await at.said(1)
        assert at.engine.calls == ["pause by owner"]


async def test_that_telegram_is_there_is_known_at_once_though_nobody_writes(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.api.until(lambda: at.phone.state.word == "polling")
        at.api.down()
        await at.api.until(lambda: at.phone.state.word == "offline")
        at.api.up()
        await at.api.until(lambda: at.phone.state.word == "polling")
        await at.api.until(lambda: at.api.called("getUpdates")[-1].params.get("timeout") == "25")
        assert at.api.called("getUpdates")[0].params.get("timeout", "0") == "0"


@pytest.mark.parametrize("token", ["", "nonsense", "12:ü", "7 7:abc", "https://example.invalid/bot"])
async def test_what_cannot_be_a_token_is_refused_with_a_cure_and_ends_nothing(tmp_path: Path, token: str) -> None:
    async with BotApi([OWNER]) as api, desk(tmp_path, api=api, listening=False, token=token) as at:
        await api.until(lambda: len(at.slept) > 3)
        assert at.phone.state.word == "refused"
        assert "BotFather" in at.phone.state.cure
        assert set(at.slept) == {30.0}
        assert len(at.logged) == 1
        with pytest.raises(error.InvalidToken):
            await at.phone.send(OWNER, text("x"), silent=False)
        assert api.calls == []


async def test_a_wrong_token_is_refused_and_shown_nowhere(tmp_path: Path) -> None:
    wrong = "7700000001:" + "WRONG" * 7
    async with BotApi([OWNER]) as api, desk(tmp_path, api=api, listening=False, token=wrong) as at:
        await api.until(lambda: len(at.slept) > 3)
        assert at.phone.state.word == "refused"
        assert "WRONG" not in repr((at.phone.state, at.logged, at.errors))


async def test_a_revoked_token_that_is_valid_again_is_taken_up_again(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        at.api.fail("*", Unauthorized(), times=6)
        at.api.say(CLERK, "/status")
        at.api.say(OWNER, "/pause")
        await at.api.until(lambda: at.engine.calls)
        assert at.phone.state.word == "polling"


@pytest.mark.parametrize("fault", ["malformed address", "reset", "refused", "nonsense", "status"])
async def test_no_error_of_the_network_shows_the_token(tmp_path: Path, fault: str) -> None:
    forget_secrets()
    async with BotApi([OWNER]) as api:
        base = {
            "malformed address": "http://[::1/bot",
            "reset": api.base_url,
            "refused": "http://127.0.0.1:1/bot",
            "nonsense": "http://127.0.0.1:1/{token}/bot",
            "status": api.base_url,
        }[fault]
        api.fail("*", Reset() if fault == "reset" else Refused(418, f"teapot /bot{api.token}/getMe"), times=50)
        async with desk(tmp_path, api=api, listening=False, base_url=base) as at:
            await api.until(lambda: len(at.slept) > 5)
            at.outbox.put(text("x"), [OWNER])
            await api.until(lambda: len(at.slept) > 8)
            assert at.phone.state.error
            shown = repr((at.phone.state, at.logged, at.errors, at.heard, at.outbox.lanes()))
            assert api.token not in shown
            assert api.token.partition(":")[2] not in shown


async def test_a_long_poll_that_nobody_answers_ends_and_is_asked_anew(tmp_path: Path) -> None:
    async with BotApi([OWNER]) as api:
        hang = Hang()
        api.fail("getUpdates", hang)
        async with desk(tmp_path, api=api, listening=False, poll_s=0, poll_margin_s=0.2) as at:
            await api.until(lambda: hang.holding)
            await api.until(lambda: at.phone.state.word == "offline")
            api.say(OWNER, "/pause")
            await api.until(lambda: at.engine.calls)


async def test_everybody_is_offered_the_commands_of_his_role_and_strangers_none(tmp_path: Path) -> None:
    async with desk(tmp_path, menu=lambda caller: [(caller.role.word, f"for {caller.name}")]) as at:
        await at.api.until(lambda: len(at.api.called("setMyCommands")) == 5)
        assert [at.api.menu(who) for who in (OWNER, CLERK, GUEST)] == [["admin"], ["operator"], ["viewer"]]
        assert [at.api.menu(who, DESK) for who in (OWNER, CLERK)] == [["admin"], ["operator"]]
        assert at.api.menu(STRANGER) == at.api.menu(GUEST, DESK) == at.api.commands == []


async def test_a_role_that_changes_changes_the_menu_of_that_person_alone(tmp_path: Path) -> None:
    roles = {GUEST: "viewer"}
    async with desk(tmp_path, menu=lambda caller: [(roles.get(caller.user_id, "other"), "x")]) as at:
        await at.api.until(lambda: len(at.api.called("setMyCommands")) == 5)
        roles[GUEST] = "operator"
        at.phone.show_menus()
        await at.api.until(lambda: at.api.menu(GUEST) == ["operator"])
        assert len(at.api.called("setMyCommands")) == 6


async def test_a_menu_that_is_refused_harms_nothing_and_one_that_was_lost_is_tried_again(tmp_path: Path) -> None:
    async with BotApi([OWNER, CLERK, GUEST, DESK]) as api:
        api.fail("setMyCommands", Reset(after=False), times=5)
        async with desk(tmp_path, api=api, menu=lambda caller: [("status", "state")]) as at:
            await api.until(lambda: sum("menu was not taken" in line for line in at.logged) == 5)
            api.down()
            await api.until(lambda: at.phone.state.word == "offline")
            api.up()
            await api.until(lambda: api.menu(GUEST) == ["status"])
    async with desk(tmp_path / "b", menu=lambda caller: [("BAD NAME", "x")]) as at:
        await at.api.until(lambda: any("menu was not taken" in line for line in at.logged))
        at.api.say(OWNER, "/status")
        await at.said(1)


LAUNCH = """
import asyncio, os, signal, sys
from pathlib import Path
from otrade_bot.config.models import User
from otrade_bot.control.phone.gate import Gate
from otrade_bot.control.news.outbox import Outbox
from otrade_bot.control.reply import text
from otrade_bot.control.phone.phone import Phone

token, base_url, folder, deadly = sys.argv[1:]

async def answer(caller, line):
    with open(Path(folder) / "done", "a") as done:
        done.write(line + "\\n")
    if line == deadly:
        os.kill(os.getpid(), signal.SIGKILL)
    return text("done " + line)

outbox = Outbox(Path(folder) / "outbox.jsonl")
gate = Gate([User(user_id=7, chat_id=7, role="admin")], tell=outbox.put)
asyncio.run(Phone(token, gate, answer, outbox, base_url=base_url).run())
"""


async def launched(api: BotApi, folder: Path, deadly: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", LAUNCH, api.token, api.base_url, str(folder), deadly
    )


async def test_a_command_whose_handling_is_killed_is_handled_after_the_next_start(tmp_path: Path) -> None:
    async with BotApi([OWNER]) as api:
        for line in ("/resume", "/pause", "/status"):
            api.say(OWNER, line)
        first = await launched(api, tmp_path, "/pause")
        assert await first.wait() == -signal.SIGKILL
        assert (tmp_path / "done").read_text().split() == ["/resume", "/pause"]
        second = await launched(api, tmp_path, "")
        try:
            await api.until(lambda: any(sent.text == "done /status" for sent in api.sent), timeout=30)
            assert (tmp_path / "done").read_text().split() == ["/resume", "/pause", "/resume", "/pause", "/status"]
            await api.until(lambda: not api.waiting)
        finally:
            os.kill(second.pid, signal.SIGKILL)
            await second.wait()
