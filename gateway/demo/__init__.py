"""A legacy orders application to try the gateway on."""
