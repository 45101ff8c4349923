"""One process a folder; a demo or a rehearsal never touches an account that is not its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from otrade_bot.core.errors import ConfigException
from otrade_bot.service.folder import guest_folder, mark_of, only_one, own_folder


def test_a_guest_takes_a_new_folder_and_comes_back_to_it(tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert guest_folder(state, "demo") == state
    (state / "paper.jsonl").write_text("{}\n")
    assert guest_folder(state, "demo") == state


def test_a_guest_keeps_out_of_a_folder_that_another_uses(tmp_path: Path) -> None:
    (tmp_path / "paper.jsonl").write_text("real\n")
    assert guest_folder(tmp_path, "rehearsal") == tmp_path / "rehearsal"
    assert guest_folder(tmp_path, "demo") == tmp_path / "demo"
    assert (tmp_path / "paper.jsonl").read_text() == "real\n"


def test_the_service_moves_a_guests_account_aside_so_that_the_guest_can_never_empty_the_services_own(
    tmp_path: Path,
) -> None:
    state = guest_folder(tmp_path / "state", "demo")
    (state / "paper.jsonl").write_text("demo\n")
    (state / "journal").mkdir()
    (state / "journal" / "2026-09-16.jsonl").write_text("{}\n")
    (state / "outbox.jsonl").write_text("waiting\n")
    assert own_folder(state) == state
    assert (state / "demo" / "paper.jsonl").read_text() == "demo\n"
    assert (state / "demo" / "journal" / "2026-09-16.jsonl").exists()
    assert not (state / "paper.jsonl").exists()
    assert (state / "outbox.jsonl").read_text() == "waiting\n"
    assert guest_folder(state, "demo") == state / "demo"


def test_a_move_that_was_cut_off_is_taken_up_again(tmp_path: Path) -> None:
    state = guest_folder(tmp_path / "state", "demo")
    (state / "paper.jsonl").write_text("demo\n")
    (state / "demo").mkdir()
    (state / "demo" / "journal").mkdir()
    own_folder(state)
    assert (state / "demo" / "paper.jsonl").read_text() == "demo\n"
    assert not (state / mark_of("demo")).exists()


def test_a_second_process_on_the_same_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from otrade_bot.service.folder import only_one\n"
        f"with only_one(Path({str(tmp_path)!r})):\n print('in', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"in\n"
        with pytest.raises(ConfigException, match="another otrade-bot is using this folder"), only_one(tmp_path):
            pass
        first.communicate()
    with only_one(tmp_path):
        pass


def test_a_file_in_the_folders_place_is_a_clear_error(tmp_path: Path) -> None:
    place = tmp_path / "state"
    place.write_text("")
    for call in (lambda: guest_folder(place, "demo"), lambda: only_one(place).__enter__()):
        with pytest.raises(ConfigException, match="OTRADE_STATE_DIR"):
            call()
