"""From flags to plans for streams, and from what happens to verdicts."""
