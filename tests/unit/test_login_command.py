"""``otrade-bot login`` as it is typed: a process of its own against the loopback brokers, by pipe and terminal."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from login_room import KITE_USER, UPSTOX_USER, LoginRoom, login_room

from otrade_bot.brokers.tokens import FILE, Token, TokenStore
from otrade_bot.cli import main
from otrade_bot.config.secrets import Secrets
from otrade_bot.core.masking import forget_secrets
from otrade_bot.service.callback import notify_path
from tests.venues.upstox import UpstoxApi

KEY = "the key of this test"


def environment(room: LoginRoom, folder: Path, **more: str) -> dict[str, str]:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("OTRADE_")}
    given = {
        **room.kite.environment(), **room.upstox.environment(), "OTRADE_KITE_ACCESS_TOKEN": "",
        "OTRADE_UPSTOX_ACCESS_TOKEN": "", "OTRADE_SECRET_KEY": KEY, "OTRADE_STATE_DIR": str(folder / "state"),
        "OTRADE_CONFIG_DIR": str(folder / "config"), **more,
    }  # fmt: skip
    return {**bare, **given}


async def start(room: LoginRoom, folder: Path, *words: str, **more: Any) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "otrade_bot", "login", *words, cwd=folder, env=environment(room, folder),
        **{"stdin": pipe, "stdout": pipe, "stderr": pipe, **more},
    )  # fmt: skip


async def line_of(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 30)).decode().strip()


def stored(folder: Path, broker: str) -> Token | None:
    return TokenStore(folder / "state" / FILE, KEY).load(broker)


@pytest.mark.parametrize(("broker", "user"), [("kite", KITE_USER), ("upstox", UPSTOX_USER)])
async def test_a_login_from_a_pipe_keeps_the_token_and_prints_none(tmp_path: Path, broker: str, user: str) -> None:
    async with login_room(tmp_path) as room:
        process = await start(room, tmp_path, broker)
        back = room.browse(broker, await line_of(process))
        out, err = await asyncio.wait_for(process.communicate(f"{back}\n".encode()), 30)
        assert process.returncode == 0
        assert out.decode().startswith(f"Logged in to {broker.capitalize()} as {user}.")
        token = stored(tmp_path, broker)
        assert token is not None
        assert token.user == user
        for secret in (token.value, "loopbackrequest", "code=code"):
            assert secret.encode() not in out + err
        assert ((tmp_path / "state" / FILE).stat().st_mode & 0o777) == 0o600


async def test_at_a_terminal_what_is_pasted_is_not_echoed(tmp_path: Path) -> None:
    async with login_room(tmp_path) as room:
        ours, theirs = pty.openpty()
        process = await start(
            room, tmp_path, "kite", stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),
        )  # fmt: skip
        os.close(theirs)
        seen = b""

        async def until(words: bytes) -> None:
            nonlocal seen
            while words not in seen:
                more = await asyncio.wait_for(asyncio.to_thread(os.read, ours, 65536), 30)
                assert more, seen
                seen += more

        await until(b"Address (it is not shown): ")
        url = next(word for word in seen.decode().split() if word.startswith("http"))
        os.write(ours, f"{room.kite.log_in(url)}\n".encode())
        await until(b"Logged in to Kite")
        assert b"loopbackrequest" not in seen
        assert await asyncio.wait_for(process.wait(), 30) == 0
        os.close(ours)


@pytest.mark.parametrize(("word", "code"), [("yes", 0), ("no", 1), ("", 1)])
async def test_another_account_is_asked_about(tmp_path: Path, word: str, code: int) -> None:
    async with login_room(tmp_path) as room:
        TokenStore(tmp_path / "state" / FILE, KEY).save("kite", Token("yesterdays-token", "ZZ9999", 1, 2))
        process = await start(room, tmp_path, "kite")
        back = room.kite.log_in(await line_of(process))
        out, _ = await asyncio.wait_for(process.communicate(f"{back}\n{word}\n".encode()), 30)
        assert process.returncode == code
        assert "until now it was ZZ9999" in out.decode()
        token = stored(tmp_path, "kite")
        assert token is not None
        assert token.user == (KITE_USER if code == 0 else "ZZ9999")


async def test_a_wrong_address_is_one_line_and_code_1(tmp_path: Path) -> None:
    async with login_room(tmp_path) as room:
        process = await start(room, tmp_path, "kite")
        back = room.kite.log_in(await line_of(process)).replace("state=", "state=x")
        _, err = await asyncio.wait_for(process.communicate(f"{back}\n".encode()), 30)
        assert process.returncode == 1
        last = err.decode().splitlines()[-1]
        assert last.startswith("otrade-bot: No open login of yours has that state")
        assert "Traceback" not in err.decode()
        assert stored(tmp_path, "kite") is None


async def test_consent_in_upstoxs_app_comes_to_the_waiting_command(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "config").mkdir()
    settings = {"login": {"listen": f"127.0.0.1:{port}"}}
    (tmp_path / "config" / "brokers.json").write_text(json.dumps(settings))
    async with login_room(tmp_path) as room:
        TokenStore(tmp_path / "state" / FILE, KEY).save("upstox", Token("yesterdays-token", UPSTOX_USER, 1, 2))
        process = await start(room, tmp_path, "upstox", "--approve")
        assert process.stderr is not None
        said = b""
        while b"asks you in its app" not in said:
            said += (more := await asyncio.wait_for(process.stderr.readline(), 30))
            assert more, said
        told = {"client_id": UpstoxApi.API_KEY, "access_token": room.upstox.token, "message_type": "access_token"}
        async with httpx.AsyncClient(trust_env=False) as client:
            await client.post(f"http://127.0.0.1:{port}{notify_path(KEY)}", json=told)
        out, _ = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 0
        assert out.decode().startswith(f"Logged in to Upstox as {UPSTOX_USER}.")
        assert notify_path(KEY).encode() in said


# --- what is wrong before anybody logs in -----------------------------------------------------------


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.chdir(tmp_path)
    for name in Secrets.model_fields:
        monkeypatch.delenv(f"OTRADE_{name.upper()}", raising=False)
    monkeypatch.setenv("OTRADE_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("OTRADE_CONFIG_DIR", str(tmp_path / "config"))
    return monkeypatch


@pytest.mark.parametrize(
    ("words", "given", "said"),
    [
        (["login"], {}, "no broker of these settings wants a login"),
        (["login", "kite"], {}, "OTRADE_SECRET_KEY: is not set, and nothing is kept unencrypted"),
        (["login", "kite"], {"OTRADE_SECRET_KEY": KEY}, "OTRADE_KITE_API_KEY: is not set"),
        (["login", "upstox"], {"OTRADE_SECRET_KEY": KEY, "OTRADE_UPSTOX_API_KEY": "k", "OTRADE_UPSTOX_API_SECRET": "s"},
         "OTRADE_UPSTOX_REDIRECT_URI: is not set"),
        (["login", "upstox", "--approve"],
         {"OTRADE_SECRET_KEY": KEY, "OTRADE_UPSTOX_API_KEY": "k", "OTRADE_UPSTOX_API_SECRET": "s",
          "OTRADE_UPSTOX_REDIRECT_URI": "https://x/"},
         "brokers.json: login.listen: is not set"),
    ],
)  # fmt: skip
def test_what_is_missing_is_one_line_and_code_2(
    bare: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], given: dict[str, str], said: str
) -> None:
    for name, value in given.items():
        bare.setenv(name, value)
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert len(err.splitlines()) == 1
    forget_secrets()


def test_a_broker_that_there_is_none_of_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with suppress(SystemExit):
        main(["login", "zerodha"])
    assert "invalid choice: 'zerodha'" in capsys.readouterr().err
