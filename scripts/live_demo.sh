#!/usr/bin/env bash
# A shop's year, month by month, through ingest, update, gate and serve: what happens, and what is served, in one go.
#   scripts/live_demo.sh $GNNREC_DATA/online-retail/online-retail-raw.csv.gz [FOLDER]
# Online Retail as published (CC0; Chen, Sain, Guo 2012). July comes damaged and is sent again, August has other product codes,
# September is empty, and in October a customer asks to be forgotten. Takes some minutes; begins again from nothing each time.
set -uo pipefail
cd "$(dirname "$0")/.."
log="${1:?name the log: scripts/live_demo.sh FILE [FOLDER]}"
out="${2:-runs/live_demo}"
gnnrec="${GNNREC:-.venv/bin/gnnrec}"
python="$(dirname "$gnnrec")/python"
port="${PORT:-8765}"
store="$out/store" months="$out/months" run="" service=""
trap '[ -z "$service" ] || kill "$service" 2>/dev/null' EXIT

say() { printf '\n=== %s\n' "$*"; }
do_() { printf '$ gnnrec %s\n' "$*"; "$gnnrec" "$@"; }
month() { do_ data ingest "$store" "$months/$1.csv" data=online_retail "${@:2}"; }
update() { do_ update "$store" "$run" "$@"; }
asked() { "$python" - "$port" "$customer" <<'PY'
import json, sys, urllib.request
port, customer = sys.argv[1:]
def ask(path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        return json.load(answer)
found, health = ask(f"/recommend?user={customer}&k=3"), ask("/health")
items = "; ".join(f"{row['item']} {row.get('title', '')}".strip() for row in found["items"])
print(f"served by champion {health['bundle']}: customer {customer} {'is known' if found['known'] else 'is not known'}: {items}")
PY
}

rm -rf "$out" && mkdir -p "$out"
"$python" scripts/by_month.py "$log" InvoiceDate "$months" > /dev/null
"$python" - "$months" <<'PY'
import sys
from pathlib import Path
folder = Path(sys.argv[1])
july, august, september = (folder / f"2011-{m}.csv" for m in ("07", "08", "09"))
lines = july.read_text().splitlines(keepends=True)
cut = [line if n % 3 or not n else line[: len(line) // 3] + "\n" for n, line in enumerate(lines)]
(folder / "2011-07-damaged.csv").write_text("".join(cut))
head, *rows = (line.split(",", 2) for line in august.read_text().splitlines(keepends=True))
(folder / "2011-08-shifted.csv").write_text(",".join(head) + "".join(f"{a},77{b},{c}" for a, b, c in rows))
(folder / "2011-09-empty.csv").write_text(september.read_text().splitlines(keepends=True)[0])
PY

say "December to May: the store, and a run on it"
do_ data ingest "$store" "$months"/2010-12.csv "$months"/2011-0[1-5].csv --each data=online_retail
do_ run experiment=online_retail strategy=fine_tune "data.path=$store" "output=$out/runs" logger=none 2> "$out/run.log" | tail -8
run="$(ls -d "$out"/runs/fine_tune-*)"
customer=17850

say "It is served"
do_ export "$run"
"$gnnrec" serve "$run" --port "$port" > "$out/serve.log" 2>&1 &
service=$!
for _ in $(seq 60); do asked 2> /dev/null && break; sleep 0.5; done

say "June: as usual"
month 2011-06 && update && asked
say "July: every third line is cut off"
month 2011-07-damaged
say "July: sent again, whole"
month 2011-07 && update && asked
say "August: the same products under other codes"
month 2011-08-shifted --blocked accept && update && asked
say "September: a file without rows"
month 2011-09-empty
update
say "September and October, as they were"
month 2011-09 && update
month 2011-10 && update && asked
say "Customer $customer asks to be forgotten"
do_ data forget "$store" --user "$customer" --yes
update --forget "$customer"
do_ data prove "$store" --forgotten "$customer" --also "$run"
asked
say "November"
month 2011-11 && update && asked
say "How it stands"
do_ status "$run"
echo "everything is below $out; the raw files in $months still hold what they held"
