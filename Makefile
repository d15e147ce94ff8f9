# timewarp: make help lists what there is to make.
#
# Each folder adds its own rules with a Makefile.inc. They append to
#   ALL    what plain `make` builds
#   TESTS  scripts that `make check` runs under prove, quick ones first;
#          UNIT_TESTS and FUZZERS are programs, built before and run with them
#   CLEAN  what else `make clean` removes (build/ goes anyway)
# and may use the TW_* variables of tools/lib.sh, which come in through build/env.mk.

MAKEFLAGS += --no-builtin-rules --no-builtin-variables
.SUFFIXES:
.DELETE_ON_ERROR:
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c

V ?= 0
ifeq ($(V),0)
Q := @
say = @printf '  %-8s%s\n' '$(1)' '$(patsubst $(CURDIR)/%,%,$(2))';
else
Q :=
say =
endif

BUILD := build
CC := gcc
AR := ar
LD := ld
CFLAGS ?= -O2 -g
WARN := -Wall -Wextra -Wno-unused-parameter
PREFIX ?= /usr/local
DESTDIR ?=
PREFIXED = $(abspath $(DESTDIR)/$(PREFIX))

# KERNEL=release chooses the kernel that the modules are built for: the bench's, or $(uname -r).
KERNEL ?=
export KERNEL DESTDIR

ALL :=
TESTS :=
UNIT_TESTS :=
FUZZERS :=
CLEAN :=

all:

# Whoever only asks for help or for an empty desk gets no download.
NO_SETUP := help hook-size setup clean distclean kvm install-kvm install uninstall
ifneq ($(if $(MAKECMDGOALS),$(filter-out $(NO_SETUP),$(MAKECMDGOALS)),all),)
include $(BUILD)/env.mk
endif

# Always asked, as it takes a moment; written only when something is new, so that make starts over only then.
$(BUILD)/env.mk: FORCE
	@tools/setup --quiet
	@mkdir -p $(BUILD)
	@tools/setup --print-env >$@.new; cmp -s $@.new $@ && rm $@.new || mv $@.new $@

include $(wildcard bpf/Makefile.inc user/Makefile.inc tests/Makefile.inc tests/*/Makefile.inc tests/*/*/Makefile.inc tools/Makefile.inc)

##@ Build
all: $(ALL)			## the tool, the policies

setup:				## packages of tools; kernel, headers and source into the cache
	@tools/setup

kvm:				## KVM modules with the patch (KERNEL=release: for that kernel)
	@tools/build-kvm

guest:				## the guest's image
	@tools/build-guest

##@ Use on a real host
# Of what make built, so that sudo needs no cache of its own.
install:			## twctl, policies and what authors need, under DESTDIR/PREFIX (/usr/local)
	@[ -x $(BUILD)/twctl ] || { echo "make install: there is no $(BUILD)/twctl: make builds it" >&2; exit 1; }
	install -D -m 755 $(BUILD)/twctl $(PREFIXED)/bin/twctl
	install -d $(PREFIXED)/lib/timewarp/policies $(PREFIXED)/include/timewarp/check $(PREFIXED)/include/timewarp/bpf
	install -m 644 $(POLICIES) $(PREFIXED)/lib/timewarp/policies
	cd $(BUILD)/include && for f in $(AUTHOR_FILES:$(BUILD)/include/%=%); do \
		install -m 644 $$f $(PREFIXED)/include/timewarp/$$f || exit; done
	install -d $(PREFIXED)/share/bash-completion/completions
	$(BUILD)/twctl help --completion bash >$(PREFIXED)/share/bash-completion/completions/twctl
	install -d $(PREFIXED)/share/man/man8
	$(BUILD)/twctl help --man >$(PREFIXED)/share/man/man8/twctl.8

uninstall:			## remove what make install puts there
	rm -rf $(PREFIXED)/bin/twctl $(PREFIXED)/lib/timewarp $(PREFIXED)/include/timewarp \
		$(PREFIXED)/share/bash-completion/completions/twctl $(PREFIXED)/share/man/man8/twctl.8

install-kvm:			## modules to where modprobe prefers them; prints how to load, how to go back
	@tools/build-kvm --install

hook-size:			## lines that the kernel half adds, against their targets (LINE=6.12)
	@tools/hook-size $(LINE)

##@ Show and test
# What a test host needs, made before it boots.
bench-ready: all kvm guest

check: bench-ready $(UNIT_TESTS) $(FUZZERS)	## every test
	@prove -j2 --timer --comments --failures --exec '' $(UNIT_TESTS) $(TESTS)

fuzz: $(FUZZERS)		## the fuzzers, for FUZZ_SECONDS=60 each
	@FUZZ_SECONDS=$${FUZZ_SECONDS:-60} tests/fuzz/fuzz.t

##@ Clean
clean:				## remove build/; the cache stays
	rm -rf $(BUILD) $(CLEAN)

distclean: clean		## remove the cache too
	cache=$$(. tools/lib.sh && echo "$$TW_CACHE") && rm -rf "$$cache"

help:				## this list
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { n = $$1; sub(/:.*/, "", n); printf "  make %-14s %s\n", n, $$2 }' Makefile $(wildcard */Makefile.inc)
	@printf '\nVariables: KERNEL=release V=1 DESTDIR= PREFIX= TIMEWARP_CACHE=directory\n'

.PHONY: all setup kvm hook-size guest install uninstall install-kvm bench-ready check fuzz clean distclean help FORCE
FORCE:
