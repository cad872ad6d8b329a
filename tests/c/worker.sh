#!/bin/sh
# worker.sh WORKER MODE: on memory storage a worker records each of its grants, no more than the limit lets through, and
# ends when it is told to.
set -eu
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
"$1" --set storage=memory --permits 100 --burst 10 --mode "$2" --out "$work/out" >"$work/events" &
worker=$!
# Real time is the point here.
sleep 1
kill -TERM "$worker"
wait "$worker" || { cat "$work/events"; exit 1; }
granted=$(sed -n 's/.*"done", "granted": \([0-9]*\),.*/\1/p' "$work/events")
[ "$(wc -c <"$work/out")" -eq $((granted * 24)) ] || { echo "$granted granted, but:"; wc -c "$work/out"; exit 1; }
# From just before the first call until just after the last: a burst, and what that time brought. At least the burst.
od -An -v -tu8 -w24 "$work/out" | awk -v granted="$granted" '
  NR == 1 { first = $1 }
  { last = $2; if ($2 < $1 || $3 != 1) bad = 1 }
  END { exit bad || granted < 11 || granted > 10 + 100 * (last - first) / 1e9 + 1 }' || {
  echo "$granted granted is not what 100 a second and a burst of 10 allow"
  exit 1
}
grep -q '"event": "ready"' "$work/events"
grep -q '"event": "tick", .*"share_rate": 100.000000, "share_burst": 10, .*"basis": "local", "health": "ok"' "$work/events"
# What it cannot open it says.
if "$1" --set storage=nowhere --permits 1 >"$work/events"; then exit 1; fi
grep -q '"event": "error", "message": "`storage` is `nowhere`' "$work/events"
