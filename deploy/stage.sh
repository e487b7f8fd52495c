#!/usr/bin/env bash
# Puts into dist/ what the Dockerfile copies: stage.sh [ARCH].
set -euo pipefail
cd "$(dirname "$0")/.."
arch=${1:-$(go env GOARCH)}
mkdir -p dist/data
(cd release && go run . -stage ../dist "linux/$arch")
cp /etc/ssl/certs/ca-certificates.crt dist/ca-certificates.crt
