"""An operator's own functions, in a process of their own."""
