"""The state of a selection: read once for all who ask, encoded once, and sent part by part."""
