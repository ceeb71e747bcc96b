#!/usr/bin/env bash
# Builds an image of Prometheus from its Debian package, for machines that
# reach no image registry.
#
#   deploy/prometheus-image.sh NAME
set -euo pipefail
name=${1:?name the image to build}
here=$(cd "$(dirname "$0")" && pwd)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download -q prometheus 2>&1 | grep -v 'unsandboxed' >&2 || true
set -- prometheus_*.deb
[ -f "$1" ] || { echo "prometheus-image: apt-get download brought no package of prometheus: run apt-get update" >&2; exit 1; }
dpkg-deb -x "$1" package

mkdir -p context/rootfs/bin context/data
cp package/usr/bin/prometheus context/rootfs/bin/
# The libraries that it is linked with, at the paths where it looks for them.
for library in $(ldd package/usr/bin/prometheus | grep -o '/[^ ]*'); do
	install -D "$library" "context/rootfs$library"
done
docker build -q -f "$here/prometheus.Dockerfile" -t "$name" context
