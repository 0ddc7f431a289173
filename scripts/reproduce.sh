#!/usr/bin/env bash
# Every record under experiments/, run again: each seed in a process of its own, as many at a time as there are cores.
# Needs the data sets below $GNNREC_DATA (see the README). JOBS: processes at a time; BENCHMARK=no leaves the times out.
set -euo pipefail
cd "$(dirname "$0")/.."
gnnrec="${GNNREC:-.venv/bin/gnnrec}"
python="$(dirname "$gnnrec")/python"
jobs="${JOBS:-$(nproc)}"

compare() { # EXPERIMENT SEED…: the runs, then the table of all of them
  local name="$1" && shift
  printf '%s\n' "$@" |
    xargs -P "$jobs" -I{} "$gnnrec" compare "experiment=$name" "seeds=[{}]" threads=1 logger=none
  "$gnnrec" compare "experiment=$name" threads=1 logger=none
}

compare movietweetings 0 1 2
compare amazon_games 0 1 2
"$gnnrec" sweep experiment=amazon_games strategy=replay sweep=replay threads=1 logger=none output=runs/amazon_games_sweep
if [ "${BENCHMARK:-yes}" = yes ]; then
  "$python" scripts/benchmark.py --json runs/benchmark.json
fi
