"""Benchmarks and load tests. They measure a server from outside its process and import nothing of it."""
