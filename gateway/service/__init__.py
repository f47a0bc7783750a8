"""Settings and the wiring: what is built from what, started and stopped in which order."""
