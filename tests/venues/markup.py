"""HTML as Telegram reads it: few tags, every one closed, four named entities, lengths in UTF-16 units."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

ENTITIES = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "ins": "underline",
    "s": "strikethrough",
    "strike": "strikethrough",
    "del": "strikethrough",
    "span": "spoiler",
    "tg-spoiler": "spoiler",
    "tg-emoji": "custom_emoji",
    "a": "text_link",
    "code": "code",
    "pre": "pre",
    "blockquote": "blockquote",
}
NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}
REFERENCE = re.compile(r"&(?:#x([0-9a-fA-F]+)|#([0-9]+)|([a-zA-Z]+));?")
START = re.compile(r"<([^\s>]*)")
ATTRIBUTE = re.compile(r"""\s*([^\s=>/"']*)\s*(?:(=)\s*(?:"([^"]*)"|'([^']*)'|([a-zA-Z0-9.-]*)(?=[\s>])))?""")
COMMAND = re.compile(r"(?<![\w/])/[A-Za-z0-9_]{1,64}(?:@\w{3,32})?(?![\w/])")
SPACE = " \n"
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")

Entity = dict[str, Any]


class MarkupError(Exception):
    """Telegram would say "can't parse entities: ..."."""


@dataclass
class _Open:
    tag: str
    argument: str
    offset: int
    begin: int


def units(text: str) -> int:
    """Length in UTF-16 code units, which is how Telegram counts."""
    return len(text.encode("utf-16-le")) // 2


def parse_html(html: str) -> tuple[str, list[Entity]]:
    """Text and entities. Raises MarkupError with Telegram's own words."""
    reader = _Reader(html)
    while reader.at < len(html):
        reader.step()
    if reader.open:
        raise MarkupError(f'Can\'t find end tag corresponding to start tag "{reader.open[-1].tag}"')
    return "".join(reader.text), sorted(reader.entities, key=lambda e: (e["offset"], -e["length"]))


def tidy(text: str, entities: list[Entity]) -> tuple[str, list[Entity]]:
    """As it is shown: no control characters, no space around. Entities are cut to what is left of the text."""
    text = CONTROL.sub(" ", text.replace("\r", ""))
    entities = [e for e in entities if cut(text, e).strip()]
    text = text.rstrip(SPACE)
    first = min((e["offset"] for e in entities), default=units(text))
    lead = min(len(text) - len(text.lstrip(SPACE)), first)  # of white space: one unit a character
    text = text[lead:]
    entities = [{**e, "offset": e["offset"] - lead} for e in entities]
    return text, [{**e, "length": min(e["length"], units(text) - e["offset"])} for e in entities]


def cut(text: str, entity: Entity) -> str:
    """The part of a text that an entity is about."""
    begin = 2 * entity["offset"]
    return text.encode("utf-16-le")[begin : begin + 2 * entity["length"]].decode("utf-16-le")


def commands(text: str) -> list[Entity]:
    """The bot commands that Telegram finds in a user's text by itself."""
    return [
        {"type": "bot_command", "offset": units(text[: found.start()]), "length": len(found.group())}
        for found in COMMAND.finditer(text)
    ]


class _Reader:
    def __init__(self, html: str) -> None:
        self.html = html
        self.at = 0
        self.text: list[str] = []
        self.length = 0
        self.open: list[_Open] = []
        self.entities: list[Entity] = []

    def step(self) -> None:
        """One character, reference or tag."""
        if self.html.startswith("</", self.at):
            self._end()
        elif self.html[self.at] == "<":
            self._start()
        else:
            reference = REFERENCE.match(self.html, self.at)
            char = _referred(reference) if reference else None
            self.at = reference.end() if reference and char else self.at + 1
            self._put(char or self.html[self.at - 1])

    def _put(self, char: str) -> None:
        if char == "\r":
            return
        self.text.append(char)
        self.length += units(char)

    def _where(self, begin: int) -> str:
        return f"at byte offset {len(self.html[:begin].encode())}"

    def _start(self) -> None:
        begin = self.at
        found = START.match(self.html, begin)
        assert found is not None
        tag = found.group(1).lower()
        self.at = found.end()
        if self.at >= len(self.html):
            raise MarkupError(f"Unclosed start tag {self._where(begin)}")
        if tag not in ENTITIES:
            raise MarkupError(f'Unsupported start tag "{tag}" {self._where(begin)}')
        argument = self._attributes(tag, begin)
        if tag == "span" and argument != "spoiler":
            raise MarkupError(f'Tag "span" must have class "tg-spoiler" {self._where(begin)}')
        self.open.append(_Open(tag, argument, self.length, len(self.text)))

    def _attributes(self, tag: str, begin: int) -> str:
        """Reads up to the closing bracket; the one attribute that matters to this tag."""
        argument = ""
        while not (close := re.compile(r"\s*>").match(self.html, self.at)):
            found = ATTRIBUTE.match(self.html, self.at)
            assert found is not None
            name, equals = found.group(1), found.group(2)
            self.at = found.end()
            if self.at >= len(self.html):
                raise MarkupError(f"Unclosed start tag {self._where(begin)}")
            if not name:
                raise MarkupError(f'Empty attribute name in the tag "{tag}" {self._where(begin)}')
            quoted, quoted_too, token = found.groups()[2:]
            value = (quoted or quoted_too or (token or "").lower()) if equals else ""
            argument = _argument(tag, name, REFERENCE.sub(lambda m: _referred(m) or m.group(), value)) or argument
        self.at = close.end()
        return argument

    def _end(self) -> None:
        begin = self.at
        found = re.compile(r"</([^\s>]*)\s*(>?)").match(self.html, begin)
        assert found is not None
        if not self.open:
            raise MarkupError(f"Unexpected end tag {self._where(begin)}")
        if not found.group(2):
            raise MarkupError(f"Unclosed end tag {self._where(begin)}")
        expected = self.open[-1]
        tag = found.group(1).lower()
        if tag and tag != expected.tag:
            raise MarkupError(f'Unmatched end tag {self._where(begin)}, expected "</{expected.tag}>", found "</{tag}>"')
        self.at = found.end()
        self._close(self.open.pop())

    def _close(self, opened: _Open) -> None:
        if self.length == opened.offset:
            return
        entity: Entity = {"type": ENTITIES[opened.tag], "offset": opened.offset, "length": self.length - opened.offset}
        if opened.tag == "a":
            url = opened.argument or "".join(self.text[opened.begin :])
            if "." not in url and "://" not in url:
                return  # Telegram shows the text without the link
            entity["url"] = url
        elif opened.tag == "tg-emoji":
            entity["custom_emoji_id"] = opened.argument
        elif opened.tag == "blockquote" and opened.argument:
            entity["type"] = "expandable_blockquote"
        self.entities.append(entity)
        if opened.tag == "code" and opened.argument:
            entity["language"] = opened.argument
        self._code_block(entity)

    def _code_block(self, entity: Entity) -> None:
        """``pre`` and ``code`` around the same text are one block with a language."""
        if entity["type"] == "pre" and len(self.entities) > 1:
            inner = self.entities[-2]
            if inner["type"] == "code" and (inner["offset"], inner["length"]) == (entity["offset"], entity["length"]):
                self.entities.remove(inner)
                entity |= {"language": inner["language"]} if "language" in inner else {}
        for other in self.entities:
            if other["type"] == "code" and not any(o.tag == "pre" for o in self.open):
                other.pop("language", None)


def _referred(found: re.Match[str]) -> str | None:
    """The character of ``&#x41;``, ``&#65;`` or ``&amp;``; None if it names nothing."""
    hexadecimal, decimal, name = found.groups()
    if name:
        return NAMED.get(name)
    code = int(hexadecimal, 16) if hexadecimal else int(decimal)
    short = len(found.group().rstrip(";")) < 10
    return chr(code) if short and 0 < code < 0x10FFFF and not 0xD800 <= code < 0xE000 else None


def _argument(tag: str, name: str, value: str) -> str:
    if (tag, name) in (("a", "href"), ("tg-emoji", "emoji-id")):
        return value
    if (tag, name) == ("code", "class") and value.startswith("language-"):
        return value.removeprefix("language-")
    if (tag, name) == ("span", "class") and value.startswith("tg-"):
        return value.removeprefix("tg-")
    return "1" if (tag, name) == ("blockquote", "expandable") else ""
