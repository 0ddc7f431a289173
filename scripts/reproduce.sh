#!/usr/bin/env bash
# Every record under experiments/, run again. Needs the data sets below $GNNREC_DATA (see the README).
set -euo pipefail
cd "$(dirname "$0")/.."
gnnrec="${GNNREC:-.venv/bin/gnnrec}"
for experiment in movietweetings amazon_games; do
  for seed in 0 1 2; do
    "$gnnrec" compare "experiment=$experiment" "seeds=[$seed]" threads=1 logger=none
  done
  "$gnnrec" compare "experiment=$experiment" threads=1 logger=none
done
"$gnnrec" sweep experiment=amazon_games strategy=replay sweep=replay threads=1 logger=none output=runs/amazon_games_sweep
