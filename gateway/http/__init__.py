"""One module for each HTTP resource, the server, and its front door."""
