"""What the documents say is what there is."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from otrade_bot.brokers import listing, tokens
from otrade_bot.brokers.budget import KITE, UPSTOX
from otrade_bot.cli import main
from otrade_bot.config import ConfigManager
from otrade_bot.config.models import FILES, BrokerConfig, Notifications, TradingConfig
from otrade_bot.config.secrets import Secrets
from otrade_bot.control import stepup
from otrade_bot.control.auth import Role
from otrade_bot.control.confirm import Confirmations
from otrade_bot.control.handlers import COMMANDS
from otrade_bot.control.phone import buttons, card
from otrade_bot.control.phone.gate import Knock
from otrade_bot.core.clock import SECOND, SystemClock
from otrade_bot.core.errors import StrategyException
from otrade_bot.research import bench
from otrade_bot.research.tape import tape_folder
from otrade_bot.service import (
    authenticators,
    control_state,
    health,
    invitations,
    past_bars,
    preferences,
    watch_command,
)
from otrade_bot.service.app import FAREWELL, UNOPENED, WRITES
from otrade_bot.service.doctor import Patient, local_checks
from otrade_bot.service.doctor_broker import SKEW
from otrade_bot.service.doctor_net import net_checks
from otrade_bot.service.folder import GUESTS, WATCH, mark_of
from otrade_bot.service.health import DISK_MB
from otrade_bot.service.mouths import introduction
from otrade_bot.service.switch import USERS
from otrade_bot.strategies.base import StrategyParams
from otrade_bot.strategies.loader import load_strategy, parse_params
from tests.venues.telegram import BotApi

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TUTORIAL = (ROOT / "docs/strategies.md").read_text(encoding="utf-8")
LIVE = (ROOT / "docs/live.md").read_text(encoding="utf-8")
DOCUMENTS = (
    *("README.md", "docs/strategies.md", "docs/architecture.md", "docs/performance.md", "docs/when.md"),
    *("docs/backtest.md", "docs/optimize.md", "docs/live.md", "docs/reliability.md", "docs/tour/README.md"),
    *sorted(f"docs/cockpit/{path.name}" for path in (ROOT / "docs/cockpit").glob("*.md")),
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SET_UP = "python3 -m venv .venv && .venv/bin/pip install -q -e "


def section(title: str) -> str:
    """The text under a heading of the README, up to the next one of that level."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)
    assert found, f"README.md has no section {title!r}"
    return found.group(1)


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def requirement(line: str) -> str:
    """'python-telegram-bot[rate-limiter]>=22.8' -> 'python-telegram-bot'."""
    found = re.match(r"[A-Za-z0-9._-]+", line)
    assert found
    return found.group().lower()


# --- the two commands -------------------------------------------------------------------------------


def test_the_readme_opens_with_two_commands_of_one_line_each() -> None:
    commands = [line for line in README.splitlines()[:20] if line.startswith(SET_UP)]
    assert commands == [
        SET_UP + ". && .venv/bin/otrade-bot demo --speed 600",
        SET_UP + "'.[test]' && .venv/bin/python -m pytest -q -n 4",
    ]


def test_ci_runs_the_readmes_test_command_and_no_other() -> None:
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    pattern = re.search(r"grep -E '([^']+)' README\.md", script)
    assert pattern
    found = [line for line in README.splitlines() if re.search(pattern.group(1), line)]
    assert found == [SET_UP + "'.[test]' && .venv/bin/python -m pytest -q -n 4"]
    assert "pip install" not in script


def test_ci_is_executable_and_is_bash_without_syntax_errors() -> None:
    script = ROOT / ".ci/run"
    assert script.stat().st_mode & stat.S_IXUSR
    subprocess.run(["bash", "-n", str(script)], check=True)


# --- dependencies -----------------------------------------------------------------------------------


def test_every_dependency_has_its_reason_and_nothing_else_is_listed() -> None:
    rows = re.findall(r"^\| `([^`]+)`(?: \(([a-z, ]+)\))? \| (.+) \|$", section("Dependencies"), re.MULTILINE)
    told = {(name.lower(), kind) for name, kinds, why in rows if len(why) > 8 for kind in kinds.split(", ")}
    asked = {(requirement(line), "") for line in PROJECT["dependencies"]}
    for kind, lines in PROJECT["optional-dependencies"].items():
        asked |= {(requirement(line), kind) for line in lines}
    assert told == asked


def test_a_dependency_is_called_unused_exactly_when_nothing_imports_it() -> None:
    modules = {"python-telegram-bot": "telegram", "upstox-python-sdk": "upstox_client"}
    sources = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "otrade_bot").rglob("*.py"))
    rows = re.findall(r"^\| `([^`]+)` \| (.+) \|$", section("Dependencies"), re.MULTILINE)
    for name, why in rows:
        if name == "tzdata":  # data for others, never imported
            continue
        module = modules.get(name, name.replace("-", "_"))
        used = re.search(rf"^\s*(?:import|from) {module}\b", sources, re.MULTILINE) is not None
        assert used != why.endswith("not used yet"), name


def test_pinned_versions_cover_every_dependency_and_name_no_address() -> None:
    lines = [
        line
        for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    ]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in lines)
    pinned = {re.sub(r"[-_.]+", "-", requirement(line)) for line in lines}
    assert {requirement(line) for line in PROJECT["dependencies"]} <= pinned


# --- what is named exists ---------------------------------------------------------------------------


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if not target.startswith("https://"):
            assert (ROOT / document).parent.joinpath(target).is_file(), target
    for picture in re.findall(r'<img src="([^"]+)"', text):
        assert (ROOT / document).parent.joinpath(picture).read_bytes().startswith(b"\x89PNG"), picture


@pytest.mark.parametrize(
    "path",
    [".ci/run", ".env.example", "LICENSE", "bin/post_compile", "deploy/otrade-bot.service",
     "deploy/otrade-bot-watch.service", "requirements.txt"],
)  # fmt: skip
def test_files_named_in_the_readme_are_there(path: str) -> None:
    assert f"`{path}`" in README
    assert (ROOT / path).exists()


def test_settings_files_are_those_of_the_readme() -> None:
    assert set(re.findall(r"^\| `(\w+\.json)`", section("Settings"), re.MULTILINE)) == set(FILES)


VARIABLES = {
    *(f"OTRADE_{name.upper()}" for name in Secrets.model_fields),
    *("OTRADE_ENV", "OTRADE_CONFIG_DIR", "OTRADE_STATE_DIR", "OTRADE_CACHE_DIR"),
}


@pytest.mark.parametrize("document", [*DOCUMENTS, "deploy/otrade-bot.service"])
def test_variables_that_are_named_are_read_by_the_code(document: str) -> None:
    assert set(re.findall(r"OTRADE_[A-Z_]+", (ROOT / document).read_text(encoding="utf-8"))) <= VARIABLES


def test_the_example_lists_every_variable_and_leaves_out_only_the_cache() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"^(OTRADE_\w+)=", example, re.MULTILINE)) == VARIABLES - {"OTRADE_CACHE_DIR"}


def test_the_readme_says_what_each_variable_is_for_but_for_addresses_and_tokens_from_elsewhere() -> None:
    told = set(re.findall(r"`(OTRADE_\w+)`", "".join(re.findall(r"^\| `OTRADE.+$", section("Settings"), re.MULTILINE))))
    left = {name for name in VARIABLES if name.endswith(("_ROOT", "_URL", "_ACCESS_TOKEN"))}
    assert told == VARIABLES - left


def test_variables_counted_as_known_stand_in_the_sources() -> None:
    sources = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "otrade_bot").rglob("*.py"))
    plain = {name for name in VARIABLES if name.removeprefix("OTRADE_").lower() not in Secrets.model_fields}
    assert all(f'"{name}"' in sources for name in plain), plain


def test_commands_stand_in_the_readme_under_the_lowest_role_that_may_give_them() -> None:
    rows = re.findall(r"^\| `(viewer|operator|admin)` \| (.+) \|$", section("Who may do what"), re.MULTILINE)
    told = {role: set(re.findall(r"`/(\w+)`", text)) for role, text in rows}
    assert told == {role.word: {c.name for c in COMMANDS if c.role is role} for role in Role}


def test_notifications_of_the_readme_are_those_of_the_settings_with_their_defaults() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (on|silent|off|risk) \|", section("Who may do what"), re.MULTILINE)
    assert dict(rows) == {name: info.default for name, info in Notifications.model_fields.items()}
    assert len(rows) == len(Notifications.model_fields)


def test_a_yes_counts_as_long_as_the_readme_says() -> None:
    assert f"for {Confirmations().seconds:.0f} s, from the person who was asked" in section("Who may do what")


async def test_what_the_set_up_shows_is_what_it_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = re.findall(r"```text\n(.*?)```", section("From BotFather to the first /status"), re.DOTALL)[0]
    for name in Secrets.model_fields:
        monkeypatch.delenv(f"OTRADE_{name.upper()}", raising=False)
    monkeypatch.delenv("OTRADE_CONFIG_DIR", raising=False)
    monkeypatch.delenv("OTRADE_STATE_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    said = ""

    def link() -> str:
        nonlocal said
        said += capsys.readouterr().out
        found = re.search(r"start=([\w-]+)$", said, re.MULTILINE)
        return found.group(1) if found else ""

    async with BotApi([7]) as api:
        monkeypatch.setenv("OTRADE_TELEGRAM_TOKEN", api.token)
        monkeypatch.setenv("OTRADE_TELEGRAM_BASE_URL", api.base_url)
        done = asyncio.create_task(asyncio.to_thread(main, ["telegram", "setup"]))
        await api.until(lambda: link() and api.polling)
        api.say(7, f"/start {link()}", name="Asha")
        assert await done == 0
    said = (said + capsys.readouterr().out).replace("otrade_loopback_bot", "my_trading_bot")
    assert [line.strip() for line in shown.splitlines() if line.strip()] == re.findall(r"^\d\. .+$", said, re.MULTILINE)


def test_the_line_that_lets_the_owner_in_is_the_one_that_the_service_prints() -> None:
    page = (ROOT / "docs/cockpit/people.md").read_text(encoding="utf-8")
    shown = next(block for block in blocks(page, "text") if "A stranger wrote" in block)
    said = introduction(Knock(7, 7, name="Asha", line="/start"))
    assert [line.strip() for line in shown.splitlines()[1:] if line.strip()] == [
        line.strip().replace(os.environ.get("OTRADE_CONFIG_DIR", "config"), "config") for line in said.splitlines()
    ]


def help_of(*words: str) -> str:
    """What the command line says of itself."""
    environment = {**os.environ, "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-m", "otrade_bot", *words, "--help"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    return done.stdout


def test_commands_of_the_readme_are_those_of_the_command_line() -> None:
    named = re.findall(r"^\| `otrade-bot (\w+)`", section("Commands"), re.MULTILINE)
    assert set(named) == set(re.findall(r"^    (\w+)  ", help_of(), re.MULTILINE))


def test_options_of_the_demo_are_those_of_the_command_line() -> None:
    named = set(re.findall(r"^\| `(--[a-z-]+)", section("The demo"), re.MULTILINE))
    assert named == set(re.findall(r"--[a-z-]+", help_of("demo"))) - {"--help"}


def test_options_of_the_backtest_are_those_of_the_command_line() -> None:
    rows = re.findall(r"^\| (`--.+?) \| ", section("The backtest"), re.MULTILINE)
    named = {option for row in rows for option in re.findall(r"--[a-z-]+", row)}
    assert named == set(re.findall(r"--[a-z-]+", help_of("backtest"))) - {"--help"}


def test_options_of_the_search_are_those_of_its_page_and_of_the_backtest() -> None:
    page = (ROOT / "docs/optimize.md").read_text(encoding="utf-8")
    asked = set(re.findall(r"--[a-z-]+", help_of("optimize"))) - {"--help"}
    own = asked - set(re.findall(r"--[a-z-]+", help_of("backtest")))
    assert own <= set(re.findall(r"--[a-z][a-z-]+", page)) <= asked


def test_options_of_the_service_are_those_of_the_command_line() -> None:
    named = set(re.findall(r"^\| `(--[a-z-]+)", section("The service"), re.MULTILINE))
    assert named == set(re.findall(r"--[a-z-]+", help_of("run"))) - {"--help"}


def test_the_process_file_starts_the_service_and_its_watchdog() -> None:
    lines = (ROOT / "Procfile").read_text(encoding="utf-8").splitlines()
    assert lines == ["worker: otrade-bot run", "watch: otrade-bot watch"]
    assert all(f"`{line}`" in section("Deployment") for line in lines)
    assert re.search(r"^    run  ", help_of(), re.MULTILINE)


def unit(name: str = "otrade-bot") -> dict[str, str]:
    """What deploy/NAME.service sets."""
    lines = (ROOT / f"deploy/{name}.service").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if re.match(r"[A-Z]\w+=", line))


def test_the_unit_starts_the_service_again_and_waits_for_its_farewell() -> None:
    given = unit()
    assert given["ExecStart"].endswith("/bin/otrade-bot run")
    assert given["Restart"] == "always"
    assert given["KillSignal"] == "SIGTERM"
    assert int(given["TimeoutStopSec"]) > WRITES + FAREWELL
    assert f"gives it {given['TimeoutStopSec']} s for a" in section("Deployment")


def test_the_unit_keeps_what_the_service_writes_where_it_may_write() -> None:
    given = unit()
    assert given["ProtectSystem"] == "strict"
    assert given["NoNewPrivileges"] == "yes"
    assert given["WorkingDirectory"] == f"/var/lib/{given['StateDirectory']}"
    assert f"OTRADE_CACHE_DIR=/var/cache/{given['CacheDirectory']}" in given["Environment"]


def test_the_watchdogs_unit_works_where_the_services_does() -> None:
    service, watchdog = unit(), unit("otrade-bot-watch")
    assert watchdog["ExecStart"] == service["ExecStart"].removesuffix("run") + "watch"
    for same in ("User", "WorkingDirectory", "StateDirectory", "Restart", "UMask", "ProtectSystem", "NoNewPrivileges"):
        assert watchdog[same] == service[same]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine")
def test_systemd_finds_no_fault_in_the_unit(tmp_path: Path) -> None:
    text = (ROOT / "deploy/otrade-bot.service").read_text(encoding="utf-8")
    here = re.sub(r"^ExecStart=\S+", f"ExecStart={sys.executable}", text, flags=re.MULTILINE)
    path = tmp_path / "otrade-bot.service"
    path.write_text(re.sub(r"^User=\w+", "User=root", here, flags=re.MULTILINE), encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", str(path)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, [line for line in done.stderr.splitlines() if str(path) in line]) == (0, [])


def test_files_of_the_state_folder_are_those_that_the_service_writes() -> None:
    rows = re.findall(r"^\| (`.+?) \| ", section("What is kept"), re.MULTILINE)
    told = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    assert told == {
        "journal/YYYY-MM-DD.jsonl", "paper.jsonl", control_state.FILE, "outbox.jsonl", health.FILE, "logs/",
        UNOPENED, *map(mark_of, GUESTS), "lock", tokens.FILE, USERS, f"{listing.FOLDER}/", f"{past_bars.FOLDER}/",
        authenticators.FILE, f"{WATCH}/", "past/", "pictures/", f"{tape_folder(Path()).name}/",
    }  # fmt: skip


def test_what_control_json_holds_of_others_is_named_by_its_keys() -> None:
    row = re.findall(r"^\| `control\.json` \| (.+) \|$", section("What is kept"), re.MULTILINE)[0]
    assert set(re.findall(r"`(\w+)`", row)) == {card.KEY, buttons.SHELF, stepup.KEY, preferences.KEY, invitations.KEY}


def test_the_watchdogs_files_are_those_of_the_readme() -> None:
    row = re.findall(r"^\| `watch/` \| (.+) \|$", section("What is kept"), re.MULTILINE)[0]
    assert re.findall(r"`([^`]+)`", row) == [watch_command.STATE, watch_command.LOG]


def test_the_parts_of_the_memory_are_those_that_the_bench_measures() -> None:
    page = (ROOT / "docs/performance.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `rss_part_(\w+)` \|", page, re.MULTILINE)
    assert sorted(told) == sorted(("interpreter", *bench._LOADED))


def test_rooms_and_files_of_the_architecture_are_there() -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[^|]+) \|", page, re.MULTILINE)
    assert len(rows) > 50
    for row in rows:
        folder = ROOT / "otrade_bot"
        for name in re.findall(r"`([\w/.]+)`", row):
            spots = [place / end for place in (ROOT / "otrade_bot", folder) for end in (name, f"{name}.py")]
            found = next((number for number, spot in enumerate(spots) if spot.exists()), None)
            assert found is not None, f"{row}: {name}"
            folder = spots[found].parent if found < 2 else folder


def test_every_page_of_the_docs_is_linked_from_the_readme_or_the_architecture() -> None:
    both = README + (ROOT / "docs/architecture.md").read_text("utf-8")
    linked = set(re.findall(r"\]\((?:docs/)?([\w/]+\.md)\)", both))
    assert {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")} <= linked


# --- trading live -----------------------------------------------------------------------------------


def test_the_checks_of_the_page_are_those_of_the_doctor_in_their_order(tmp_path: Path) -> None:
    told = re.findall(r"^\| `([\w ]+)` \| ", LIVE, re.MULTILINE)
    patient = Patient(ConfigManager(tmp_path).load(create=False), Secrets(_env_file=None), tmp_path, SystemClock())
    checks, _ = net_checks(patient)
    assert told == ["configuration", *(name for name, *_ in (*local_checks(patient), *checks))]


def test_the_live_settings_of_the_page_are_accepted(tmp_path: Path) -> None:
    given = re.findall(r"```json\n(.*?)```", LIVE, re.DOTALL)
    assert len(given) == 1
    (tmp_path / "brokers.json").write_text(given[0], encoding="utf-8")
    for mode in ("paper", "live"):
        (tmp_path / "trading.json").write_text(f'{{"mode": "{mode}"}}', encoding="utf-8")
        assert ConfigManager(tmp_path).load(create=False).brokers.primary == "kite"


def test_limits_of_the_page_are_those_that_are_kept() -> None:
    windows = {"second": SECOND, "minute": 60 * SECOND, "half hour": 1800 * SECOND}
    assert [window.span for limits in (KITE, UPSTOX) for window in limits.windows] == [
        windows["second"], windows["minute"], *windows.values()
    ]  # fmt: skip
    kite, upstox = ([window.most for window in limits.windows] for limits in (KITE, UPSTOX))
    said = " ".join(LIVE.split())
    assert f"Kite takes {kite[0]} order writes a second, {kite[1]} a minute and {KITE.a_day:,} orders a day" in said
    assert f"Upstox {upstox[0]}, {upstox[1]}, and {upstox[2]:,} in half an hour" in said
    assert f"nearer than {BrokerConfig().gtt_distance_percent} %" in said
    assert f"less than {DISK_MB} MB" in said
    assert f"more than {SKEW:.0f} s off" in said


# --- the tutorial -----------------------------------------------------------------------------------


def test_the_tutorials_strategy_is_short_and_passes_the_loader(tmp_path: Path) -> None:
    source, *more = blocks(TUTORIAL, "python")
    assert not more
    assert len(source.splitlines()) <= 30
    (tmp_path / "rebound.py").write_text(source, encoding="utf-8")
    strategy = load_strategy("rebound", tmp_path)
    assert parse_params(strategy, {"length": 10}).warmup() == 50
    assert strategy.path == tmp_path / "rebound.py"


def test_the_tutorials_settings_are_accepted(tmp_path: Path) -> None:
    (tmp_path / "rebound.py").write_text(blocks(TUTORIAL, "python")[0], encoding="utf-8")
    given = TradingConfig.model_validate_json(blocks(TUTORIAL, "json")[0]).strategies[0]
    assert parse_params(load_strategy(given.name, tmp_path), given.params).warmup() == 50


def test_the_tutorials_table_has_the_defaults_that_hold() -> None:
    shown = dict(re.findall(r"^\| `(\w+)` \| ([\w.]+) \|", TUTORIAL, re.MULTILINE))
    real = {name: info.default for name, info in StrategyParams.model_fields.items()}
    words = {True: "yes", False: "no"}
    assert shown == {k: words[v] if isinstance(v, bool) else str(v) for k, v in real.items()}


def test_the_tutorials_error_is_what_a_misspelt_name_gives(tmp_path: Path) -> None:
    source = blocks(TUTORIAL, "python")[0]
    told = blocks(TUTORIAL, "text")[0].strip()
    number = int(told.split(":")[1])
    lines = source.splitlines()
    assert "s.bars" in lines[number - 1]
    lines[number - 1] = lines[number - 1].replace("s.bars", "s.bar", 1)
    path = tmp_path / "rebound.py"
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(StrategyException) as caught:
        load_strategy("rebound", tmp_path)
    assert str(caught.value).replace(str(path), "my_strategies/rebound.py") == told
