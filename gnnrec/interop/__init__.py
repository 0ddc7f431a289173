"""Logs, splits, stores and results as other tools have them, and back: RecBole, LensKit, RecTools, PyG, Delta Lake, pandas."""
