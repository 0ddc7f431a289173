"""Counts of what has been absorbed, which need no training: popularity, co-occurrence."""
