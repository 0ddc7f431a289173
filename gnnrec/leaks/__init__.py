"""Does a model know what it should not? Runs on logs that differ only in what comes later, compared byte by byte."""
