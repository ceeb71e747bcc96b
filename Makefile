# The README's commands, and what wraps them.

.PHONY: test lint fuzz bench demo build rootfs image containers

build:
	go build -o bin/proctor ./cmd/node

# Simulations have one goroutine, so they and what takes long for other reasons
# run without the race detector.
test: lint
	go test -race -timeout 20m ./...
	go test -run 'TestSimulation_|TestDemo_|TestQuickstart' ./testnet ./cmd/node ./docs

lint:
	test -z "$$(gofmt -l .)" || { gofmt -l .; exit 1; }
	go vet ./...
	go tool staticcheck ./...

# A while of fuzzing for every target; the seeds run with every test.
FUZZTIME ?= 10s
fuzz:
	@for file in $$(grep -rl --include='*_test.go' '^func Fuzz' .); do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $$file); do \
			echo "$$(dirname $$file) $$target"; \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) ./$$(dirname $$file) || exit 1; \
		done; \
	done

# One table of every ratio, from one run. Figures on shared machines are
# noisy; the ratios are what to read.
bench:
	@go test -run '^$$' -bench . -benchtime 9x -timeout 30m ./... | awk -f bench.awk

demo:
	go run ./cmd/node demo

# What deploy/Dockerfile puts into the image: a static binary, the BLS library
# for any processor of its kind, names resolved by Go; and a directory for data.
rootfs:
	mkdir -p bin/rootfs/data
	CGO_ENABLED=1 CGO_CFLAGS="-O2 -D__BLST_PORTABLE__" go build -trimpath -tags netgo,osusergo \
		-ldflags "-s -w -linkmode external -extldflags '-static'" -o bin/rootfs/proctor ./cmd/node

image: rootfs
	docker build --target prebuilt -f deploy/Dockerfile -t proctor:local bin/rootfs

# Prometheus and promtool of the Debian package, for machines that have neither.
bin/prometheus:
	deploy/prometheus-package.sh $@

# A cluster in containers, what may befall it, and what Prometheus sees of that.
containers: bin/prometheus
	deploy/check.sh
