#!/usr/bin/env bash
# Installs the S3 clients that the tests drive: those that Debian has from there, the rest into .deps/. With the argument
# "heavy" also those that take minutes or much disk: the Java SDK and the Rust SDK, for `make e2e-clients`. Does nothing when all is
# there.
set -euo pipefail
unset AWS_CA_BUNDLE

top=$(cd "$(dirname "$0")/../.." && pwd)
deps=$top/.deps
clients=$top/e2e/clients
mc=v0.0.0-20250313080218-cf909e1063a9

say() { printf 'deps: %s\n' "$*"; }

# fresh STAMP WHAT: it is installed already, in these versions.
fresh() { [ "$(cat "$1" 2>/dev/null)" = "$2" ]; }

missing=()
for program in s3cmd rclone restic; do
  command -v "$program" >/dev/null || missing+=("$program")
done
[ -x /usr/bin/aws ] || missing+=(awscli) # version 2, for the plugin; version 1 is in .deps/venv
command -v npm >/dev/null || missing+=(nodejs npm)
if [ ${#missing[@]} -gt 0 ]; then
  say "apt-get install ${missing[*]}"
  sudo=()
  [ "$(id -u)" = 0 ] || sudo=(sudo)
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
fi

js=$deps/clients-js
wanted=$(cat "$clients/js/package.json" "$clients/js/package-lock.json" | cksum)
if ! fresh "$js/.installed" "$wanted"; then
  say "AWS SDKs for JavaScript into .deps/clients-js"
  mkdir -p "$js"
  cp "$clients/js/package.json" "$clients/js/package-lock.json" "$js/"
  (cd "$js" && npm ci --ignore-scripts --no-audit --no-fund --loglevel error)
  echo "$wanted" >"$js/.installed"
fi

# AGPL: a process beside the tests, never a part of what is built.
if ! [ -x "$deps/bin/mc" ] || ! [ -e "$deps/bin/.mc-$mc" ]; then
  say "mc $mc into .deps/bin"
  GOBIN=$deps/bin CGO_ENABLED=0 GOFLAGS= go install "github.com/minio/mc@$mc"
  rm -f "$deps"/bin/.mc-* && touch "$deps/bin/.mc-$mc"
fi

[ "${1:-}" = heavy ] || exit 0

java=$deps/java
wanted=$(cat "$clients/java/pom.xml" "$clients/java/Work.java" | cksum)
if ! fresh "$java/.installed" "$wanted"; then
  say "AWS SDK for Java into .deps/java"
  mvn --quiet --batch-mode -f "$clients/java/pom.xml" -DbuildDirectory="$java/maven" dependency:copy-dependencies -DoutputDirectory="$java/lib"
  javac -cp "$java/lib/*" -d "$java/classes" "$clients/java/Work.java"
  echo "$wanted" >"$java/.installed"
fi

if command -v cargo >/dev/null; then
  # A few minutes, once; later only what changed.
  CARGO_TERM_COLOR=never CARGO_TARGET_DIR=$deps/rust cargo build --quiet --manifest-path "$clients/rust/Cargo.toml"
else
  say "no cargo: the Rust SDK cannot be built" >&2
  exit 1
fi
