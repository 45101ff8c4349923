"""``python -m otrade_bot``."""

from otrade_bot.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
