"""What keeps a running process alive, watched and remembered."""
