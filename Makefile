# midflight: see README.md. Every target works on a bare clone with Rust installed.

TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
GUEST_TARGET := x86_64-unknown-none
IMAGES := $(TARGET_DIR)/images
MIDFLIGHT := $(TARGET_DIR)/release/midflight
GUEST_CRATES := -p midflight-guest -p midflight-tests
# One static binary: copied to a test machine, or packed into an initrd, it runs. With --target the
# flag reaches neither build scripts nor procedural macros, which cannot be static.
HOST_TARGET := $(shell rustc -vV | sed -n 's/^host: //p')
STATIC := RUSTFLAGS="-Ctarget-feature=+crt-static"
HOST_BUILD := --locked --release --target $(HOST_TARGET)
# host/build.rs looks in target/images by default.
ifdef CARGO_TARGET_DIR
export MIDFLIGHT_IMAGES := $(IMAGES)
endif

.PHONY: all images build run-tests test test-style test-unit test-scenarios bench clean

all: build

# The guest images: target/images/<name>, one ELF file for each source, and no other file.
images: guest-target
	cargo build --locked --profile guest --target $(GUEST_TARGET) -p midflight-tests
	@scripts/install-images tests/src/bin $(TARGET_DIR)/$(GUEST_TARGET)/guest $(IMAGES)

.PHONY: guest-target
guest-target:
	@if ! rustc --print target-libdir --target $(GUEST_TARGET) | xargs test -d; then \
		echo "adding the Rust target $(GUEST_TARGET)"; \
		rustup target add $(GUEST_TARGET) || { \
			echo "The images are built for $(GUEST_TARGET) and that target could not be added." >&2; \
			echo "Run 'rustup target add $(GUEST_TARGET)', or install its rust-std by your package manager." >&2; \
			exit 1; }; \
	fi

build: images
	$(STATIC) cargo build $(HOST_BUILD) -p midflight
	@mkdir -p $(TARGET_DIR)/release
	@cmp -s $(TARGET_DIR)/$(HOST_TARGET)/release/midflight $(MIDFLIGHT) \
		|| cp -f $(TARGET_DIR)/$(HOST_TARGET)/release/midflight $(MIDFLIGHT)

# A tarball for a test machine, which needs neither Rust nor this tree: the binary, stripped and static, the images, the
# documentation, manual pages and completions; and its checksum.
.PHONY: dist dist-twice
dist: guest-target
	@scripts/dist $(TARGET_DIR)

# The same twice, in two copies of the tree, which must give the same bytes.
dist-twice:
	@scripts/dist-twice $(TARGET_DIR)/dist-twice

# One file that boots by BIOS and by UEFI, from a CD or a USB stick: a menu of all images, and `all`.
.PHONY: iso iso-program
iso: images iso-program
	@scripts/iso $(TARGET_DIR)/$(GUEST_TARGET)/guest/all $(IMAGES) $(TARGET_DIR)/midflight.iso

iso-program: guest-target
	cargo build --locked --profile guest --target $(GUEST_TARGET) -p midflight-iso

# The source of a new image, which fails until its expectation is filled in: make new-test NAME=my-rule
.PHONY: new-test
new-test:
	@scripts/new-test "$(NAME)" tests/src/bin

# Every scenario on every machine that this host has.
run-tests: build
	$(MIDFLIGHT) run

# The same on the KVM of kernels under test, kvm_amd in QEMU and kvm_intel in Bochs: Debian's kernels, fetched and
# unpacked in target/on-kernel, or the one given with KERNEL=VMLINUZ MODULES=DIR, in Bochs with BOCHS=FILE;
# APPEND="WORDS" for its command line. A selection of the scenarios runs; ON_KERNEL_ARGS=--all runs all. See
# docs/on-kernel.md.
export KERNEL MODULES APPEND EMULATOR BOCHS
ON_KERNEL_KERNELS ?= qemu:linux-image-cloud-amd64 qemu:linux-image-6.12-cloud-amd64 \
	bochs:linux-image-6.12-cloud-amd64
.PHONY: run-tests-on-kernels run-tests-on-kernel run-tests-nested
run-tests-on-kernels: build
	scripts/run-tests-on-kernels $(MIDFLIGHT) $(TARGET_DIR)/on-kernel "$(ON_KERNEL_KERNELS)" $(ON_KERNEL_ARGS)

run-tests-on-kernel run-tests-nested:
	@echo "$@ is called run-tests-on-kernels now" >&2; exit 2

test: test-style test-unit test-scenarios

# The fuzz targets, with the same compiler and target directory as everything else, without libFuzzer.
CHECK_FUZZ := cargo clippy --locked --manifest-path fuzz/Cargo.toml --target-dir $(TARGET_DIR) --no-default-features \
	-- -D warnings

test-style: images
	cargo fmt --all --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --target $(GUEST_TARGET) $(GUEST_CRATES) -p midflight-iso --lib --bins --examples -- -D warnings
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	$(CHECK_FUZZ)
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --target $(GUEST_TARGET) $(GUEST_CRATES) --lib

test-unit: build iso-program
	$(STATIC) cargo test $(HOST_BUILD)
	$(STATIC) cargo test $(HOST_BUILD) -p midflight-guest --lib
	$(STATIC) cargo test $(HOST_BUILD) $(GUEST_CRATES) --doc

# The mutants matrix is among the tests of the command line: it must have no defect, and be the one in
# docs/behaviours.md.
test-scenarios: build
	$(MIDFLIGHT) run

# The mutants matrix, as committed; a test compares.
.PHONY: docs/behaviours.md
docs/behaviours.md: build
	$(MIDFLIGHT) mutants --markdown > $@

# The catalogue of the cases, as committed; a test compares.
.PHONY: docs/catalogue.md
docs/catalogue.md: build
	MIDFLIGHT_WRITE_CATALOGUE=1 $(STATIC) cargo test $(HOST_BUILD) -p midflight --test catalogue

# What the behaviours of FRED series predict for hardware, as committed; a test compares.
.PHONY: predictions.toml
predictions.toml: build
	MIDFLIGHT_WRITE_PREDICTIONS=1 $(STATIC) cargo test $(HOST_BUILD) -p midflight --test predictions

# Faults of one line in the model, the proofs and the judge: which of them nothing notices. Writes docs/mutation.md.
# Takes an hour. MUTATION has options: areas, --sample N, --seed S.
.PHONY: mutation
mutation: images
	MIDFLIGHT_IMAGES=$(IMAGES) cargo run --locked -p midflight-mutation -- $(MUTATION)

# The samples of output in README.md and docs that show everything, as midflight prints them now; a test compares.
.PHONY: samples
samples: build
	MIDFLIGHT_WRITE_SAMPLES=1 $(STATIC) cargo test $(HOST_BUILD) -p midflight --test midflight documented::

# What takes long, from another start each time: the model against this machine's processor; cuts and
# migrations by the thousand on this machine's KVM; kills of the driver; a warning in the kernel's log.
SOAK_EXECUTIONS ?= 1000000
SOAK_SEED ?= $(shell date +%s)
SOAK_CUTS ?= 10000
SOAK_KILLS ?= 100
SOAK_RUNS ?= 20
.PHONY: soak soak-model soak-cuts soak-kills soak-runs
soak: soak-model soak-cuts soak-kills soak-runs

# The default run, idle and with two busy loops beside it: green each time.
soak-runs: build
	scripts/runs-green $(MIDFLIGHT) $(SOAK_RUNS)

soak-cuts: build
	scripts/soak-cuts $(MIDFLIGHT) $(SOAK_CUTS)

soak-kills: build
	MIDFLIGHT_KILLS=$(SOAK_KILLS) MIDFLIGHT_KILL_SEED=$(SOAK_SEED) \
		$(STATIC) cargo test $(HOST_BUILD) -p midflight --test midflight -- --ignored --nocapture killed:: kernel_log::
	MIDFLIGHT_KILLS=$(SOAK_KILLS) MIDFLIGHT_KILL_SEED=$(SOAK_SEED) \
		$(STATIC) cargo test $(HOST_BUILD) -p midflight --test midflight -- --nocapture save_kill::

soak-model:
	MIDFLIGHT_SILICON_EXECUTIONS=$(SOAK_EXECUTIONS) MIDFLIGHT_SILICON_SEED=$(SOAK_SEED) \
		$(STATIC) cargo test $(HOST_BUILD) -p midflight-model --test silicon -- --nocapture

# The image that speed is measured with; it is not built into midflight.
SPEED_IMAGE := $(TARGET_DIR)/$(GUEST_TARGET)/guest/examples/speed
.PHONY: speed-image
speed-image: guest-target
	cargo build --locked --profile guest --target $(GUEST_TARGET) -p midflight-tests --example speed

# Sizes and speed: the figures of docs/figures.md.
bench: build speed-image
	MIDFLIGHT_SPEED_IMAGE=$(SPEED_IMAGE) $(STATIC) cargo bench --locked --target $(HOST_TARGET) -p midflight
	cargo bench --locked -p midflight-model

# The share of host/src that the host's tests execute, by llvm-cov, and a bound for it.
COVERAGE_LEAST ?= 85
.PHONY: coverage
coverage: images
	scripts/coverage $(TARGET_DIR)/tools $(TARGET_DIR)/coverage $(HOST_TARGET) $(COVERAGE_LEAST)

# Random bytes as code, and as streams, ten minutes each; needs a nightly compiler and cargo-fuzz.
FUZZ_SECONDS ?= 600
.PHONY: fuzz
fuzz:
	cd fuzz && cargo +nightly fuzz run model_step -- -max_total_time=$(FUZZ_SECONDS) -max_len=200
	cd fuzz && cargo +nightly fuzz run snapshot_stream -- -max_total_time=$(FUZZ_SECONDS) -max_len=4096

clean:
	cargo clean
