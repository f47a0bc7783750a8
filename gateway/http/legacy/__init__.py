"""The paths that pollers call today (docs/protocol.md, section 7)."""
