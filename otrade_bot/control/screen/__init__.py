"""The terminal: a live picture, or plain lines."""
