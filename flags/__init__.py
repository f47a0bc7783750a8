"""The migration's rules: who polls, who streams. Knows nothing of gateway or adapters."""
