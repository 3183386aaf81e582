# Fieldcast's commands; `make` lists them. Caches are kept outside the checkout (FIELDCAST_CACHE, else the user's cache
# folder) and can be deleted at any time.

CACHE := $(or $(FIELDCAST_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/fieldcast)
# A fresh checkout for each run must not mean a fresh build.
ifdef CI
export CARGO_TARGET_DIR ?= $(CACHE)/target
endif
TARGET := $(or $(CARGO_TARGET_DIR),target)

.DEFAULT_GOAL := help
SECONDS ?= 600
BOXES ?= 1000
SEED ?= $(shell date +%s)
.PHONY: help demo test lint desk box press arm64 cross bench linklab fleet screens faults box-tests install install-image install-desk setup-% clean-cache

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /  make \1\t/p' Makefile | expand -t 22

setup-%:
	@tests/setup.sh $*

demo: setup-demo ## put a test picture on air at an ingest on this machine, and say how to watch it
	cargo build --release --locked --bins --example studio-stand-in
	tests/demo.sh $(TARGET)/release

test: setup-test ## build everything and run all tests, the emulated ARM box too
	cargo build --locked --all-targets
	test -n "$$FIELDCAST_ARM64" || tests/cross/arm64
	cargo test --locked --no-fail-fast

lint: setup-lint ## formatting, clippy and documentation warnings
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

desk: ## build the operator's command line, which needs no GStreamer
	cargo build --release --locked --no-default-features --bin fieldcast

box: setup-test ## boot the emulated ARM box on this terminal
	@tests/qemu/box

press: ## press the GO button of that box (HOLD=milliseconds)
	@tests/qemu/press $(CACHE)/my-box/qmp $(or $(KEY),g) $(or $(HOLD),1200)

arm64: setup-arm64 ## build the release programs for arm64 with Debian's cross compiler
	tests/cross/arm64

cross: setup-arm64 ## build them with cross, in a container (needs a Docker engine)
	tests/cross/cross

bench: setup-demo ## compare with gst-launch-1.0, ffmpeg and curl
	cargo build --release --locked
	tests/bench/run
	cargo test --release --locked --no-default-features --test studio -- --ignored --nocapture --exact measured::upload_of_512_mb_beside_curl

linklab: setup-build ## the rate controller over traces of links beside OBS's rule, belacoder's and an oracle (LINK_TRACES=folder)
	cargo test --locked --release --test linklab -- --nocapture --exact table

fleet: setup-demo ## measure BOXES=1000 simulated boxes at one broker: online, start --all, traffic, CPU, a restart of the broker
	ulimit -Sn "$$(ulimit -Hn)"; BOXES=$(BOXES) cargo test --release --locked --no-default-features --test fleet -- --ignored --nocapture

screens: ## draw every screen of the panel into target/screens.png, a contact sheet
	cargo test --locked --test screens every_screen
	@echo "look at $(TARGET)/screens.png; UPDATE_SCREENS=1 INSTA_UPDATE=always make screens takes what is drawn as right"

faults: setup-test ## the fault campaign for SECONDS=600 with SEED: what can happen in a field, in random order
	cargo build --locked --all-targets
	tests/cross/arm64
	SECONDS=$(SECONDS) SEED=$(SEED) cargo test --locked --test faults -- --include-ignored --nocapture --test-threads=1

box-tests: setup-test ## the firmware in the emulated box: power-on, updates, power cuts, idle figures, with a table (SEED)
	cargo build --locked --all-targets
	tests/cross/arm64
	rm -f $(TARGET)/tmp/box-tests.txt
	SEED=$(SEED) cargo test --locked --no-fail-fast --test slots --test emulated_firmware --test emulated_first_boot -- --include-ignored --nocapture --test-threads=1; \
	    result=$$?; cat $(TARGET)/tmp/box-tests.txt; exit $$result

install: ## copy programs, boards and units below DESTDIR (PROGRAMS: where the built programs are)
	install -d $(DESTDIR)/usr/bin $(DESTDIR)/usr/share/fieldcast/boards
	install -m 755 $(foreach program,fieldcastd fieldcast-media,$(or $(PROGRAMS),$(TARGET)/release)/$(program)) $(DESTDIR)/usr/bin
	install -m 644 boards/*.toml $(DESTDIR)/usr/share/fieldcast/boards
	install -d $(DESTDIR)/usr/lib/systemd/system
	install -m 644 systemd/*.service $(DESTDIR)/usr/lib/systemd/system
	install -D -m 644 systemd/fieldcast.sysusers.conf $(DESTDIR)/usr/lib/sysusers.d/fieldcast.conf
	install -D -m 644 systemd/fieldcast.tmpfiles.conf $(DESTDIR)/usr/lib/tmpfiles.d/fieldcast.conf
	install -D -m 644 systemd/70-fieldcast.rules $(DESTDIR)/usr/lib/udev/rules.d/70-fieldcast.rules

install-image: ## copy what an appliance image has besides below DESTDIR, for BOARD: slots, mounts, trial, presets, RAUC
	install -d $(DESTDIR)/data $(DESTDIR)/var/lib/fieldcast $(DESTDIR)/etc/fieldcast
	cp -R --remove-destination --preserve=mode,links systemd/image/. $(DESTDIR)/
	sed -i 's/@BOARD@/$(or $(BOARD),$(error which BOARD?))/' $(DESTDIR)/etc/rauc/system.conf

install-desk: ## copy the operator's command line and its completions below DESTDIR
	install -D -m 755 $(or $(PROGRAMS),$(TARGET)/release)/fieldcast $(DESTDIR)/usr/bin/fieldcast
	install -d $(DESTDIR)/usr/share/bash-completion/completions
	$(DESTDIR)/usr/bin/fieldcast completions bash >$(DESTDIR)/usr/share/bash-completion/completions/fieldcast

clean-cache: ## delete what the builds and tests keep
	rm -rf $(CACHE)
	-docker image ls --quiet fieldcast-cross-base | sort -u | xargs --no-run-if-empty docker image rm --force
