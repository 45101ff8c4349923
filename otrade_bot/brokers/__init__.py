"""Where prices come from and where orders go: feeds, instruments, and one folder a broker."""
