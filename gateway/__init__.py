"""The gateway, by rooms: docs/architecture.md says which is for what, and which may import which."""
