"""Split a CSV file (also .gz) into one file per month of its time column, rows as they are: what a shop would deliver.

`python scripts/by_month.py FILE COLUMN FOLDER`; times must begin with YYYY-MM. A row whose time does not goes to `unknown.csv`.
"""

from __future__ import annotations

import csv
import gzip
import re
import sys
from pathlib import Path


def split(source: Path, column: str, folder: Path) -> dict[str, int]:
    """Write the files and return rows by month."""
    folder.mkdir(parents=True, exist_ok=True)
    opened = gzip.open(source, "rt", newline="") if source.suffix == ".gz" else source.open(newline="")
    files: dict[str, object] = {}
    rows: dict[str, int] = {}
    with opened as file:
        reader = csv.reader(file)
        head = next(reader)
        at = head.index(column)
        for row in reader:
            found = re.match(r"\d{4}-\d{2}", row[at] if at < len(row) else "")
            month = found.group() if found else "unknown"
            if month not in files:
                files[month] = handle = (folder / f"{month}.csv").open("w", newline="")
                csv.writer(handle).writerow(head)
            csv.writer(files[month]).writerow(row)  # type: ignore[arg-type]
            rows[month] = rows.get(month, 0) + 1
    for handle in files.values():
        handle.close()  # type: ignore[attr-defined]
    return rows


if __name__ == "__main__":
    for month, count in sorted(split(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])).items()):
        print(f"{month}  {count:>8,} rows")
