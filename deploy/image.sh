#!/usr/bin/env bash
# Builds the image into an OCI archive: image.sh FILE [ARCH]. As root; no daemon, nothing from a registry.
# Podman and Docker load the file; `skopeo copy oci-archive:FILE docker://REGISTRY/NAME` publishes it. The same commit gives the same
# layers: times are SOURCE_DATE_EPOCH, else the commit's.
set -euo pipefail
out=$(realpath -m "${1:?into which file?}")
cd "$(dirname "$0")/.."
arch=${2:-$(go env GOARCH)}
at=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}

deploy/stage.sh "$arch"
mkdir -p "$(dirname "$out")"
work=$(mktemp -d)
store=(buildah --storage-driver vfs --root "$work/root" --runroot "$work/run")
trap '"${store[@]}" rmi --all >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
"${store[@]}" bud --quiet --isolation chroot --arch "$arch" --timestamp "$at" --tag partway . >/dev/null
rm -f "$out"
"${store[@]}" push --quiet partway "oci-archive:$out:partway"
echo "$out"
