# balorg: see README.md. `make demo` shows it, `make test` proves it.

GO ?= go
export GOFLAGS := -buildvcs=false
TOOLS := $(CURDIR)/.tools
STATICCHECK := $(TOOLS)/staticcheck
GOLANGCI := $(TOOLS)/golangci-lint
PEERS := sh e2e/peers.sh

.PHONY: demo test peers vet unit race e2e lint fmt bench build powercut crash fuzz clean

demo: build
	@./balorg demo $(if $(KEEP),--state '$(KEEP)')

build:
	$(GO) build -trimpath -o balorg ./cmd/balorg

# Everything that must hold before a change lands.
test: peers vet race e2e

# The real clients and servers that tests drive; installed when this may be done, else what is missing is named.
peers:
	$(PEERS)

vet: $(STATICCHECK)
	$(GO) vet ./...
	$(STATICCHECK) ./...

unit:
	$(GO) test -shuffle=on ./...

# Unit, session, gateway and script tests, all under the race detector.
race:
	CGO_ENABLED=1 $(GO) test -race -shuffle=on -timeout 12m $$($(GO) list ./... | grep -v -e /e2e -e /bench)

e2e:
	$(GO) test -count=1 -timeout 10m ./e2e/...

lint: $(GOLANGCI)
	$(GOLANGCI) run ./...
	$(GOLANGCI) fmt --diff

fmt: $(GOLANGCI)
	$(GOLANGCI) fmt

# Our daemon and its peers side by side in one run; prints ratios. ARGS='-part proxy -only ENVELOPE' runs a part of it.
bench:
	$(PEERS) bench
	$(GO) run ./bench $(ARGS)

# A longer look for crashes: 100 rounds of SIGKILL during parallel APPENDs, and as many during parallel submissions.
crash:
	$(GO) test -v -count=1 -timeout 60m -run TestKill ./e2e -kill-rounds 100

# A longer look for input that breaks the grammar or a session: each target for a minute.
fuzz:
	grep -rl '^func Fuzz' --include='*_test.go' . | while read -r file; do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9]*\)(.*/\1/p' "$$file"); do \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime 60s "./$$(dirname "$$file")" || exit 1; \
		done; \
	done

# What a power cut leaves on disk; root and a loop device.
powercut:
	$(GO) test -count=1 -timeout 30m -tags powercut ./e2e/powercut

$(STATICCHECK):
	GOBIN=$(TOOLS) $(GO) install honnef.co/go/tools/cmd/staticcheck@v0.8.2

$(GOLANGCI):
	GOBIN=$(TOOLS) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

clean:
	rm -rf balorg $(TOOLS)
