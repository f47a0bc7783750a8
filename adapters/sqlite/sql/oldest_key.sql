select min(at_ms) from once;
