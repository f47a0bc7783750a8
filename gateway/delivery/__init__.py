"""From the history to sockets."""
