"""Running a run again: what it was made by, and whether it comes out the same."""
