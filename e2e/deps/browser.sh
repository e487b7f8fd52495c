#!/usr/bin/env bash
# What the tests of the pages need: Debian's Chromium, a driver for it, and two applications with Uppy, bundled into .deps/browser/bundles.
set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
deps=$top/.deps/browser
from=$top/e2e/browser

if ! command -v chromium >/dev/null; then
  printf 'deps: apt-get install chromium\n'
  sudo=()
  [ "$(id -u)" = 0 ] || sudo=(sudo)
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium >/dev/null
fi

wanted=$(cat "$from"/package*.json "$from"/uppy?/package*.json "$from"/uppy?/app.js | cksum)
if [ "$(cat "$deps/.installed" 2>/dev/null)" != "$wanted" ]; then
  printf 'deps: Playwright, axe and Uppy into .deps/browser\n'
  for package in . uppy5 uppy6; do
    mkdir -p "$deps/$package"
    cp "$from/$package"/package*.json "$deps/$package/"
    (cd "$deps/$package" && npm ci --ignore-scripts --no-audit --no-fund --loglevel error)
  done
  for app in uppy5 uppy6; do
    cp "$from/$app/app.js" "$deps/$app/"
    (cd "$deps/$app" && ../node_modules/.bin/rolldown app.js --format esm --minify --file "../bundles/$app.js" --log-level warn)
  done
  echo "$wanted" >"$deps/.installed"
fi
ln -sfn "$deps/node_modules" "$from/node_modules"
