"""Strategies that read the encoder's tables in a way of their own, or change their width."""
