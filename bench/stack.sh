#!/usr/bin/env bash
# Whole-process figures of `bellwether up` with three planes and default traffic: time until the first data can be
# queried, resident memory and CPU after a while. Usage: stack.sh [SECONDS], 600 by default.
set -euo pipefail
seconds=${1:-600}
root=$(cd "$(dirname "$0")/.." && pwd)
binary=${BELLWETHER:-$root/target/release/bellwether}
dir=$(mktemp -d)
log=$dir/up.log
trap 'kill -INT "$pid" 2>/dev/null; wait "$pid" 2>/dev/null || true; rm -rf "$dir"' EXIT

: >"$log"
start=$(date +%s.%N)
"$binary" up --data-dir "$dir/data" >"$log" 2>&1 &
pid=$!
until grep -q "first data queryable" "$log"; do
  kill -0 "$pid" 2>/dev/null || { cat "$log"; exit 1; }
  sleep 0.1
done
end=$(date +%s.%N)
echo "machine: $(nproc) cores, $(awk '/MemTotal/ {printf "%.0f GiB", $2 / 1048576}' /proc/meminfo), $(uname -sm)"
echo "date: $(date -u +%F)"
awk -v a="$start" -v b="$end" 'BEGIN {printf "process start to first data: %.1f s\n", b - a}'
grep "first data queryable" "$log"

ticks() { awk '{print $14 + $15}' "/proc/$pid/stat"; }
before=$(ticks)
sleep "$seconds"
after=$(ticks)
hz=$(getconf CLK_TCK)
awk -v t="$((after - before))" -v hz="$hz" -v s="$seconds" 'BEGIN {printf "CPU: %.1f %% of one core over %d s\n", 100 * t / hz / s, s}'
awk '/VmRSS/ {printf "resident memory: %.0f MiB\n", $2 / 1024} /VmHWM/ {printf "peak resident memory: %.0f MiB\n", $2 / 1024} /Threads/ {print "threads: " $2}' "/proc/$pid/status"
