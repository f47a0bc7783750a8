"""One upstream that several nodes serve: what they share of it."""
