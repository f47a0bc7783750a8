"""Stand-ins for what is not ours: time, the event loop, connections. None for our own code."""
