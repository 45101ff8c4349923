"""What is told unasked: events in words, and the outbox that keeps them until they are delivered."""
