"""What can be learned from days that are over, recorded or simulated."""
