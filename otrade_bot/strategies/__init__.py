"""Strategies: one file each, readable by a trader. ``loader`` checks and links them."""
