select max(at_ms) from once;
