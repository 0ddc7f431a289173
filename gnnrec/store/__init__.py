"""A data set that grows: cleaned events in a Delta Lake table, one version per ingest. Needs no torch."""
