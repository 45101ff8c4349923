"""What Python prints by itself, of a process that is ours: errors nobody caught, logs without a handler."""

from __future__ import annotations

import subprocess
import sys

SECRET = "Kq7-a-token-that-is-repeated_91"
TROUBLE = f"""
import asyncio, gc, logging, sys, threading
from otrade_bot.cli import main
from otrade_bot.core.masking import register_secret
sys.argv = ["otrade-bot", "version"]
assert main() == 0
register_secret("{SECRET}")
said = "HTTP response body: denied {SECRET}"

class Ending:
    def __del__(self):
        raise ValueError("ended: " + said)

def fail(what):
    raise ValueError(what + said)

async def abandoned():
    asyncio.get_running_loop().create_future().set_exception(ValueError("abandoned: " + said))
    gc.collect()

logging.getLogger("a.library").error("logged: " + said)
thread = threading.Thread(target=fail, args=("threaded: ",))
thread.start()
thread.join()
Ending()
asyncio.run(abandoned())
fail("uncaught: ")
"""


def test_whatever_python_prints_by_itself_is_masked() -> None:
    done = subprocess.run([sys.executable, "-c", TROUBLE], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert SECRET not in done.stdout + done.stderr.replace(f'register_secret("{SECRET}")', "")
    for way in ("logged", "threaded", "ended", "abandoned", "uncaught"):
        assert f"{way}: HTTP response body: denied ***" in done.stderr, way
