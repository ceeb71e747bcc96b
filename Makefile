# The README's commands, and what wraps them.

.PHONY: test lint fuzz bench demo build

build:
	go build -o bin/proctor ./cmd/node

test: lint
	go test -race ./...

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
