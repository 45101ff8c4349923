"""At the terminal a picture is a file."""

from __future__ import annotations

import os
from io import StringIO
from pathlib import Path

from control_fakes import FakeEngine

from otrade_bot.control.reply import Action, Picture, Reply, text
from otrade_bot.control.screen.pictures import MOST, saved
from otrade_bot.control.screen.terminal import PlainTerminal, terminal

PNG = Picture("M-M-5m.png", b"\x89PNG...")


def test_the_file_is_there_and_its_place_is_said(tmp_path: Path) -> None:
    said = saved(Reply(text("words").runs, (Action("1m", "/chart M&M 1m"),), PNG), tmp_path / "pictures")
    (path,) = (tmp_path / "pictures").iterdir()
    assert path.read_bytes() == PNG.png
    assert said.to_plain() == f"words\nPicture: {path}"
    assert said.picture is None
    assert said.actions


def test_a_name_cannot_leave_the_folder(tmp_path: Path) -> None:
    saved(text("words") + Reply(picture=Picture("../../.ssh/x.png", b"1")), tmp_path / "a")
    (path,) = (tmp_path / "a").iterdir()
    assert path.parent == tmp_path / "a"
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_words_alone_make_no_file(tmp_path: Path) -> None:
    assert saved(text("words"), tmp_path / "a") == text("words")
    assert not (tmp_path / "a").exists()


def test_a_folder_that_cannot_be_written_costs_the_picture_alone(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file in the way")
    said = saved(Reply(text("words").runs, picture=PNG), tmp_path / "a").to_plain()
    assert said.startswith("words\nThe picture cannot be saved: ")


def test_old_pictures_go(tmp_path: Path) -> None:
    for at in range(MOST + 5):
        path = tmp_path / f"{at:04}.png"
        path.write_bytes(b"1")
        os.utime(path, (at, at))
    (tmp_path / "notes.txt").write_text("not ours")
    saved(Reply(text("words").runs, picture=PNG), tmp_path)
    left = sorted(path.name for path in tmp_path.glob("*.png"))
    assert (len(left), left[0]) == (MOST, "0006.png")
    assert (tmp_path / "notes.txt").exists()


async def test_a_plain_terminal_saves_what_it_is_answered(tmp_path: Path) -> None:
    async def answer(line: str) -> Reply:
        return Reply(text(line).runs, picture=PNG)

    commands, out = tmp_path / "commands", StringIO()
    commands.write_text("/chart M&M\n")
    with commands.open() as stdin:
        mouth = terminal(FakeEngine(), answer, stdin=stdin, out=out, pictures=tmp_path / "pictures")
        assert isinstance(mouth, PlainTerminal)
        assert await mouth.run() == "eof"
    (path,) = (tmp_path / "pictures").iterdir()
    assert out.getvalue() == f"/chart M&M\nPicture: {path}\n"
