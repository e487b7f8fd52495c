#!/usr/bin/env bash
# Installs what the tests run: Debian packages for the servers and clients that Debian has, the rest into .deps/ of this
# repository. Says what it installs; does nothing when all is there.
set -euo pipefail
unset AWS_CA_BUNDLE

top=$(cd "$(dirname "$0")/../.." && pwd)
deps=$top/.deps
versitygw=v1.8.0
minio=v0.0.0-20260212201848-7aac2a2c5b7c # its last commit
pip_packages=(awscli==1.45.11 boto3==1.43.11 setuptools==80.9.0)
npm_packages=(@aws-sdk/client-s3@3.928.0) # the last line that runs on Node 18

say() { printf 'deps: %s\n' "$*"; }

PATH=$PATH:/usr/sbin # where Debian keeps nginx, outside a plain user's PATH

# package:program
debian=(
  redis-server:redis-server
  nginx-light:nginx
  haproxy:haproxy
  curl:curl
  gcc:gcc libc6-dev:gcc # the race detector links with cgo
  python3:python3
  nodejs:node npm:npm
  prometheus:promtool # reads and tries the alerts
  buildah:buildah # the image, built without a daemon
  systemd:systemd-analyze # what it makes of the units; nothing is started
  default-jdk-headless:javac maven:mvn # a MongoDB-compatible server
)
missing=()
for entry in "${debian[@]}"; do
  command -v "${entry#*:}" >/dev/null || missing+=("${entry%%:*}")
done
# Debian splits ensurepip out of python3; without it a venv has no pip.
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
# And what nginx balances connections with out of nginx.
[ -e /usr/lib/nginx/modules/ngx_stream_module.so ] || missing+=(libnginx-mod-stream)
if [ ${#missing[@]} -gt 0 ]; then
  say "apt-get install ${missing[*]}"
  sudo=()
  [ "$(id -u)" = 0 ] || sudo=(sudo)
  "${sudo[@]}" apt-get update -qq
  # Their own services stay down: the tests start private ones on free ports.
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
fi

if ! [ -x "$deps/bin/versitygw" ] || ! [ -e "$deps/bin/.versitygw-$versitygw" ]; then
  say "versitygw $versitygw into .deps/bin (S3 storage for the tests)"
  GOBIN=$deps/bin CGO_ENABLED=0 GOFLAGS= go install "github.com/versity/versitygw/cmd/versitygw@$versitygw"
  rm -f "$deps"/bin/.versitygw-* && touch "$deps/bin/.versitygw-$versitygw"
fi

if ! [ -x "$deps/bin/minio" ] || ! [ -e "$deps/bin/.minio-$minio" ]; then
  say "minio $minio into .deps/bin (S3 storage with STS for the tests, AGPL: only ever a process of its own; builds for minutes)"
  GOBIN=$deps/bin CGO_ENABLED=0 GOFLAGS= go install -ldflags '-s -w' "github.com/minio/minio@$minio"
  rm -f "$deps"/bin/.minio-* && touch "$deps/bin/.minio-$minio"
fi

stamp=$deps/venv/.installed
if [ "$(cat "$stamp" 2>/dev/null)" != "${pip_packages[*]}" ]; then
  say "${pip_packages[*]} into .deps/venv"
  [ -x "$deps/venv/bin/pip" ] || python3 -m venv "$deps/venv"
  "$deps/venv/bin/pip" install --quiet --disable-pip-version-check "${pip_packages[@]}"
  echo "${pip_packages[*]}" >"$stamp"
fi

stamp=$deps/js/.installed
if [ "$(cat "$stamp" 2>/dev/null)" != "${npm_packages[*]}" ]; then
  say "${npm_packages[*]} into .deps/js"
  npm install --prefix "$deps/js" --no-audit --no-fund --loglevel=error "${npm_packages[@]}"
  echo "${npm_packages[*]}" >"$stamp"
fi
"$top/e2e/deps/mongodb.sh"
"$top/e2e/deps/clients.sh"
"$top/e2e/deps/browser.sh"
say "ready in $deps"
