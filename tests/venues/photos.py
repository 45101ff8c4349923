"""Files as they come over the wire, and what Telegram takes for a photo."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import HTTP

LARGEST = 10_000_000  # bytes
WIDEST = 10_000  # width and height together
LONGEST_RATIO = 20
SIGNATURE = b"\x89PNG\r\n\x1a\n"


class NoPhotoError(Exception):
    """In Telegram's words."""


@dataclass(frozen=True)
class Photo:
    """A picture in a message."""

    name: str
    content: bytes
    width: int
    height: int


def multipart(content_type: str, body: bytes) -> tuple[dict[str, str], dict[str, tuple[str, bytes]]]:
    """Fields, and files with their names, of a form."""
    whole = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    fields: dict[str, str] = {}
    files: dict[str, tuple[str, bytes]] = {}
    for part in whole.iter_parts():
        name = str(part.get_param("name", header="content-disposition"))
        raw = part.get_payload(decode=True)
        assert isinstance(raw, bytes)
        if part.get_filename() is None:
            fields[name] = raw.decode()
        else:
            files[name] = (str(part.get_filename()), raw)
    return fields, files


def photo(name: str, content: bytes) -> Photo:
    """A PNG that Telegram would show. Raises NoPhotoError."""
    if not content:
        raise NoPhotoError("file must be non-empty")
    if len(content) > LARGEST:
        raise NoPhotoError("file is too big")
    if not content.startswith(SIGNATURE) or content[12:16] != b"IHDR" or not content.rstrip().endswith(_chunk(b"IEND")):
        raise NoPhotoError("IMAGE_PROCESS_FAILED")
    width, height = struct.unpack(">II", content[16:24])
    if width + height > WIDEST or max(width, height) > LONGEST_RATIO * min(width, height):
        raise NoPhotoError("PHOTO_INVALID_DIMENSIONS")
    return Photo(name, content, width, height)


def _chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int = 4, height: int = 3, shade: int = 128) -> bytes:
    """A grey one, for tests."""
    rows = (b"\0" + bytes([shade]) * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pieces = (_chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(rows)), _chunk(b"IEND"))
    return SIGNATURE + b"".join(pieces)
