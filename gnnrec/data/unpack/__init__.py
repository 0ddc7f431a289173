"""Files become bytes: unpacked, named where they are no log, looked through once."""
