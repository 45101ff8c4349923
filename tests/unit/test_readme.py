"""What the documents say is what there is."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from otrade_bot.config.models import FILES, TradingConfig
from otrade_bot.control.handlers import COMMANDS
from otrade_bot.core.errors import StrategyException
from otrade_bot.strategies.base import StrategyParams
from otrade_bot.strategies.loader import load_strategy, parse_params

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TUTORIAL = (ROOT / "docs/strategies.md").read_text(encoding="utf-8")
DOCUMENTS = ("README.md", "docs/strategies.md", "docs/architecture.md")
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
        SET_UP + "'.[test]' && .venv/bin/python -m pytest -q",
    ]


def test_ci_runs_the_readmes_test_command_and_no_other() -> None:
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    pattern = re.search(r"grep -E '([^']+)' README\.md", script)
    assert pattern
    found = [line for line in README.splitlines() if re.search(pattern.group(1), line)]
    assert found == [SET_UP + "'.[test]' && .venv/bin/python -m pytest -q"]
    assert "pip install" not in script


def test_ci_is_executable_and_is_bash_without_syntax_errors() -> None:
    script = ROOT / ".ci/run"
    assert script.stat().st_mode & stat.S_IXUSR
    subprocess.run(["bash", "-n", str(script)], check=True)


# --- dependencies -----------------------------------------------------------------------------------


def test_every_dependency_has_its_reason_and_nothing_else_is_listed() -> None:
    rows = re.findall(r"^\| `([^`]+)`( \(test\))? \| (.+) \|$", section("Dependencies"), re.MULTILINE)
    told = {(name.lower(), bool(test)) for name, test, why in rows if len(why) > 8}
    asked = {(requirement(line), False) for line in PROJECT["dependencies"]}
    asked |= {(requirement(line), True) for line in PROJECT["optional-dependencies"]["test"]}
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
        assert (ROOT / document).parent.joinpath(target).is_file(), target


@pytest.mark.parametrize("path", [".ci/run", ".env.example", "LICENSE", "requirements.txt"])
def test_files_named_in_the_readme_are_there(path: str) -> None:
    assert f"`{path}`" in README
    assert (ROOT / path).exists()


def test_settings_files_are_those_of_the_readme() -> None:
    assert set(re.findall(r"^\| `(\w+\.json)`", section("Settings"), re.MULTILINE)) == set(FILES)


def test_variables_of_the_readme_are_known() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    known = set(re.findall(r"^(OTRADE_\w+)=", example, re.MULTILINE))
    assert set(re.findall(r"OTRADE_\w+", README)) <= known | {"OTRADE_CACHE_DIR"}


def test_terminal_commands_are_those_of_the_table() -> None:
    first = section("Terminal commands").strip().split("\n\n")[0]
    assert set(re.findall(r"`/(\w+)`", first)) == {command.name for command in COMMANDS}


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


def test_the_process_file_starts_a_command_that_exists() -> None:
    name, _, command = (ROOT / "Procfile").read_text(encoding="utf-8").strip().partition(": ")
    words = command.split()
    assert (name, words[:2]) == ("demo", ["otrade-bot", "demo"])
    assert set(re.findall(r"--[a-z-]+", command)) <= set(re.findall(r"--[a-z-]+", help_of("demo")))


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
