"""Raw cells become events: ids, values, times, duplicates, repeats; what cannot is set aside and counted."""
