"""Tasks, timers and process matters that know nothing of streams."""
