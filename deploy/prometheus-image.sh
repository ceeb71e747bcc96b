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
# Lists of packages that are missing or old name none that can be had.
apt-get download -q prometheus >&2 || { apt-get update -q >&2 && apt-get download -q prometheus >&2; }
dpkg-deb -x prometheus_*.deb package

mkdir -p context/rootfs/bin context/data
cp package/usr/bin/prometheus context/rootfs/bin/
# The libraries that it is linked with, at the paths where it looks for them.
for library in $(ldd package/usr/bin/prometheus | grep -o '/[^ ]*'); do
	install -D "$library" "context/rootfs$library"
done
docker build -q -f "$here/prometheus.Dockerfile" -t "$name" context
