"""Messages a bot sends: what Telegram takes, what it refuses and in which words, and what stays in the chat."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from .markup import Entity, MarkupError, parse_html, tidy, units
from .photos import Photo

LONGEST_TEXT = 4096  # UTF-16 units after parsing
LONGEST_CAPTION = 1024
LONGEST_SOURCE = 32768  # bytes
LONGEST_DATA = 64  # bytes
MOST_BUTTONS = 100


class Refusal(Exception):  # noqa: N818
    """Telegram says no: an HTTP status and its words."""

    def __init__(self, description: str, code: int = 400) -> None:
        super().__init__(description)
        self.code = code
        self.description = f"Bad Request: {description}" if code == 400 else description


@dataclass(frozen=True)
class Button:
    """One inline button."""

    label: str
    data: str | None = None
    url: str | None = None
    copies: str | None = None  #: what a tap copies


@dataclass(frozen=True)
class Version:
    """A message as it stood from ``at`` (wall, s) on; of a photo the caption is its text."""

    text: str  #: as people read it: no tags
    html: str  #: as it was sent
    entities: tuple[Entity, ...]
    rows: tuple[tuple[Button, ...], ...]
    at: float
    photo: Photo | None = None


@dataclass
class Sent:
    """A message that Telegram accepted, with everything it has been since."""

    message_id: int
    chat_id: int
    silent: bool
    versions: list[Version]
    reply_to: int | None = None
    keyboard: dict[str, Any] = field(default_factory=dict)  #: a reply keyboard or its removal, as sent

    @property
    def now(self) -> Version:
        return self.versions[-1]

    @property
    def text(self) -> str:
        return self.now.text

    @property
    def html(self) -> str:
        return self.now.html

    @property
    def entities(self) -> tuple[Entity, ...]:
        return self.now.entities

    @property
    def buttons(self) -> list[Button]:
        """All inline buttons it has now, row after row."""
        return [button for row in self.now.rows for button in row]

    @property
    def photo(self) -> Photo | None:
        return self.now.photo

    @property
    def at(self) -> float:
        """When it was accepted: wall, s."""
        return self.versions[0].at

    @property
    def edits(self) -> list[Version]:
        """What it became, oldest first; empty if it was never edited."""
        return self.versions[1:]

    def button(self, data_or_label: str) -> Button | None:
        """A button it has, or once had."""
        for version in reversed(self.versions):
            for row in version.rows:
                for button in row:
                    if data_or_label in (button.label, button.data):
                        return button
        return None


def content(params: dict[str, str]) -> tuple[str, str, tuple[Entity, ...]]:
    """Text, source and entities of a message to be. Raises Refusal."""
    if not params.get("text"):
        raise Refusal("message text is empty")
    text, source, entities = _read(params["text"], params.get("parse_mode", ""), params.get("entities", "[]"))
    if not text.strip():
        raise Refusal("text must be non-empty")
    if units(text) > LONGEST_TEXT:
        raise Refusal("message is too long")
    return text, source, entities


def caption(params: dict[str, str]) -> tuple[str, str, tuple[Entity, ...]]:
    """The same of what stands under a picture, which may be nothing. Raises Refusal."""
    said, mode = params.get("caption", ""), params.get("parse_mode", "")
    text, source, entities = _read(said, mode, params.get("caption_entities", "[]"))
    if units(text) > LONGEST_CAPTION:
        raise Refusal("message caption is too long")
    return text, source, entities


def _read(source: str, mode: str, listed: str) -> tuple[str, str, tuple[Entity, ...]]:
    if len(source.encode()) > LONGEST_SOURCE:
        raise Refusal("text is too long")
    if mode.lower() not in ("", "html"):
        raise Refusal(f"unsupported parse_mode {mode}: this bot speaks HTML only")
    try:
        text, entities = parse_html(source) if mode else (source, json.loads(listed))
    except MarkupError as error:
        raise Refusal(f"can't parse entities: {error}") from None
    text, entities = tidy(text, entities)
    return text, source, tuple(entities)


def markup(params: dict[str, str]) -> dict[str, Any]:
    """The ``reply_markup`` as an object. Raises Refusal."""
    try:
        found = json.loads(params.get("reply_markup") or "{}")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Refusal("can't parse reply keyboard markup JSON object")
    return found


def inline_rows(found: dict[str, Any]) -> tuple[tuple[Button, ...], ...]:
    """Its inline buttons. Raises Refusal."""
    rows = tuple(tuple(_button(each) for each in row) for row in found.get("inline_keyboard", []) if row)
    if sum(len(row) for row in rows) > MOST_BUTTONS:
        raise Refusal("reply markup is too long")
    return rows


def _button(raw: dict[str, Any]) -> Button:
    copies = raw.get("copy_text", {}).get("text")
    button = Button(raw.get("text", ""), raw.get("callback_data") or None, raw.get("url") or None, copies)
    if not button.label.strip():
        raise Refusal("can't parse inline keyboard button: text must be non-empty")
    if not (button.data or button.url or button.copies):
        raise Refusal("text buttons are unallowed in the inline keyboard")
    if len((button.data or "").encode()) > LONGEST_DATA:
        raise Refusal("BUTTON_DATA_INVALID")
    return button


def as_rows(rows: tuple[tuple[Button, ...], ...]) -> dict[str, Any]:
    """An InlineKeyboardMarkup."""
    return {"inline_keyboard": [[_as_button(button) for button in row] for row in rows]}


def _as_button(button: Button) -> dict[str, Any]:
    copies = {"text": button.copies} if button.copies else None
    raw = {"text": button.label, "callback_data": button.data, "url": button.url, "copy_text": copies}
    return {name: value for name, value in raw.items() if value is not None}


def as_message(sent: Sent, chat: dict[str, Any], bot: dict[str, Any]) -> dict[str, Any]:
    """A Message, as Telegram shows it to the bot."""
    now = sent.now
    message: dict[str, Any] = {"message_id": sent.message_id, "from": bot, "chat": chat, "date": int(sent.at)}
    if now.photo is not None:
        message["photo"] = [_size(sent.message_id, now.photo)]
    if now.text:
        message["caption" if now.photo else "text"] = now.text
    if sent.edits:
        message["edit_date"] = int(now.at)
    if now.entities:
        message["caption_entities" if now.photo else "entities"] = list(now.entities)
    if now.rows:
        message["reply_markup"] = as_rows(now.rows)
    return message


def _size(number: int, photo: Photo) -> dict[str, Any]:
    """A PhotoSize."""
    size = {"width": photo.width, "height": photo.height, "file_size": len(photo.content)}
    return {"file_id": f"photo-{number}", "file_unique_id": f"unique-{number}", **size}
