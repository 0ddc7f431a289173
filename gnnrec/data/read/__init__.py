"""Files become raw cells: formats, dialects, columns, places."""
