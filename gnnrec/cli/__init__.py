"""The command line: a thin layer over what a notebook calls."""
