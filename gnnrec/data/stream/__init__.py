"""A log becomes a stream of increments."""
