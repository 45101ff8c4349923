"""From an intent to the broker and back: gate, orders, protection, positions, recovery."""
