"""``telegram setup`` and ``telegram totp``: the real commands, the real library, a Bot API on 127.0.0.1."""

from __future__ import annotations

import asyncio
import io
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyotp
import pytest

from otrade_bot.brokers import vault
from otrade_bot.cli import main
from otrade_bot.config.secrets import Secrets
from otrade_bot.core.masking import forget_secrets
from otrade_bot.service import telegram_setup
from otrade_bot.service.authenticators import FILE, Authenticators
from otrade_bot.service.folder import only_one
from tests.venues.telegram import BadGateway, BotApi, Conflict, Unauthorized

OWNER, THIEF, GROUP = 7_700_000_123, 666, -1001234567890
KEY = "a long enough passphrase"


class Machine:
    """A fresh machine with nothing but a token; ``out`` and ``err`` are what its terminal has shown so far."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.out, self.err, self._capsys = folder, "", "", capsys
        self.file = folder / "config" / "telegram.json"

    def read(self) -> str:
        new = self._capsys.readouterr()
        self.out, self.err = self.out + new.out, self.err + new.err
        return self.out

    @property
    def users(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.file.read_text())["users"]
        return found

    async def code(self, api: BotApi) -> str:
        """That of the link on the screen, once somebody waits for it."""
        await api.until(lambda: "start=" in self.read() and api.polling)
        found = re.search(r"^https://t\.me/\w+\?start=([\w-]+)$", self.out, re.M)
        assert found is not None
        return found[1]


@pytest.fixture
def machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Machine]:
    for name in Secrets.model_fields:
        monkeypatch.delenv(f"OTRADE_{name.upper()}", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OTRADE_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("OTRADE_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("OTRADE_ENV", "dev")
    monkeypatch.setattr(vault, "COST", 2**4)
    monkeypatch.setattr(telegram_setup, "POLL_S", 1)
    monkeypatch.setattr(telegram_setup, "AGAIN_S", 0.01)
    yield Machine(tmp_path, capsys)
    forget_secrets()


def connect(patch: pytest.MonkeyPatch, api: BotApi) -> None:
    patch.setenv("OTRADE_TELEGRAM_TOKEN", api.token)
    patch.setenv("OTRADE_TELEGRAM_BASE_URL", api.base_url)
    patch.setenv("OTRADE_TELEGRAM_BASE_FILE_URL", api.base_file_url)


def started(*words: str) -> asyncio.Task[int]:
    return asyncio.create_task(asyncio.to_thread(main, ["telegram", "setup", *words]))


async def test_from_nothing_but_a_token_to_an_owner_who_has_a_message(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with BotApi([OWNER]) as api:
        connect(monkeypatch, api)
        done = started()
        api.say(OWNER, f"/start {await machine.code(api)}", name="Asha")
        assert await done == 0
        assert machine.users == [{"user_id": OWNER, "chat_id": OWNER, "role": "admin", "name": "Asha"}]
        assert "OTrade Bot is set up" in api.to(OWNER)[0].text
        assert len(api.sent) == 1
        assert [call.method.lower() for call in api.calls].count("setmycommands") == 1
        assert not api.waiting
    assert "█" in machine.read()
    assert api.token not in machine.out + machine.err
    assert json.loads(machine.file.read_text())["notifications"]


async def test_only_who_brings_the_code_to_the_private_chat_himself_is_the_owner(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with BotApi([OWNER, THIEF, GROUP]) as api:
        connect(monkeypatch, api)
        done = started()
        code = await machine.code(api)
        writer = {"id": OWNER, "is_bot": False, "first_name": "A"}
        origin = {"type": "user", "date": int(time.time()), "sender_user": writer}
        api.say(THIEF, "/start")
        api.say(THIEF, f"/start {code[:-1]}x")
        api.say(THIEF, f"/start {code} now")
        api.say(THIEF, code)
        api.say(THIEF, f"/start {code}", GROUP)
        api.say(THIEF, f"/start {code}", extra={"forward_origin": origin})
        api.say(OWNER, f"/start {code}")
        assert await done == 0
        assert [one["user_id"] for one in machine.users] == [OWNER]
        assert {sent.chat_id for sent in api.sent} == {OWNER}


async def test_interrupted_while_it_waits_nothing_has_changed_and_the_old_link_opens_nothing(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with BotApi([OWNER]) as api:
        connect(monkeypatch, api)
        from otrade_bot.config import ConfigManager
        from otrade_bot.config.secrets import load_secrets

        manager = ConfigManager(machine.folder / "config", "dev")
        manager.load(create=True)
        first = asyncio.create_task(telegram_setup._set_up(load_secrets(None), manager, again=False))
        old = await machine.code(api)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert machine.users == []
        machine.out = ""
        done = started()
        code = await machine.code(api)
        assert code != old
        api.say(OWNER, f"/start {old}")
        await api.until(lambda: not api.waiting)
        assert machine.users == []
        api.say(OWNER, f"/start {code}")
        assert await done == 0


async def test_a_network_that_fails_meanwhile_is_said_once_and_waited_for(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with BotApi([OWNER]) as api:
        connect(monkeypatch, api)
        done = started()
        code = await machine.code(api)
        api.fail("getUpdates", BadGateway(), 3)
        await api.until(lambda: sum(call.method == "getUpdates" for call in api.calls) > 5)
        api.say(OWNER, f"/start {code}")
        assert await done == 0
        machine.read()
        assert machine.err.count("Telegram says") == 1


async def test_other_users_and_every_other_byte_stay(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.file.parent.mkdir()
    before = '{\n  "users": [\n    {"user_id": 8,  "chat_id": 8, "name": "Asha"}\n  ],\n  "stale_seconds":90 }\n'
    machine.file.write_text(before)
    async with BotApi([OWNER, 8]) as api:
        connect(monkeypatch, api)
        done = started()
        api.say(OWNER, f"/start {await machine.code(api)}", name="Asha")
        assert await done == 0
    row = f'{{"user_id": {OWNER}, "chat_id": {OWNER}, "role": "admin", "name": "Asha 2"}}'
    assert machine.file.read_text() == before.replace('"Asha"}', f'"Asha"}},\n    {row}')


async def test_who_was_blocked_here_and_comes_by_the_link_commands_again(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.file.parent.mkdir()
    user = {"user_id": OWNER, "chat_id": OWNER, "role": "viewer", "name": "me", "blocked": True}
    machine.file.write_text(json.dumps({"users": [user]}))
    async with BotApi([OWNER]) as api:
        connect(monkeypatch, api)
        done = started()
        api.say(OWNER, f"/start {await machine.code(api)}")
        assert await done == 0
    assert machine.users == [{"user_id": OWNER, "chat_id": OWNER, "role": "admin", "name": "me"}]


async def test_with_an_admin_it_only_tests_unless_another_one_is_wanted(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.file.parent.mkdir()
    machine.file.write_text(json.dumps({"users": [{"user_id": 8, "chat_id": 8, "role": "admin", "name": "first"}]}))
    async with BotApi([OWNER, 8]) as api:
        connect(monkeypatch, api)
        assert await started() == 0
        assert "start=" not in machine.read()
        assert "set up" in api.to(8)[0].text
        done = started("--again")
        api.say(OWNER, f"/start {await machine.code(api)}")
        assert await done == 0
        assert [one["user_id"] for one in machine.users] == [8, OWNER]


async def test_a_wrong_token_is_one_line_and_touches_nothing(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with BotApi([OWNER]) as api:
        connect(monkeypatch, api)
        api.fail("getMe", Unauthorized())
        assert await started() == 2
        machine.read()
        assert machine.err.count("\n") == 1
        assert "OTRADE_TELEGRAM_TOKEN" in machine.err
        assert api.token not in machine.err
        assert machine.users == []


async def test_somebody_else_who_asks_for_its_messages_is_named(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with BotApi([OWNER]) as api:
        connect(monkeypatch, api)
        api.fail("getUpdates", Conflict(), None)
        assert await started() == 1
        machine.read()
        assert "Another program asks for this bot's updates" in machine.err
        assert machine.users == []


def test_without_a_token_it_says_where_one_comes_from(machine: Machine) -> None:
    assert main(["telegram", "setup"]) == 2
    machine.read()
    assert "@BotFather" in machine.err


async def test_beside_a_service_that_runs_it_says_what_to_do(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    async with BotApi([OWNER]) as api:
        connect(monkeypatch, api)
        with only_one(machine.folder / "state"):
            assert await started() == 2
        machine.read()
        assert "/users invite" in machine.err
        assert not api.calls


# --- an authenticator ------------------------------------------------------------------------------------


def enrolled(machine: Machine, user_id: int) -> bool:
    return Authenticators(machine.folder / "state" / FILE, KEY).enrolled(user_id)


class Typist:
    """Types what a person does who sees the screen; each answer is made when it is asked for."""

    def __init__(self, machine: Machine, *answers: Callable[[str], str]) -> None:
        self.machine, self.answers = machine, list(answers)

    def readline(self) -> str:
        return self.answers.pop(0)(self.machine.read()) + "\n"

    def isatty(self) -> bool:
        return False


def right(screen: str) -> str:
    return pyotp.TOTP(shown(screen)).now()


def shown(screen: str) -> str:
    found = re.findall(r"Or type: ([A-Z2-7 ]+)", screen)
    return str(found[-1]).replace(" ", "")


def people(machine: Machine, *names: str) -> None:
    machine.file.parent.mkdir(exist_ok=True)
    rows = [{"user_id": 7 + at, "chat_id": 7 + at, "role": "admin", "name": name} for at, name in enumerate(names)]
    machine.file.write_text(json.dumps({"users": rows}))


def typed(patch: pytest.MonkeyPatch, machine: Machine, *answers: Callable[[str], str]) -> None:
    patch.setattr(sys, "stdin", Typist(machine, *answers))


def test_an_authenticator_is_kept_once_it_has_shown_a_code_and_nothing_of_it_is_readable(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    people(machine, "owner")
    monkeypatch.setenv("OTRADE_SECRET_KEY", KEY)
    typed(monkeypatch, machine, lambda screen: "000000x", right)
    assert main(["telegram", "totp"]) == 0
    assert enrolled(machine, 7)
    store = Authenticators(machine.folder / "state" / FILE, KEY)
    seed = store.seed(7)
    assert seed is not None
    assert seed.secret == shown(machine.out)
    assert seed.secret not in (machine.folder / "state" / FILE).read_text()
    assert seed.secret not in repr(seed)
    assert (machine.folder / "state" / FILE).stat().st_mode & 0o777 == 0o600
    assert "█" in machine.out


def test_three_wrong_codes_keep_nothing(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    people(machine, "owner")
    monkeypatch.setenv("OTRADE_SECRET_KEY", KEY)
    typed(monkeypatch, machine, *[lambda screen: "12345"] * 3)
    assert main(["telegram", "totp"]) == 1
    assert not enrolled(machine, 7)


def test_another_one_replaces_the_old_one_only_after_a_yes(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    people(machine, "owner")
    monkeypatch.setenv("OTRADE_SECRET_KEY", KEY)
    typed(monkeypatch, machine, right, lambda screen: "no", lambda screen: "yes", right)
    assert main(["telegram", "totp", "OWNER"]) == 0
    store = Authenticators(machine.folder / "state" / FILE, KEY)
    first = store.seed(7)
    assert main(["telegram", "totp", "7"]) == 1
    assert store.seed(7) == first
    assert main(["telegram", "totp", "7"]) == 0
    second = store.seed(7)
    assert first is not None
    assert second is not None
    assert second.mark != first.mark
    assert main(["telegram", "totp", "--remove"]) == 0
    assert not enrolled(machine, 7)


def test_of_somebody_who_is_gone_it_is_taken_away_by_number(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    people(machine, "owner")
    monkeypatch.setenv("OTRADE_SECRET_KEY", KEY)
    Authenticators(machine.folder / "state" / FILE, KEY).save(4242, "A" * 32, 0)
    assert main(["telegram", "totp", "--remove", "4242"]) == 0
    assert not enrolled(machine, 4242)


@pytest.mark.parametrize("words", [[], ["nobody"]])
def test_whose_it_is_must_be_clear(machine: Machine, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    people(machine, "asha", "ravi")
    monkeypatch.setenv("OTRADE_SECRET_KEY", KEY)
    assert main(["telegram", "totp", *words]) == 2
    machine.read()
    assert "asha 7, ravi 8" in machine.err


def test_without_a_key_nothing_is_kept_and_nothing_is_shown(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    people(machine, "owner")
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert main(["telegram", "totp"]) == 2
    assert "type:" not in machine.read()
    assert "OTRADE_SECRET_KEY" in machine.err
