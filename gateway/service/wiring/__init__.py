"""Builds the parts out of the settings."""
