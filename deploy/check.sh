#!/usr/bin/env bash
# Runs a network of seven nodes, as `proctor testnet init` writes it, on the
# container engine that is there. One node is killed and comes back with its
# data; one is paused, decommissioned, and recommissioned once it goes on; the
# evonodes make a quorum, three of them ask it for a ban of the fourth, and
# every node flags it; that one is cut off the network and healed; in the end
# all are taken down and started again. Each is seen by the nodes' own commands
# and by Prometheus, whose alerts fire and resolve. Every query of every rule,
# alert and panel is asked once. Leaves nothing behind. Progress goes to
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
for tool in curl jq; do
	command -v $tool >/dev/null || fail "$tool is not there"
done

# Nothing that is set outside, and nothing that runs already, has a part in it.
work=$(mktemp -d)
net=$work/network
proctor=$PWD/bin/rootfs/proctor
unset "${!COMPOSE_@}" "${!NETWORK_@}" PROMETHEUS_PORT GRAFANA_PORT GRAFANA_IMAGE
export COMPOSE_PROJECT_NAME=proctor-check-$$
export NODE_IMAGE=proctor:check-$$ PROMETHEUS_IMAGE=prometheus:check-$$

finish() {
	code=$?
	trap - EXIT
	if [ -e "$net/compose.yaml" ]; then
		if [ $code != 0 ]; then
			cat "$work/output" >&2 2>/dev/null || true
			"$proctor" testnet status "$net" >&2 || true
			"$proctor" testnet logs "$net" --tail 40 >&2 || true
		fi
		for c in $(docker ps -q --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" --filter status=paused); do
			docker unpause "$c" >/dev/null || true
		done
		"$proctor" testnet down "$net" --volumes >"$work/down" 2>&1 || { code=1; cat "$work/down" >&2; }
	fi
	docker image rm -f "$NODE_IMAGE" "$PROMETHEUS_IMAGE" >/dev/null 2>&1 || true
	rm -rf "$work"
	say "the network is gone; exit code $code${failure:+: $failure}"
	exit $code
}
trap finish EXIT
trap 'failure="line $LINENO"' ERR
trap 'exit 130' INT TERM

# await SECONDS WHAT COMMAND... tries until the command succeeds.
await() {
	local limit=$1 what=$2 since=$SECONDS
	shift 2
	until "$@" >"$work/output" 2>&1; do
		[ $((SECONDS - since)) -lt "$limit" ] || fail "waited $limit s for: $what"
		sleep 0.3
	done
	say "$what, after $((SECONDS - since)) s"
}

# What the nodes say themselves.
container() { docker ps -aq --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" --filter "label=com.docker.compose.service=$1"; }
ask() { docker exec "$(container "$1")" /proctor "${@:2}"; }
registry() { ask regular-1 nodes --json | jq -er ".[] | select(.name == \"$1\") | .$2"; }
is() { [ "$(registry "$1" "$2")" = "$3" ]; }
healthy() { ask "$1" health; }

# What Prometheus says: number of series, value of the only one, alerts that fire.
query() { curl -sf -m 5 "http://$prometheus/api/v1/query" --data-urlencode "query=$1"; }
counts() { [ "$(query "count($1)" | jq -r '.data.result[0].value[1] // "0"')" = "$2" ]; }
value() { query "$1" | jq -er '.data.result[0].value[1]'; }
firing() { counts "ALERTS{alertstate=\"firing\",alertname=\"$1\",instance=~\"$2\"}" 1; }
quiet() { counts "ALERTS{alertname=\"$1\",instance=~\"$2\"}" 0; }
reached() { [ "$(value 'job:proctor_tip_height:max')" -ge "$1" ]; }
agreed() { [ "$(value 'min(proctor_final_height)')" -ge "$1" ]; } # two final blocks in conflict stop a node

say "build the binary"
make -s rootfs
say "build the image of a node"
docker build -q --target prebuilt -f deploy/Dockerfile -t "$NODE_IMAGE" bin/rootfs >"$work/output" 2>&1 || fail "the image of a node: $(cat "$work/output")"
say "build the image of Prometheus"
deploy/prometheus-image.sh "$PROMETHEUS_IMAGE" bin/prometheus >"$work/output" 2>&1 || fail "the image of Prometheus: $(cat "$work/output")"

"$proctor" testnet init --nodes 7 --evonodes 4 --profile core --slot 500ms --out "$net" >"$work/members"
prometheus=127.0.0.1:$(sed -n 's/^PROMETHEUS_PORT=//p' "$net/.env")
since=$SECONDS
"$proctor" testnet up "$net"
first=$((SECONDS - since))
await 30 "Prometheus scrapes all seven" counts 'up{job="proctor"} == 1' 7

# Killed: what is on its disk is all it has.
await 30 "block 8" reached 8
docker kill "$(container regular-2)" >/dev/null
await 20 "Prometheus misses regular-2" counts 'up{job="proctor"} == 1' 6
docker start "$(container regular-2)" >/dev/null
await 30 "regular-2 is healthy again" healthy regular-2
docker logs "$(container regular-2)" 2>&1 | grep 'node starts' | tail -1 | grep -qE 'height=[1-9]' || fail "regular-2 did not go on with its data"
await 20 "Prometheus scrapes all seven again" counts 'up{job="proctor"} == 1' 7

# Paused: testers take it out of service, and bring it back.
await 60 "block 24, where key generation begins" reached 24
docker pause "$(container regular-3)" >/dev/null
await 90 "regular-3 is decommissioned" is regular-3 state decommissioned
await 40 "ProofStale fires on the six others" counts 'ALERTS{alertstate="firing",alertname="ProofStale"}' 6
await 40 "NodeDown fires for regular-3" firing NodeDown regular-3
await 20 "Prometheus counts one decommissioned node on the six others" counts 'proctor_service_nodes{state="decommissioned"} == 1' 6
docker unpause "$(container regular-3)" >/dev/null
await 30 "NodeDown resolves" quiet NodeDown regular-3
await 30 "ProofStale resolves" quiet ProofStale '.*'
await 90 "regular-3 is recommissioned" is regular-3 state active
await 20 "Prometheus counts no decommissioned node on all seven" counts 'proctor_service_nodes{state="decommissioned"} == 0' 7
await 20 "CreditLow fires for regular-3, which paid for it" firing CreditLow regular-3

# Banned: by the first quorum that key generation made.
for n in evo-1 evo-2 evo-3; do # a threshold; no node asks for a ban of itself
	await 90 "$n asks its quorum for a ban of evo-4" ask "$n" ban request evo-4
done
await 60 "Prometheus sees the flag on all seven" counts 'proctor_platform_ban_flags == 1' 7
is evo-4 platform_ban_flag true || fail "regular-1 shows no flag of evo-4"
await 30 "OwnNodeBanned fires for evo-4" firing OwnNodeBanned evo-4

# Cut off.
network=$(docker inspect -f '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}}{{end}}' "$(container evo-4)")
docker network disconnect "$network" "$(container evo-4)"
await 40 "NodeDown fires for evo-4, cut off its network" firing NodeDown evo-4
healed=$(value 'job:proctor_tip_height:max')
docker network connect --alias evo-4 "$network" "$(container evo-4)"
await 60 "evo-4 is healthy again" healthy evo-4
await 30 "NodeDown resolves" quiet NodeDown evo-4
await 60 "all seven follow the chain" counts 'job:proctor_following:ratio == 1' 1
await 60 "what was the tip at the healing is final on all seven" agreed "$healed"

# Every query of every panel finds something, every rule can be evaluated.
asked=0
while IFS= read -r expr; do
	asked=$((asked + 1))
	[ "$(query "${expr//\$node/.*}" | jq '.data.result | length')" -gt 0 ] || fail "a panel finds nothing: $expr"
done < <(jq -r '.panels[].targets[].expr' "$net"/grafana/dashboards/*.json)
curl -sf -m 5 "http://$prometheus/api/v1/rules" >"$work/rules"
jq -e '[.data.groups[].rules[] | select(.health != "ok")] == []' "$work/rules" >/dev/null || fail "rules that fail: $(jq -c '[.data.groups[].rules[] | select(.health != "ok") | {name, lastError}]' "$work/rules")"
while IFS= read -r rule; do
	[ "$(query "$rule" | jq '.data.result | length')" -gt 0 ] || fail "the rule $rule records nothing"
done < <(jq -r '.data.groups[].rules[] | select(.type == "recording") | .name' "$work/rules")
say "$asked queries of panels and $(jq '[.data.groups[].rules[]] | length' "$work/rules") rules find what they ask for"

printf '%-34s %s\n' "first start, seven healthy" "$first s" \
	"memory of a node, largest" "$(value 'max(process_resident_memory_bytes) / 1048576' | cut -d. -f1) MiB" \
	"processor, all seven, of one core" "$(value 'round(100 * sum(rate(process_cpu_seconds_total{job="proctor"}[1m])))') %" \
	"scrape, series" "$(value 'max(scrape_samples_scraped{job="proctor"})')" \
	"scrape, seconds" "$(value 'avg(quantile_over_time(0.5, scrape_duration_seconds{job="proctor"}[1m]))')"

# Down and up: nothing is forgotten.
"$proctor" testnet down "$net" >"$work/output" 2>&1 || fail "down: $(cat "$work/output")"
since=$SECONDS
"$proctor" testnet up "$net"
printf '%-34s %s\n' "second start, seven healthy" "$((SECONDS - since)) s"
await 30 "all seven still have the flag" counts 'proctor_platform_ban_flags == 1' 7
"$proctor" testnet status "$net"
say "done"
