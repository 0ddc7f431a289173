#!/usr/bin/env bash
# Every record under experiments/, run again. Needs the data sets below $GNNREC_DATA (see the README).
set -euo pipefail
cd "$(dirname "$0")/.."
gnnrec="${GNNREC:-.venv/bin/gnnrec}"
"$gnnrec" compare experiment=movietweetings logger=none
for seed in 0 1 2; do
  "$gnnrec" compare experiment=amazon_games "seeds=[$seed]" threads=1 logger=none
done
"$gnnrec" compare experiment=amazon_games threads=1 logger=none
"$gnnrec" sweep experiment=amazon_games strategy=replay sweep=replay threads=1 logger=none output=runs/amazon_games_sweep
