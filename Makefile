# Everything a developer or CI runs. Tools and test servers go to .deps/ (ignored by git), apart from the few Debian packages that
# e2e/deps/install.sh names as it installs them.

GO      ?= go
DEPS    := $(CURDIR)/.deps
FUZZ    ?= 20s
ARCH    ?= $(shell $(GO) env GOARCH)
LINT    := $(DEPS)/bin/golangci-lint
LINT_AT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.5.0

export PATH := $(DEPS)/bin:$(PATH)

# Tools built on the Go SDK refuse plain http endpoints while a CA bundle is configured; tests that want a CA name it themselves.
unexport AWS_CA_BUNDLE

.PHONY: build web deps test unit portable shims release-test e2e soak e2e-clients compatibility nightly lint bench bench-compare fuzz mutate release image compose clean

build: ## bin/partway, static
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/partway ./cmd/partway

web: ## web/dist: the pages, which `make build` then puts into the binary; needs Node 20
	@e2e/deps/web.sh

deps: ## what the tests need; quick when it is there
	@e2e/deps/install.sh

test: deps web unit portable release-test e2e ## everything, with the servers

unit: shims ## our packages, against Redis and MongoDB-compatible servers too
	$(GO) vet -tags servers ./...
	$(GO) vet -tags failpoints ./cmd/partway
	$(GO) test -race -tags servers ./...

portable: ## the commands of clients on macOS and Windows build, and vet finds nothing
	@for os in darwin windows; do \
	  echo "$$os"; GOOS=$$os CGO_ENABLED=0 $(GO) vet -tags nodemo ./agent && GOOS=$$os CGO_ENABLED=0 $(GO) build -tags nodemo -o /dev/null ./cmd/partway || exit 1; \
	done

shims: ## the rules of the clients' shims; e2e drives them
	cd clients/go && $(GO) vet ./... && $(GO) test -race ./...
	cd clients/python && python3 -B -m unittest discover -s tests -t .
	cd clients/js && node --test test/

release-test: web ## two releases of this commit, for Linux, are the same; nothing is in them under a licence that is not allowed
	cd release && $(GO) vet ./... && $(GO) test -race -count 1 ./...

e2e: web ## the built binary, driven by real clients against real servers
	cd e2e && $(GO) vet ./... && $(GO) test -race -timeout 40m ./...

soak: deps ## the long forms: hours, on loopback alone; e2e/soak_test.go says which variables bound them
	cd e2e && $(GO) vet -tags soak ./... && $(GO) test -race -count 1 -timeout 4h -v -tags soak -run '^TestSoak' $(SOAK) .

e2e-clients: ## the stock clients again, and those that take minutes to install: the Java and Rust SDKs
	@e2e/deps/clients.sh heavy
	cd e2e && $(GO) vet -tags clients ./... && $(GO) test -race -count 1 -timeout 20m -tags clients -run '^Test(Clients|Exec)' .

compatibility: ## docs/compatibility.md, from what e2e-clients finds
	@mkdir -p docs && rm -f $(DEPS)/results.jsonl
	PARTWAY_E2E_RESULTS=$(DEPS)/results.jsonl $(MAKE) e2e-clients
	cd e2e && $(GO) run ./compatibility <$(DEPS)/results.jsonl >../docs/compatibility.md

RESUME := TestKilledClientsGoOn|TestTwoWritersNeverMixTheirFiles|TestWhatHappensBeforeAnUploadIsTakenUp|TestAURLFromBeforeIsUsedLate

nightly: deps web ## what takes too long for every run: the clients, multipart and resuming with MinIO as storage, 10,000 parts that really go up, resuming by every client and of a GiB, 30 GiB through the page
	cd e2e && PARTWAY_E2E_STORAGE=minio $(GO) test -race -count 1 -timeout 40m -run '^(TestClients|TestMultipartToTheLetter|TestChecksumsOfEveryAlgorithm|$(RESUME))$$' .
	cd e2e && $(GO) test -race -count 1 -timeout 60m -v -tags nightly -run '^(TestTenThousandPartsOfAnUpload|TestResumeByEveryClient|TestResumeOfAGiB|TestTwoWritersAHundredTimes)$$' .
	cd release && PARTWAY_RELEASE_TARGETS=all $(GO) test -count 1 -timeout 40m .
	cd e2e && $(GO) test -count 1 -timeout 100m -v -tags nightly -run '^TestAHugeFileTakesNoMemory$$' .
	cd e2e && PARTWAY_E2E_LONG=1 $(GO) test -race -count 1 -timeout 20m -run '^TestThePages$$' .
	cd e2e && PARTWAY_E2E_STORAGE=minio $(GO) test -race -count 1 -timeout 20m -run '^TestThePages$$/(straight|pause|reload|network|dropped|uppy)' .

lint: $(LINT) ## style and import rules
	$(LINT) run ./...
	cd e2e && $(LINT) run --config ../.golangci.yml ./...
	cd clients/go && $(LINT) run --config ../../.golangci.yml ./...
	cd release && $(LINT) run --config ../.golangci.yml ./...

$(LINT):
	GOBIN=$(DEPS)/bin $(GO) install $(LINT_AT)

bench: build bin/partway-nodemo deps ## figures and plots into bench/results/; on loopback, some ten minutes; a quiet machine tells more
	$(GO) run ./bench $(BENCH)

.PHONY: bin/partway-nodemo
bin/partway-nodemo: ## as releases are
	CGO_ENABLED=0 $(GO) build -trimpath -tags nodemo -o $@ ./cmd/partway

bench-compare: build bin/partway-nodemo deps ## a run of its own, beside the last one that was committed: ratios, and what got worse than the spread
	@mkdir -p $(DEPS)/bench && rm -f $(DEPS)/bench/*.json
	$(GO) run ./bench -results $(DEPS)/bench $(BENCH)
	$(GO) run ./bench compare "$$(git ls-files 'bench/results/*.json' | tail -n 1)" $(DEPS)/bench/*.json

fuzz: ## every fuzz target for FUZZ; with KEEP=1 what it found stays, in testdata
	@KEEP=$(KEEP) e2e/deps/fuzz.sh $(FUZZ)

mutate: deps ## every patch in mutations/ must turn its test red
	@mutations/run.sh

release: web ## dist/release: archives for every platform, with SBOM, licences and SHA256SUMS; docs/release.md
	cd release && $(GO) run . -out ../dist/release

image: web ## dist/partway.oci.tar: the image for ARCH (amd64 or arm64), by buildah, without a daemon
	deploy/image.sh dist/partway.oci.tar $(ARCH)

compose: web ## deploy/compose.yaml, running: a gateway with MongoDB, Redis and a storage, to try it out; docs/quickstart.md
	deploy/stage.sh $(ARCH)
	docker compose -f deploy/compose.yaml up --build --detach

clean:
	rm -rf bin dist
