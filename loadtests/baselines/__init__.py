"""Servers to compare with: the usual ways to do what the gateway does."""
