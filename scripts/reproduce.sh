#!/usr/bin/env bash
# The records of MovieTweetings, Amazon Games, its sweep and the benchmark, run again: each seed in a process of its own, as many
# at a time as there are cores. (That of Online Retail goes through a store: the commands are in its README.)
# Needs the data sets below $GNNREC_DATA (see the README). JOBS: processes at a time; BENCHMARK=no leaves the times out.
set -euo pipefail
cd "$(dirname "$0")/.."
gnnrec="${GNNREC:-.venv/bin/gnnrec}"
python="$(dirname "$gnnrec")/python"
fixed=(threads=1 logger=none)

runs() { # a line of arguments for each process, the longest first, so that no core is idle for long
  for seed in 0 1 2; do echo "compare experiment=movietweetings seeds=[$seed]"; done
  echo "sweep experiment=amazon_games strategy=replay sweep=replay output=runs/amazon_games_sweep"
  for seed in 0 1 2; do echo "compare experiment=amazon_games seeds=[$seed]"; done
}

runs | sed "s/\$/ ${fixed[*]}/" | xargs -P "${JOBS:-$(nproc)}" -L 1 "$gnnrec"
for name in movietweetings amazon_games; do # the table of all seeds, from the runs that are there now
  "$gnnrec" compare "experiment=$name" "${fixed[@]}"
done
if [ "${BENCHMARK:-yes}" = yes ]; then
  "$python" scripts/benchmark.py --json runs/benchmark.json
fi
