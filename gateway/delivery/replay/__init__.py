"""How a reader that is behind, or comes back, is brought to the head."""
