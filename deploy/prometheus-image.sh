#!/usr/bin/env bash
# Builds an image of Prometheus from its Debian package, for machines that
# reach no image registry. A directory that has the binary already can be named.
#
#   deploy/prometheus-image.sh NAME [DIR]
set -euo pipefail
name=${1:?name the image to build}
here=$(cd "$(dirname "$0")" && pwd)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
package=${2:-$work/package}
[ -x "$package/prometheus" ] || "$here/prometheus-package.sh" "$package"

mkdir -p "$work/context/rootfs/bin" "$work/context/data"
cp "$package/prometheus" "$work/context/rootfs/bin/"
# The libraries that it is linked with, at the paths where it looks for them.
for library in $(ldd "$package/prometheus" | grep -o '/[^ ]*'); do
	install -D "$library" "$work/context/rootfs$library"
done
docker build -q -f "$here/prometheus.Dockerfile" -t "$name" "$work/context"
