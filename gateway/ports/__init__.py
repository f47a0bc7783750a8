"""What the gateway asks of the world, as protocols."""
