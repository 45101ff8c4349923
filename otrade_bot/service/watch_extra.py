"""The watchdog's word to the channels of OTRADE_APPRISE_URLS: a child that lives for one message.

``{"text": …}`` on standard input. Their library is loaded here and not by the watchdog, which has to stay small.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence

from otrade_bot.config.secrets import load_secrets
from otrade_bot.control.news.extra import Channels, addresses, channels
from otrade_bot.core.errors import TradingException
from otrade_bot.core.masking import mask_text

__all__ = ["deliver", "main"]

TITLE = "OTrade Bot"
#: Before it is tried again, s.
PAUSES = (10.0, 30.0, 60.0)


def deliver(send: Channels, text: str, *, pauses: Sequence[float] = PAUSES,
            sleep: Callable[[float], None] = time.sleep) -> str:  # fmt: skip
    """'' where every channel has taken it, else why not."""
    for pause in (*pauses, None):
        try:
            fault = send(TITLE, text)
        except Exception as error:
            fault = f"{type(error).__name__}: {mask_text(str(error))}"
        if not fault or pause is None:
            return fault
        sleep(pause)
    return ""


def main() -> int:
    """0 where it was taken; else one line on standard error and 1."""
    try:
        text = str(json.load(sys.stdin)["text"])
        urls = load_secrets().apprise_urls
        fault = "OTRADE_APPRISE_URLS is not set"
        if urls is not None:
            fault = deliver(channels(addresses(urls.get_secret_value())), text)
    except (KeyError, RuntimeError, TypeError, TradingException, ValueError) as error:
        fault = str(error)
    if fault:
        sys.stderr.write(f"otrade-bot watch: the extra channels: {mask_text(fault)}\n")
    return 1 if fault else 0


if __name__ == "__main__":
    raise SystemExit(main())
