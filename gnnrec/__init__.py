"""gnnrec compares ways to update a graph recommender as its data grows."""

__version__ = "0.1.0"
