"""Tidegate's domain and service: the log's readers, the hub, and the HTTP handlers around them."""
