"""Who asks, and what it may see and do: tokens, keys, grants, and the caller that they make."""
