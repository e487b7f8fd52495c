#!/usr/bin/env bash
# Runs every fuzz target of the module for a time each: fuzz.sh 20s. With KEEP=1 it then keeps what each found last, in testdata/fuzz beside the
# target, where every `go test` runs it again: 20 inputs of at most 2 KiB a target, for the later ones reach deepest.
set -euo pipefail
cd "$(dirname "$0")/../.."
time=${1:?how long each, like 20s}
keep=20
found=$(go env GOCACHE)/fuzz
go list -f '{{.Dir}} {{.ImportPath}}' ./... | while read -r dir path; do
  { grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go 2>/dev/null || true; } | sed 's/^func //' | while read -r target; do
    echo "== ${dir#"$PWD"/} $target"
    # Minimising is bounded by count: by time, its default, one input can take half of a short run.
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 500x "$dir" </dev/null
    [ -n "${KEEP:-}" ] && [ -d "$found/$path/$target" ] || continue
    corpus=$dir/testdata/fuzz/$target
    mkdir -p "$corpus"
    find "$found/$path/$target" -type f -size -5 -printf '%T@ %p\n' | sort -rn | sed -n "1,${keep}p" | cut -d' ' -f2- | while read -r input; do
      cp --no-clobber "$input" "$corpus/"
    done
    echo "kept: $(find "$corpus" -type f | wc -l) inputs in ${corpus#"$PWD"/}"
  done
done
