"""What commands of the machine show and ask: QR codes, hints beside the answer, words that are not echoed."""

from __future__ import annotations

import getpass
import io
import sys

__all__ = ["ask", "ask_secret", "hint", "qr"]


def qr(text: str) -> str:
    """For a phone's camera, two rows of it in one line; light on dark also where the terminal is dark on light."""
    import segno

    out = io.StringIO()
    segno.make(text, micro=False, error="m").terminal(out, border=2, compact=True)
    if not sys.stdout.isatty():
        return out.getvalue()
    return "\n".join(f"\x1b[97;40m{line}\x1b[0m" for line in out.getvalue().splitlines())


def hint(text: str) -> None:
    """Beside the answer, on standard error."""
    print(f"otrade-bot: {text}", file=sys.stderr, flush=True)


def ask(prompt: str) -> str:
    """Typed; from a pipe a line."""
    return input(prompt) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")


def ask_secret(prompt: str) -> str:
    """Typed without an echo; from a pipe a line."""
    return getpass.getpass(prompt) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
