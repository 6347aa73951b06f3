#!/usr/bin/env bash
# Several processes on one machine. Arguments: SOURCE OUT PARTS [OPTION...]
set -euo pipefail
source=$1 out=$2 parts=$3
shift 3
for part in $(seq "$parts"); do
  headrace prep "$source" "$out" "$@" --workers 1 --part "$part/$parts" &
done
for job in $(jobs -p); do
  wait "$job" || failed=1
done
[ -z "${failed-}" ] || echo "a part failed; its finished shards are kept, and the next command makes the rest" >&2
headrace prep "$source" "$out" "$@"
