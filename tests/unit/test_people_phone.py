"""People over the phone, as the service puts it together: gate, pushes, outbox and menus change while it runs."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyotp
import pytest
from control_fakes import NOON, FakeEngine
from harness.bench import config
from pydantic import SecretStr

from otrade_bot.brokers import vault
from otrade_bot.config import ConfigManager
from otrade_bot.config.secrets import Secrets
from otrade_bot.core.events import Event, EventKind, Severity
from otrade_bot.service.authenticators import FILE, Authenticators
from otrade_bot.service.control_state import ControlState
from otrade_bot.service.mouths import Phones, mouths_for
from tests.venues.telegram import BadGateway, BotApi, Sent, TooMany

OWNER, CLERK, NEW, STRANGER = 7, 8, 4242, 666
GROUP = -1001234567890
KEY = "a long enough passphrase"
SECRET = pyotp.random_base32(32)
ROWS = [
    {"user_id": OWNER, "chat_id": OWNER, "role": "admin", "name": "owner"},
    {"user_id": OWNER, "chat_id": GROUP, "role": "admin", "name": "owner"},
    {"user_id": CLERK, "chat_id": CLERK, "role": "operator", "name": "clerk"},
]


class Engine(FakeEngine):
    """Keeps what goes into the journal."""

    def __init__(self) -> None:
        super().__init__(3)
        self.emitted: list[Event] = []

    def emit(self, event: Event) -> None:
        self.emitted.append(event)

    def alert(self, text: str) -> None:
        self.emit(Event(EventKind.ALERT, NOON, "", text))


class Office:
    """The phone of a service, real but for its engine."""

    def __init__(self, api: BotApi, engine: Engine, phones: Phones, folder: Path, held: list[asyncio.Event]) -> None:
        self.api, self.engine, self.phones, self.folder = api, engine, phones, folder
        self.held = held  #: what the next commands wait for, one each

    async def said(self, number: int, chat_id: int = OWNER) -> Sent:
        """The chat's message of that number, from 1, once it is there."""
        return (await self.api.until(lambda: len(self.api.to(chat_id)) >= number and self.api.to(chat_id)))[number - 1]

    async def asks(self, line: str, user_id: int = OWNER, chat_id: int | None = None, **more: Any) -> str:
        before = len(self.api.to(chat_id or user_id))
        self.api.say(user_id, line, chat_id, **more)
        return (await self.said(before + 1, chat_id or user_id)).text

    async def tells(self, words: str, line: str, **more: Any) -> Sent:
        """The owner's answer that has these words; what the admins are told of the same may come before it."""
        before = len(self.api.to(OWNER))
        self.api.say(OWNER, line, **more)
        found = await self.api.until(lambda: [one for one in self.api.to(OWNER)[before:] if words in one.text])
        return found[0]

    async def quiet(self) -> None:
        await self.api.until(lambda: self.api.polling and not self.api.waiting)

    @property
    def rows(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads((self.folder / "config" / "telegram.json").read_text())["users"]
        return found


def code(steps: int = 0) -> str:
    return pyotp.TOTP(SECRET).generate_otp(int(time.time() // 30) + steps)


@asynccontextmanager
async def office(
    folder: Path, patch: pytest.MonkeyPatch, rows: Any = ROWS, logins: Any = None, **telegram: Any
) -> AsyncIterator[Office]:
    patch.setattr(vault, "COST", 2**4)
    patch.setenv("OTRADE_CONFIG_DIR", str(folder / "config"))
    patch.setenv("OTRADE_ENV", "dev")
    (folder / "config").mkdir()
    (folder / "config" / "telegram.json").write_text(json.dumps({"users": rows, "card": False, **telegram}))
    Authenticators(folder / "state" / FILE, KEY).save(OWNER, SECRET, 0)
    known = ConfigManager(folder / "config", "dev").load(create=False).telegram
    engine = Engine()

    held: list[asyncio.Event] = []

    async def ready(seconds: float) -> bool:
        if held:
            await held.pop(0).wait()
        return True

    service: Any = SimpleNamespace(
        ready=ready, engine=engine, reason="", desk=object(), config=replace(config(), telegram=known),
        clock=SimpleNamespace(now_ns=lambda: NOON), health=SimpleNamespace(checks=tuple, delivery=str), logins=logins,
        settings=SimpleNamespace(), pictures=None, audits=None,
        control=ControlState.load(folder / "state" / "control.json"),
        setting=SimpleNamespace(rehearsal=None, state_dir=folder / "state", source=None, brokers=None),
    )  # fmt: skip
    async with BotApi([OWNER, CLERK, NEW, STRANGER, GROUP]) as api:
        secrets = Secrets(
            _env_file=None, telegram_token=SecretStr(api.token), telegram_base_url=api.base_url,
            telegram_base_file_url=api.base_file_url, secret_key=SecretStr(KEY),
        )  # type: ignore[call-arg]  # fmt: skip
        phones: Any = mouths_for(secrets, StringIO())(service)
        tasks = [asyncio.create_task(make()) for name, make in phones.tasks() if name in ("phone", "outbox")]  # type: ignore[arg-type]
        try:
            await api.until(lambda: api.polling)
            yield Office(api, engine, phones, folder, held)
            assert not [task for task in tasks if task.done()]
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            phones.close()


async def test_somebody_is_invited_comes_is_told_and_is_blocked_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with office(tmp_path, monkeypatch) as at:
        api = at.api
        assert "six digits" in await at.asks("/users invite operator Ravi")
        link = (await at.asks(code())).partition("?start=")[2].split()[0]
        assert "your role is operator" in await at.asks(f"/start {link}", NEW, name="Ravi")
        await api.until(lambda: any("has come by your link" in sent.text for sent in api.to(OWNER)))
        menus = [call.params for call in api.called("setMyCommands") if str(NEW) in call.params.get("scope", "")]
        assert menus
        assert '"users"' not in menus[-1]["commands"]

        at.phones.pushes.on_event(Event(EventKind.ALERT, NOON, "", "the feed is late", Severity.RISK))
        await at.said(2, NEW)
        question = await at.asks("/flatten", NEW)
        assert "Close" in question
        asked = api.to(NEW)[-1]

        await at.asks("/users block Ravi")
        told = len(api.to(NEW))
        press = api.press(NEW, asked.message_id, asked.buttons[0].label)
        await api.until(lambda: press in api.answers)
        assert api.answers[press].text in (None, "")
        api.say(NEW, "/status")
        api.say(NEW, f"/start {link}")
        at.phones.pushes.on_event(Event(EventKind.ALERT, NOON, "", "the feed is later", Severity.RISK))
        await api.until(lambda: any("is later" in sent.text for sent in api.to(OWNER)))
        await at.quiet()
        assert len(api.to(NEW)) == told
        assert not any("flatten" in call for call in at.engine.calls)
        assert not any("stranger" in sent.text for sent in api.to(OWNER))
        gone = [call.params.get("scope", "") for call in api.called("deleteMyCommands")]
        assert any(str(NEW) in scope for scope in gone)


async def test_a_link_that_telegram_does_not_take_at_once_waits_on_no_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with office(tmp_path, monkeypatch) as at:
        await at.asks("/users invite admin Ravi")
        before = len(at.api.called("sendMessage"))
        at.api.fail("sendMessage", TooMany(6), chat_id=OWNER)
        at.api.say(OWNER, code())
        told = await at.said(2)
        assert "Ravi is invited as admin" in told.text
        assert "/users cancel Ravi" in told.text
        tried = [call.params["text"] for call in at.api.called("sendMessage")[before:]]
        [link] = {one.partition("?start=")[2].split()[0] for one in tried if "?start=" in one}
        disk = [path.read_text() for path in (tmp_path / "state").rglob("*") if path.is_file()]
        assert any("Ravi is invited" in one for one in disk)
        assert link not in "".join(disk) + told.text


async def test_a_command_that_waits_while_its_giver_is_blocked_is_not_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with office(tmp_path, monkeypatch) as at:
        opened = asyncio.Event()
        at.held.append(opened)
        at.api.say(CLERK, "/pause")
        await at.api.until(lambda: not at.held)
        assert "clerk is blocked" in await at.asks("/users block clerk")
        opened.set()
        await at.asks("/version")
        await at.quiet()
        assert at.engine.calls == []
        assert at.api.to(CLERK) == []


async def test_a_strangers_wrong_link_is_silence_in_his_chat_and_its_words_in_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with office(tmp_path, monkeypatch) as at:
        at.api.say(STRANGER, "/start " + "x" * 24)
        told = await at.said(1)
        assert "A stranger wrote" in told.text
        assert "xxxx" not in told.text
        await at.quiet()
        assert at.api.to(STRANGER) == []
        assert len(at.rows) == len(ROWS)


async def test_a_link_that_was_opened_while_nobody_listened_lets_in_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with office(tmp_path, monkeypatch) as at:
        await at.asks("/users invite viewer Ravi")
        link = (await at.asks(code())).partition("?start=")[2].split()[0]
        assert "your role is viewer" in await at.asks(f"/start {link}", NEW, date=time.time() - 3600)
        assert "Expired" in await at.asks("/start", NEW, date=time.time() - 3600)


async def test_what_still_waits_for_somebody_who_is_blocked_is_not_sent_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with office(tmp_path, monkeypatch) as at:
        at.api.fail("sendMessage", BadGateway(), None, chat_id=CLERK)
        at.phones.pushes.on_event(Event(EventKind.ALERT, NOON, "", "the feed is late", Severity.RISK))
        await at.said(1)
        assert at.phones.outbox.waiting
        await at.asks("/users block clerk")
        at.api.heal()
        at.phones.outbox.wake()
        await at.api.until(lambda: not at.phones.outbox.waiting)
        assert at.api.to(CLERK) == []


async def test_who_was_removed_takes_his_wishes_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with office(tmp_path, monkeypatch) as at:
        await at.asks("/language hi", CLERK)
        state = at.folder / "state" / "control.json"
        assert str(CLERK) in json.loads(state.read_text())["people"]
        await at.asks("/users remove clerk")
        assert str(CLERK) not in json.loads(state.read_text())["people"]


async def test_one_admin_reads_hindi_and_the_other_english_in_menus_answers_alerts_and_news_of_people(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hindi = re.compile("[\u0900-\u097f]")

    def menu(api: BotApi, chat_id: int) -> str:
        scope = {"type": "chat", "chat_id": chat_id}
        shown = [call.params for call in api.called("setMyCommands") if json.loads(call.params["scope"]) == scope]
        return str(json.loads(shown[-1]["commands"])) if shown else ""

    rows = [*ROWS[:1], {**ROWS[2], "role": "admin", "language": "hi"}, {**ROWS[2], "user_id": NEW, "chat_id": NEW}]
    async with office(tmp_path, monkeypatch, rows) as at:
        await at.api.until(lambda: hindi.search(menu(at.api, CLERK)) and menu(at.api, OWNER))
        assert not hindi.search(menu(at.api, OWNER))
        assert "'command': 'flatten'" in menu(at.api, CLERK)
        assert hindi.search(await at.asks("/status", CLERK))
        assert not hindi.search(await at.asks("/status"))
        at.api.say(STRANGER, "let me in")
        assert "A stranger wrote to the bot" in (await at.said(2)).text
        assert hindi.search((await at.said(2, CLERK)).text)
        at.phones.pushes.on_event(Event(EventKind.BLOCK, NOON, "", "", Severity.RISK, {"on": True, "reason": "x"}))
        assert "Entries BLOCKED" in (await at.said(3)).text
        assert hindi.search((await at.said(3, CLERK)).text)
        await at.asks(f"/users block {NEW}", CLERK)
        assert "clerk has blocked" in (await at.said(4)).text
    told = capsys.readouterr()
    assert "A stranger wrote to the bot" in told.err
    assert not hindi.search(told.out + told.err)


@pytest.mark.parametrize("form", ["{}", "/code {}"])
async def test_a_code_is_taken_from_the_chat_and_is_in_no_journal_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    async with office(tmp_path, monkeypatch) as at:
        await at.asks("/users role clerk admin")
        digits = code()
        await at.tells("clerk is admin", form.format(digits))
        await at.api.until(lambda: at.api.deleted)
        assert digits not in "".join(at.api.written(OWNER))
        assert digits not in repr(at.engine.emitted)
        lines = [event.data["line"] for event in at.engine.emitted if event.kind is EventKind.COMMAND]
        assert lines == ["/users role clerk admin", "/code", "(a code, not kept)", "/users role 8 admin"]


async def test_in_a_group_six_digits_count_where_they_were_asked_for_and_are_left_alone_where_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with office(tmp_path, monkeypatch) as at:
        at.api.say(OWNER, "123456", GROUP)
        await at.quiet()
        assert at.api.to(GROUP) == []
        assert at.api.deleted == []
        assert "/code 123456" in await at.asks("/users role clerk admin", OWNER, GROUP)
        at.api.say(OWNER, code(), GROUP)
        said = [(await at.said(number, GROUP)).text for number in (2, 3)]
        assert any("clerk is admin" in one for one in said)
        assert any("Delete your message yourself: the code" in one for one in said)  # the bot is no admin there


async def test_a_code_as_an_answer_to_the_question_is_a_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with office(tmp_path, monkeypatch) as at:
        await at.asks("/users role clerk admin")
        asked = at.api.to(OWNER)[-1]
        answered = {
            "message_id": asked.message_id, "date": int(time.time()), "chat": {"id": OWNER, "type": "private"},
            "text": asked.text, "from": {"id": 7700000001, "is_bot": True, "first_name": "b", "username": "b"},
        }  # fmt: skip
        await at.tells("clerk is admin", code(), extra={"reply_to_message": answered})


async def test_a_forwarded_code_and_a_late_one_are_none_and_do_not_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with office(tmp_path, monkeypatch) as at:
        await at.asks("/users role clerk admin")
        writer = {"id": STRANGER, "is_bot": False, "first_name": "A"}
        origin = {"type": "user", "date": int(time.time()), "sender_user": writer}
        assert "forwarded" in await at.asks(code(), extra={"forward_origin": origin})
        said = await at.asks(code(), date=time.time() - 90)
        assert "Expired" in said
        assert code() not in said
        await at.api.until(lambda: len(at.api.deleted) == 2)
        assert at.rows == ROWS


async def test_of_a_flood_one_person_is_told_once_and_can_still_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with office(tmp_path, monkeypatch, commands_per_minute=3) as at:
        for _ in range(12):
            at.api.say(CLERK, "/version")
        at.api.say(CLERK, "/pause")
        await at.api.until(lambda: "pause by clerk" in at.engine.calls)
        await at.api.until(lambda: any("Entries are paused" in sent.text for sent in at.api.to(CLERK)))
        await at.quiet()
        said = [sent.text for sent in at.api.to(CLERK)]
        assert sum("More than 3 commands in a minute" in one for one in said) == 1
        assert len(said) == 5
        assert "role is admin" in await at.asks("/start")


@pytest.mark.parametrize(("who", "sees"), [(OWNER, True), (CLERK, False)])
async def test_who_commands_the_bot_is_listed_for_admins_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, who: int, sees: bool
) -> None:
    """In the settings as well: whoever reads them could otherwise name the people, and their chats."""
    async with office(tmp_path, monkeypatch) as at:
        number = 1
        said = await at.asks("/config", who)
        while f"Page {number} of" in said and f"Page {number} of {number}" not in said:
            number += 1
            said += await at.asks(f"/config page {number}", who)
        assert "stale_seconds" in said
        assert (str(GROUP) in said) is sees
        assert ("clerk" in said) is sees


async def test_with_an_admin_go_the_logins_that_he_has_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone: list[int] = []
    rows = [*ROWS, {"user_id": NEW, "chat_id": NEW, "role": "admin", "name": "Ravi"}]
    async with office(tmp_path, monkeypatch, rows, logins=SimpleNamespace(forget=gone.append)) as at:
        await at.asks("/users block Ravi")
        assert gone == []
        await at.asks(code())
        assert gone == [NEW]


async def test_what_a_person_may_not_do_has_no_way_around_the_pace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [*ROWS, {"user_id": NEW, "chat_id": NEW, "role": "viewer", "name": "Ravi"}]
    async with office(tmp_path, monkeypatch, rows, commands_per_minute=3) as at:
        for _ in range(12):
            at.api.say(NEW, "/flatten " + "x" * 4000)
        at.api.say(CLERK, "/pause")
        await at.api.until(lambda: "pause by clerk" in at.engine.calls)
        await at.api.until(lambda: at.api.to(CLERK))
        await at.quiet()
        kept = [event for event in at.engine.emitted if event.kind is EventKind.COMMAND]
        assert [event.data["outcome"] for event in kept] == ["denied"] * 3 + ["allowed"]
        assert sum("More than 3 commands in a minute" in sent.text for sent in at.api.to(NEW)) == 1


async def test_a_group_with_topics_is_told_in_the_topic_where_it_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [ROWS[0], {**ROWS[1], "topic": 5}]
    async with office(tmp_path, monkeypatch, rows) as at:
        at.phones.pushes.on_event(Event(EventKind.ALERT, NOON, "", "the feed is late", Severity.RISK))
        await at.said(1, GROUP)
        sent = [call.params for call in at.api.called("sendMessage") if call.params["chat_id"] == str(GROUP)]
        assert sent[0]["message_thread_id"] == "5"
        topic = {"message_thread_id": 6, "is_topic_message": True}
        at.api.say(OWNER, "/status", GROUP, extra=topic)
        await at.quiet()
        assert len(at.api.to(GROUP)) == 1
