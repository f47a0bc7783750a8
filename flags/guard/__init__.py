"""What clients' telemetry says of a component, and the verdict on it."""
