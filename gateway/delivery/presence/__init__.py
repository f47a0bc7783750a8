"""Presence and broadcast: who is in a channel, and what its readers tell one another. Nothing is kept."""
