"""A small file of secrets: JSON outside, encrypted records inside, never readable by another user of the machine.

The key is derived (scrypt) from a text and a salt that the file holds. Each record is bound to its name, so that two
cannot be exchanged. The file is replaced as a whole, under a lock on its folder: two processes may write.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from otrade_bot.core.errors import ConfigException
from otrade_bot.core.jsonlines import sync_folder

__all__ = ["Vault"]

VERSION = 1
#: scrypt: 32 MB and some 60 ms a try.
COST, BLOCK, LANES = 2**15, 8, 1
MODE = 0o600
MOST_BYTES = 256 * 1024
KEY = "OTRADE_SECRET_KEY"
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


class Vault:
    """Records by name in one file. ``secret_key`` is any text; without one nothing can be stored or read.

    Everything raises ConfigException where the key is missing or another one, or the file cannot be used.
    """

    def __init__(self, path: Path, secret_key: str, *, again: str = "log in again") -> None:
        """``again``: what a person does once the file is gone."""
        self.path, self._secret, self._again = path, secret_key.strip(), again
        self._derived: tuple[bytes, Any] | None = None

    @property
    def keyed(self) -> bool:
        return bool(self._secret)

    def stamp(self) -> tuple[int, int]:
        """(mtime ns, inode) of the file; zeros where there is none."""
        try:
            found = self.path.stat()
        except OSError:
            return 0, 0
        return found.st_mtime_ns, found.st_ino

    def check(self) -> None:
        """Whether all that is in the file can be read, and more be put there."""
        self._demand_key()
        document = self._read()
        for name in document["records"]:
            self._opened(document, name)

    def get(self, name: str) -> dict[str, Any] | None:
        document = self._read()
        return self._opened(document, name) if name in document["records"] else None

    def names(self) -> list[str]:
        """Of all records, which says nothing of whether the key fits them."""
        return list(self._read()["records"])

    def put(self, records: Mapping[str, Mapping[str, Any]]) -> None:
        """Durable at return. A file that the key does not fit is left as it is."""
        self._change(records, ())

    def drop(self, name: str) -> None:
        """Durable at return, as ``put``."""
        self._change({}, (name,))

    def _change(self, records: Mapping[str, Mapping[str, Any]], gone: Sequence[str]) -> None:
        self._demand_key()
        try:
            with self._locked():
                document = self._read()
                for name in document["records"]:
                    self._opened(document, name)
                cipher = self._cipher(base64.b64decode(document["salt"]))
                for name in gone:
                    document["records"].pop(name, None)
                for name, record in records.items():
                    sealed = json.dumps({"name": name, "record": dict(record)}).encode()
                    document["records"][name] = cipher.encrypt(sealed).decode()
                self._replace(json.dumps(document, indent=2).encode() + b"\n")
        except OSError as error:
            raise ConfigException(f"cannot be written: {error.strerror}", file=str(self.path)) from None

    def spoilt(self) -> ConfigException:
        return ConfigException(f"cannot be read: delete the file and {self._again}", file=str(self.path))

    # --- the file ---
    @contextmanager
    def _locked(self) -> Iterator[None]:
        """The folder is locked, not the file: the file is another one after each writing."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _read(self) -> dict[str, Any]:
        """The document; a fresh one where there is no file."""
        try:
            raw = self._bytes()
        except FileNotFoundError:
            return {"version": VERSION, "salt": base64.b64encode(secrets.token_bytes(16)).decode(), "records": {}}
        except OSError as error:
            why = f"cannot be read: {error.strerror}"
            raise ConfigException(why, file=str(self.path), allowed="a regular file of our own, mode 0600") from None
        self._demand_key()
        try:
            document = json.loads(raw)
            fits = document["version"] == VERSION and len(base64.b64decode(document["salt"], validate=True)) >= 16
            sound = fits and all(isinstance(one, str) for one in document["records"].values())
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            sound = False
        if not sound:
            raise self.spoilt()
        return dict(document)

    def _bytes(self) -> bytes:
        fd = os.open(self.path, _READ)
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(0, "not a regular file")
            if stat.S_IMODE(found.st_mode) != MODE:
                os.fchmod(fd, MODE)  # a copy that somebody restored
            return os.read(fd, MOST_BYTES)
        finally:
            os.close(fd)

    def _replace(self, raw: bytes) -> None:
        """No moment without a whole file, none in which a file of ours has another mode. Under the lock."""
        beside = self.path.with_name(f"{self.path.name}.tmp")
        beside.unlink(missing_ok=True)  # of a writer that was killed; we hold the lock
        fd = os.open(beside, _NEW, MODE)
        try:
            with open(fd, "wb") as file:
                os.fchmod(fd, MODE)  # whatever the umask has taken away
                file.write(raw)
                file.flush()
                os.fsync(fd)
            os.replace(beside, self.path)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
            raise
        sync_folder(self.path.parent)

    # --- the key ---
    def _demand_key(self) -> None:
        if not self._secret:
            raise ConfigException(
                "is not set, and nothing is kept unencrypted", file="environment", key=KEY,
                allowed="any long random text, such as python3 -c 'import secrets; print(secrets.token_urlsafe(32))'",
            )  # fmt: skip

    def _cipher(self, salt: bytes) -> Any:
        if self._derived is None or self._derived[0] != salt:
            from cryptography.fernet import Fernet

            key = hashlib.scrypt(
                self._secret.encode(), salt=salt, n=COST, r=BLOCK, p=LANES, maxmem=2**26, dklen=32
            )  # unlike others it lets other threads run meanwhile
            self._derived = (salt, Fernet(base64.urlsafe_b64encode(key)))
        return self._derived[1]

    def _opened(self, document: Mapping[str, Any], name: str) -> dict[str, Any]:
        from cryptography.fernet import InvalidToken

        try:
            opened = json.loads(self._cipher(base64.b64decode(document["salt"])).decrypt(document["records"][name]))
        except InvalidToken:
            raise ConfigException(
                f"was written with another {KEY}: set that one again, or delete the file and {self._again}",
                file=str(self.path),
            ) from None
        except ValueError:
            raise self.spoilt() from None
        if not isinstance(opened, dict) or opened.get("name") != name or not isinstance(opened.get("record"), dict):
            raise self.spoilt()
        return dict(opened["record"])
