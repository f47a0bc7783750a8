"""Whether push says what polling says."""
