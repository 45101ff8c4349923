"""Log files: four streams, JSON, IST, rotated, private, and masked whoever wrote the line."""

from __future__ import annotations

import json
import logging
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otrade_bot.core.clock import from_iso
from otrade_bot.core.errors import ConfigException
from otrade_bot.core.masking import forget_secrets
from otrade_bot.service import logs

BOT = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    forget_secrets()
    logs.configure(tmp_path)
    yield tmp_path
    logs.shutdown()
    forget_secrets()


def lines(state: Path, stream: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (state / "logs" / f"{stream}.log").read_text().splitlines()]


def everything(state: Path) -> str:
    return "".join(path.read_text() for path in (state / "logs").iterdir())


def test_each_stream_has_its_file_and_errors_are_in_two(state: Path) -> None:
    logs.get_logger("system").info("up", n=1)
    logs.get_logger("trade").error("refused", symbol="NSE:X", price=2155.05)
    logs.get_logger("error").error("broken")
    with logs.timed("frame", size=3):
        pass
    assert [line["event"] for line in lines(state, "system")] == ["up"]
    assert [line["event"] for line in lines(state, "error")] == ["refused", "broken"]
    (line,) = lines(state, "trade")
    assert from_iso(line.pop("ts")) > 0
    assert line == {
        "level": "error",
        "stream": "trade",
        "event": "refused",
        "symbol": "NSE:X",
        "price": 2155.05,
    }
    (line,) = lines(state, "performance")
    assert (line["event"], line["size"], line["ok"]) == ("frame", 3, True)
    assert line["ms"] >= 0


def test_times_are_indian(state: Path) -> None:
    logs.get_logger().info("x")
    assert lines(state, "system")[0]["ts"].endswith("+05:30")


def test_a_timed_block_that_fails_is_noted_and_still_fails(state: Path) -> None:
    with pytest.raises(KeyError), logs.timed("login"):
        raise KeyError("access_token")
    (line,) = lines(state, "performance")
    assert (line["ok"], line["error"]) == (False, "KeyError")


def test_the_level_is_obeyed_and_a_wrong_one_refused(tmp_path: Path) -> None:
    logs.configure(tmp_path, level="warning")
    logs.get_logger().info("low")
    logs.get_logger().warning("high")
    logs.shutdown()
    assert [line["event"] for line in lines(tmp_path, "system")] == ["high"]
    with pytest.raises(ConfigException, match="loud"):
        logs.configure(tmp_path, level="loud")
    with pytest.raises(ConfigException, match="stream"):
        logs.get_logger("other")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigException, match="cannot be written"):
        logs.configure(tmp_path / "file")


def test_files_are_private_and_rotate(tmp_path: Path) -> None:
    logs.configure(tmp_path, max_bytes=2_000, backups=2)
    for n in range(100):
        logs.get_logger().info("line", n=n, padding="x" * 100)
    logs.shutdown()
    files = sorted((tmp_path / "logs").glob("system.log*"))
    assert [path.name for path in files] == ["system.log", "system.log.1", "system.log.2"]
    assert all(path.stat().st_size <= 2_000 and stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)
    assert lines(tmp_path, "system")[-1]["n"] == 99


def test_configuring_again_moves_to_the_new_place_without_doubling(tmp_path: Path) -> None:
    for name in ("a", "b", "b"):
        logs.configure(tmp_path / name)
    logs.get_logger().info("once")
    logs.shutdown()
    logs.get_logger().error("dropped")
    assert lines(tmp_path / "a", "system") == []
    assert [line["event"] for line in lines(tmp_path / "b", "system")] == ["once"]


def test_libraries_log_to_the_system_stream_from_warning_and_masked(state: Path) -> None:
    for name in (
        "httpx",
        "apscheduler.scheduler",
        "urllib3.connectionpool",
        "kiteconnect.ticker",
    ):
        library = logging.getLogger(name)
        library.info("HTTP Request: POST https://api.telegram.org/bot%s/getMe", BOT)
        library.warning("POST https://api.telegram.org/bot%s/getMe %s", BOT, {"access_token": "v4lue"})
    found = lines(state, "system")
    assert [line["logger"].partition(".")[0] for line in found] == [
        *("httpx", "apscheduler", "urllib3", "kiteconnect")
    ]
    assert {line["level"] for line in found} == {"warning"}
    assert BOT not in everything(state)
    assert "v4lue" not in everything(state)


def test_the_phones_library_is_heard_only_when_it_is_critical_and_masked(state: Path) -> None:
    library = logging.getLogger("telegram.request.BaseRequest")
    library.error("Bad Gateway: <html>a page</html>")
    library.critical("POST https://api.telegram.org/bot%s/getUpdates", BOT)
    assert [line["level"] for line in lines(state, "system")] == ["critical"]
    assert BOT not in everything(state)


def test_a_secret_split_over_the_arguments_of_a_library_is_put_together_before_masking(state: Path) -> None:
    logs.register_secret("left-half-right-half")
    logging.getLogger("urllib3").error("%s%s", "left-half-", "right-half")
    assert "right-half" not in everything(state)


def test_tracebacks_chained_exceptions_and_their_arguments_are_masked(state: Path) -> None:
    logs.register_secret("tr4ceback-secret")
    try:
        try:
            raise ValueError("tr4ceback-secret", {"password": "v4lue9"})
        except ValueError as error:
            raise RuntimeError(f"login with https://x/?access_token=v4lue8 {error}") from error
    except RuntimeError as error:
        logs.get_logger().exception("failed", cause=error, args=error.args)
        logging.getLogger("kiteconnect").exception("failed too: %r", error)
    written = everything(state)
    assert not [word for word in ("tr4ceback-secret", "v4lue9", "v4lue8") if word in written]
    for line in lines(state, "error"):
        assert line["exception"].startswith("Traceback")
        assert "RuntimeError: login with" in line["exception"]
    assert len(lines(state, "error")) == len(lines(state, "system")) == 2


def test_bound_values_keys_and_odd_field_names_are_masked_and_kept(state: Path) -> None:
    logs.register_secret("b0und-secret")
    log = logs.get_logger().bind(session="b0und-secret", api_key="v4lue")
    log.info("b0und-secret", **{"b0und-secret": 1, "level": "mine", "ts": 7})
    assert "b0und-secret" not in everything(state)
    (line,) = lines(state, "system")
    assert (line["level"], line["level_"], line["ts_"], line["api_key"]) == (
        "info",
        "mine",
        7,
        logs.mask("***"),
    )


def test_a_secret_made_of_json_itself_never_comes_together_in_the_rendering(state: Path) -> None:
    secret = '"event":"x","a":'
    logs.register_secret(secret)
    logs.get_logger().info("x", a=1)
    assert secret not in everything(state)
    assert "withheld" in lines(state, "system")[0]["event"]


def test_a_line_break_in_a_value_cannot_forge_a_line(state: Path) -> None:
    logs.get_logger().info('x\n{"event":"forged"}')
    assert len(lines(state, "system")) == 1


def test_the_console_is_standard_error_masked_and_one_line_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forget_secrets()
    logs.register_secret("c0nsole-secret")
    logs.configure(tmp_path, console=True)
    logs.get_logger("trade").info("bought\x1b[2J\nforged", symbol="NSE:X", a=["c0nsole-secret"])
    logging.getLogger("httpx").warning("bot%s", BOT)
    logs.shutdown()
    forget_secrets()
    out, err = capsys.readouterr()
    assert out == ""
    assert "INFO     trade: bought\\x1b[2J\\x0aforged symbol=NSE:X a=['***']" in err
    assert len(err.splitlines()) == 2
    assert "c0nsole-secret" not in err
    assert BOT not in err


def test_a_full_disk_stops_nothing_and_prints_no_record(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = next(
        h for h in logging.getLogger("otrade.trade").handlers if isinstance(h, logging.FileHandler)
    )
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, handler.stream.fileno())
    os.close(full)
    logs.get_logger("trade").info("bought", note="private words")
    err = capsys.readouterr().err
    assert "trade.log: a log line was lost: [Errno 28]" in err
    assert "private words" not in err


_BEFORE = """
import logging, sys
from otrade_bot.service import logs
logs.get_logger("error").error("early", access_token="v4lue")
assert "twisted" not in sys.modules, "Twisted was imported"
assert "structlog.twisted" not in sys.modules
"""


def test_nothing_is_printed_before_configure_and_twisted_stays_out() -> None:
    child = subprocess.run(
        [sys.executable, "-c", _BEFORE], capture_output=True, text=True, timeout=60, check=False
    )
    assert (child.returncode, child.stdout, child.stderr) == (0, "", "")
