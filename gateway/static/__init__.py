"""What browsers load of the client, made of parts/ by `make client`, and what is served as it is written."""
