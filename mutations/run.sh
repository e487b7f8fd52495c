#!/usr/bin/env bash
# Takes one safeguard out at a time and demands that its test notices. Each *.patch beside this script begins with
#   what: the safeguard that it removes
#   test: the command, run at the root of the tree, that must fail then
# and is applied to a copy of the tree. With names as arguments, those patches alone.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
patches=("$@")
[ ${#patches[@]} -gt 0 ] || patches=("$here"/*.patch)

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

passed=0 failed=0
for patch in "${patches[@]}"; do
  patch=$(realpath "$patch")
  name=$(basename "$patch" .patch)
  what=$(sed -n 's/^what: //p' "$patch")
  test=$(sed -n 's/^test: //p' "$patch")
  if [ -z "$what" ] || [ -z "$test" ]; then
    echo "$name: no 'what:' or no 'test:' line"
    failed=$((failed + 1))
    continue
  fi
  rm -rf "$copy/tree" && mkdir "$copy/tree"
  (cd "$top" && git ls-files -z --cached --others --exclude-standard | tar --create --null --files-from=- --ignore-failed-read 2>/dev/null) | tar --extract --directory="$copy/tree"
  [ ! -d "$top/.deps" ] || ln -s "$top/.deps" "$copy/tree/.deps"
  cd "$copy/tree"
  if ! git apply "$patch" >"$copy/log" 2>&1; then
    verdict="does not apply"
  elif ! go build ./... >>"$copy/log" 2>&1; then
    verdict="does not compile"
  elif bash -c "$test" >"$copy/log" 2>&1; then
    verdict="SURVIVED: $test"
  elif ! grep -qE '^\s*--- FAIL' "$copy/log"; then
    verdict="failed for another reason"
  else
    verdict=
  fi
  cd "$top"
  if [ -z "$verdict" ]; then
    echo "ok    $name: $what"
    passed=$((passed + 1))
  else
    echo "FAIL  $name: $what: $verdict"
    tail -n 15 "$copy/log" | sed 's/^/        /'
    failed=$((failed + 1))
  fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
