"""The outside world on 127.0.0.1: servers that speak the wire formats, for the real client libraries to talk to."""
