"""Who polls and who streams: stages, rollout, targeting, and the decision they make."""
