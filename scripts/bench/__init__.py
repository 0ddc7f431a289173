"""What `scripts/benchmark.py` measures, one file per question."""
