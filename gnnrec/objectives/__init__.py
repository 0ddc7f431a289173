"""Objectives: embeddings become a loss, scores and expected values."""
