"""What else a team would pick: how each is found or installed, and the server made with it."""
