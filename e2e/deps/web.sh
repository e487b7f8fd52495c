#!/usr/bin/env bash
# Builds the pages: web/ into web/dist/, with the packages of its lock file in .deps/web.
set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
deps=$top/.deps/web
web=$top/web

wanted=$(cat "$web/package.json" "$web/package-lock.json" | cksum)
if [ "$(cat "$deps/.installed" 2>/dev/null)" != "$wanted" ]; then
  printf 'web: packages into .deps/web\n'
  mkdir -p "$deps"
  cp "$web/package.json" "$web/package-lock.json" "$deps/"
  (cd "$deps" && npm ci --ignore-scripts --no-audit --no-fund --loglevel error)
  echo "$wanted" >"$deps/.installed"
fi
ln -sfn "$deps/node_modules" "$web/node_modules"
cd "$web"
find dist -mindepth 1 ! -name README -delete
npm run --silent build -- --logLevel warn
