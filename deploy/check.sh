#!/usr/bin/env bash
# Runs the cluster of compose.yaml on the container engine that is there: four
# nodes become healthy and make a platform quorum, three of them ask it for a
# ban of the fourth, Prometheus sees the flag on all four, and a node that is cut
# off becomes unhealthy and recovers. Leaves nothing behind. Progress goes to
# standard error, the result to standard output.
#
# Without an engine there is nothing to check: a failure where CI is set, and
# elsewhere said and passed over.
set -euo pipefail
cd "$(dirname "$0")/.."

began=$SECONDS
say() { printf '%4d s  %s\n' $((SECONDS - began)) "$*" >&2; }
failure="" # repeated at the end, below the containers' logs
fail() {
	failure=$*
	say "FAILED: $failure"
	exit 1
}

if ! timeout 20 docker info >/dev/null 2>&1; then
	[ -z "${CI:-}" ] || fail "no container engine answers 'docker info', and CI is set"
	say "skipped: no container engine answers 'docker info'"
	exit 0
fi
if [ -n "${COMPOSE:-}" ]; then # to try one flavour where both are there
	read -ra compose <<<"$COMPOSE"
elif docker compose version >/dev/null 2>&1; then
	compose=(docker compose)
elif command -v docker-compose >/dev/null; then
	compose=(docker-compose)
else
	fail "neither 'docker compose' nor 'docker-compose' is there"
fi
for tool in curl jq; do
	command -v $tool >/dev/null || fail "$tool is not there"
done

# Nothing that is set outside, and nothing that runs already, has a part in it.
work=$(mktemp -d)
export COMPOSE_PROJECT_NAME=proctor-check-$$
export NODE_IMAGE=proctor:check-$$ PROMETHEUS_IMAGE=prometheus:check-$$ PROMETHEUS_PORT=
unset NETWORK_DIR NETWORK_USER COMPOSE_FILE
flavour="${compose[*]} $("${compose[@]}" version --short)"
compose+=(--env-file "$work/network/compose.env" -f deploy/compose.yaml)

finish() {
	code=$?
	trap - EXIT
	if [ -e "$work/network/compose.env" ]; then
		if [ $code != 0 ]; then
			cat "$work/request" >&2 2>/dev/null || true
			"${compose[@]}" ps >&2 || true
			"${compose[@]}" logs --no-color --tail=60 >&2 || true
		fi
		"${compose[@]}" down --volumes --timeout 10 >"$work/down" 2>&1 || { code=1; cat "$work/down" >&2; }
	fi
	docker image rm -f "$NODE_IMAGE" "$PROMETHEUS_IMAGE" >/dev/null 2>&1 || true
	rm -rf "$work"
	say "the cluster is gone; exit code $code${failure:+: $failure}"
	exit $code
}
trap finish EXIT
trap 'failure="line $LINENO"' ERR
trap 'exit 130' INT TERM

# await SECONDS WHAT COMMAND... tries until the command succeeds.
await() {
	local limit=$1 what=$2 since=$SECONDS
	shift 2
	until "$@"; do
		[ $((SECONDS - since)) -lt "$limit" ] || fail "waited $limit s for $what"
		sleep 0.5
	done
	say "$what, after $((SECONDS - since)) s"
}

nodes=(evo-1 evo-2 evo-3 evo-4)
container() { "${compose[@]}" ps -q "$1"; }
proctor() { docker exec "$(container "$1")" /proctor "${@:2}"; }
has_health() { [ "$(docker inspect -f '{{.State.Health.Status}}' "$(container "$1")")" = "$2" ]; }
all_healthy() {
	for n in "${nodes[@]}"; do has_health "$n" healthy || return 1; done
}
height() { proctor "$1" health --json | jq .height; }
mined() { [ "$(height evo-1)" -ge 2 ]; }
asks() { proctor "$1" ban request "$target" >"$work/request" 2>&1; }

# count EXPRESSION is how many series Prometheus finds for it.
count() {
	curl -sf -m 5 "http://$prometheus/api/v1/query" --data-urlencode "query=count($1)" | jq -r '.data.result[0].value[1] // "0"'
}
counts() { [ "$(count "$1")" = "$2" ]; }

say "build the binary"
make -s rootfs
say "build the image of a node"
docker build -q --target prebuilt -f deploy/Dockerfile -t "$NODE_IMAGE" bin/rootfs >"$work/build" 2>&1 || { cat "$work/build" >&2; fail "the image of a node"; }
say "build the image of Prometheus"
deploy/prometheus-image.sh "$PROMETHEUS_IMAGE" >"$work/build" 2>&1 || { cat "$work/build" >&2; fail "the image of Prometheus"; }

# The first quorum is mined in block 35 and signs from block 43 on.
bin/rootfs/proctor testnet init --slot 500ms "$work/network" >"$work/members"
target=$(awk '$1 == "evo-4" { print $2 }' "$work/members")
say "start the cluster with $flavour"
"${compose[@]}" up -d >"$work/up" 2>&1 || { cat "$work/up" >&2; fail "the cluster does not start"; }
await 60 "all four are healthy" all_healthy
await 30 "blocks are made" mined

prometheus=$("${compose[@]}" port prometheus 9090)
await 30 "Prometheus scrapes all four" counts 'up{job="proctor"} == 1' 4
[ "$(count 'proctor_platform_ban_flags == 1')" = 0 ] || fail "a flag is set before any ban"

for n in evo-1 evo-2 evo-3; do # a threshold; no node asks for a ban of itself
	await 60 "$n asks its quorum for the ban" asks "$n"
done
await 30 "Prometheus sees the flag on all four" counts 'proctor_platform_ban_flags == 1' 4
await 10 "Prometheus sees a ban in all four inventories" counts 'proctor_inventory_bans >= 1' 4
# The one that nobody asked heard it from a peer.
heard='proctor_gossip_judged_total{topic=~".*platformban.*",outcome="accept",instance=~"evo-4:.*"} >= 1'
await 10 "Prometheus sees that evo-4 accepted a peer's ban" counts "$heard" 1

network=$(docker inspect -f '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}}{{end}}' "$(container evo-4)")
say "cut evo-4 off its network"
docker network disconnect "$network" "$(container evo-4)"
await 90 "evo-4 is unhealthy" has_health evo-4 unhealthy
await 15 "Prometheus misses one" counts 'up{job="proctor"} == 0' 1
docker network connect --alias evo-4 "$network" "$(container evo-4)"
await 60 "all four are healthy again" all_healthy
await 15 "Prometheus scrapes all four again" counts 'up{job="proctor"} == 1' 4

# value NODE METRIC reads one gauge.
value() {
	curl -sf -m 5 "http://$prometheus/api/v1/query" --data-urlencode "query=$2{instance=\"$1:9464\"}" | jq -r '.data.result[0].value[1]'
}
printf '%-8s %8s %8s %8s %8s %10s\n' NODE HEIGHT SYNCED PEERS FLAGS INVENTORY
for n in "${nodes[@]}"; do
	printf '%-8s %8s %8s %8s %8s %10s\n' "$n" "$(value "$n" proctor_tip_height)" "$(value "$n" proctor_synced)" \
		"$(value "$n" proctor_gossip_peers)" "$(value "$n" proctor_platform_ban_flags)" "$(value "$n" proctor_inventory_bans)"
done
say "done"
