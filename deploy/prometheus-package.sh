#!/usr/bin/env bash
# Unpacks Debian's package of Prometheus into a directory, which then has
# usr/bin/prometheus and usr/bin/promtool. Nothing is installed.
#
#   deploy/prometheus-package.sh DIR
set -euo pipefail
dir=${1:?name the directory to unpack to}
mkdir -p "$dir"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Lists of packages that are missing or old name none that can be had.
(cd "$work" && { apt-get download -q prometheus || { apt-get update -q && apt-get download -q prometheus; }; }) >&2
dpkg-deb -x "$work"/prometheus_*.deb "$dir"
