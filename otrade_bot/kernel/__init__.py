"""The compiled kernel: pure functions over preallocated arrays. No I/O, no clock, no strings."""
