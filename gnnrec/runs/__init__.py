"""Experiments, comparisons and sweeps, and the folders they live in."""
