"""A recommender that is kept up to date: decide, update, judge, accept or adjust, and serve nothing worse than before."""
