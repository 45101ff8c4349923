"""The phone: Telegram as a mouth of the command table. Loaded only where there is a bot token."""
