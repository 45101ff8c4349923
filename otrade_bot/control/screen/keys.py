"""Keys of a terminal: bytes become key names, key names edit one line."""

from __future__ import annotations

import codecs
import re

__all__ = ["Keys", "LineEditor"]

_NAMED = {
    "\r": "enter", "\n": "enter", "\x7f": "backspace", "\x08": "backspace", "\x01": "home", "\x05": "end",
    "\x02": "left", "\x06": "right", "\x0b": "kill", "\x15": "clear", "\x17": "word", "\x04": "eof",
    "\x03": "quit", "\x10": "up", "\x0e": "down", "\x0c": "redraw",
}  # fmt: skip
_ESCAPES = {
    "A": "up", "B": "down", "C": "right", "D": "left", "H": "home", "F": "end", "1~": "home", "4~": "end",
    "7~": "home", "8~": "end", "3~": "delete", "5~": "page_up", "6~": "page_down",
}  # fmt: skip
_ESCAPE = re.compile(r"\x1b(?:\[([0-9;?<]*)([@-~])|O([A-Za-z]))")
_BEGUN = re.compile(r"\x1b(?:\[[0-9;?<]*|O)?\Z")


class Keys:
    """Decodes what a terminal sends, cut anywhere. Text comes as single characters, keys as their names.

    An escape that ends a read is taken as the Escape key: terminals send their sequences in one piece.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def feed(self, data: bytes) -> list[str]:
        """Names in the order pressed; unknown sequences and control characters are dropped."""
        pending = self._held + self._decoder.decode(data)
        self._held = ""
        keys: list[str] = []
        at = 0
        while at < len(pending):
            if pending[at] == "\x1b":
                at = self._escape(pending, at, keys)
                continue
            name = _NAMED.get(pending[at], pending[at] if pending[at].isprintable() else "")
            keys += [name] if name else []
            at += 1
        return keys

    def _escape(self, pending: str, at: int, keys: list[str]) -> int:
        found = _ESCAPE.match(pending, at)
        if found is not None:
            digits, final, ss3 = found.groups()
            name = _ESCAPES.get(ss3 or (digits + final if final == "~" else final), "")
            keys += [name] if name else []
            return found.end()
        if len(pending) - at > 1 and _BEGUN.match(pending, at):
            self._held = pending[at:]
            return len(pending)
        keys.append("escape")
        return at + 1


class LineEditor:
    """One line with a cursor and a history."""

    def __init__(self, longest: int = 400, remembered: int = 100) -> None:
        self.text = ""
        self.cursor = 0
        self._longest, self._remembered = longest, remembered
        self._history: list[str] = []
        self._at = 0
        self._draft = ""

    def press(self, key: str) -> str | None:
        """Apply a key. The finished line at Enter (it may be empty), None otherwise."""
        if key == "enter":
            return self._enter()
        if len(key) == 1:
            self._insert(key)
        elif key in ("up", "down"):
            self._recall(-1 if key == "up" else 1)
        elif key in ("left", "right", "home", "end"):
            self._move(key)
        else:
            self._delete(key)
        return None

    def _enter(self) -> str:
        line = self.text.strip()
        if line and (not self._history or self._history[-1] != line):
            self._history = [*self._history, line][-self._remembered :]
        self._at, self._draft = len(self._history), ""
        self.text, self.cursor = "", 0
        return line

    def _insert(self, character: str) -> None:
        if len(self.text) < self._longest:
            self.text = self.text[: self.cursor] + character + self.text[self.cursor :]
            self.cursor += 1

    def _move(self, key: str) -> None:
        places = {"left": self.cursor - 1, "right": self.cursor + 1, "home": 0, "end": len(self.text)}
        self.cursor = min(max(places[key], 0), len(self.text))

    def _recall(self, step: int) -> None:
        if self._at == len(self._history):
            self._draft = self.text
        self._at = min(max(self._at + step, 0), len(self._history))
        self.text = self._history[self._at] if self._at < len(self._history) else self._draft
        self.cursor = len(self.text)

    def _delete(self, key: str) -> None:
        before, after = self.text[: self.cursor], self.text[self.cursor :]
        if key == "backspace":
            before = before[:-1]
        elif key == "delete":
            after = after[1:]
        elif key == "clear":
            before = ""
        elif key == "kill":
            after = ""
        elif key == "word":
            before = before.rstrip().rpartition(" ")[0]
            before += " " if before else ""
        self.text, self.cursor = before + after, len(before)
