"""What an upstream's answers say about the route that fits them, for `check-config --try` and `route`."""
