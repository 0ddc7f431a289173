"""Encoders: a graph becomes embeddings of its users and items."""
