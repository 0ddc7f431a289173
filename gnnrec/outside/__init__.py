"""Recommenders from elsewhere as rows of a table, through two methods."""
