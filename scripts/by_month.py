"""Split a CSV file (also .gz) into one file per month of its time column, rows as they are: what a shop would deliver.

`python scripts/by_month.py FILE COLUMN FOLDER`; times must begin with YYYY-MM. A row whose time does not goes to `unknown.csv`.
"""

from __future__ import annotations

import csv
import gzip
import re
import sys
from contextlib import ExitStack
from pathlib import Path


def split(source: Path, column: str, folder: Path) -> dict[str, int]:
    """Write the files and return rows by month."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: dict[str, int] = {}
    with ExitStack() as stack:
        opened = gzip.open if source.suffix == ".gz" else open
        file = stack.enter_context(opened(source, "rt", newline=""))
        reader = csv.reader(file)
        head = next(reader)
        at = head.index(column)
        writers = {}
        for row in reader:
            found = re.match(r"\d{4}-\d{2}", row[at] if at < len(row) else "")
            month = found.group() if found else "unknown"
            if month not in writers:
                writers[month] = csv.writer(stack.enter_context((folder / f"{month}.csv").open("w", newline="")))
                writers[month].writerow(head)
            writers[month].writerow(row)
            rows[month] = rows.get(month, 0) + 1
    return rows


if __name__ == "__main__":
    for month, count in sorted(split(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])).items()):
        print(f"{month}  {count:>8,} rows")
