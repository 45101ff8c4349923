"""What a person may say and see, and the mouths that carry it."""
