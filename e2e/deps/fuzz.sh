#!/usr/bin/env bash
# Runs every fuzz target of the module for a time each: fuzz.sh 20s
set -euo pipefail
cd "$(dirname "$0")/../.."
time=${1:?how long each, like 20s}
go list -f '{{.Dir}}' ./... | while read -r dir; do
  { grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go 2>/dev/null || true; } | sed 's/^func //' | while read -r target; do
    echo "== ${dir#"$PWD"/} $target"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$dir" </dev/null
  done
done
