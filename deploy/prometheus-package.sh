#!/usr/bin/env bash
# Takes prometheus and promtool out of Debian's package, into a directory.
# Nothing is installed.
#
#   deploy/prometheus-package.sh DIR
set -euo pipefail
dir=${1:?name the directory to write to}
mkdir -p "$dir"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Lists of packages that are missing or old name none that can be had.
(cd "$work" && { apt-get download -q prometheus || { apt-get update -q && apt-get download -q prometheus; }; }) >&2
dpkg-deb -x "$work"/prometheus_*.deb "$work/package"
cp "$work"/package/usr/bin/{prometheus,promtool} "$dir/"
