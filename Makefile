# SPDX-License-Identifier: GPL-2.0
# timewarp: make help lists what there is to make.
#
# Each folder adds its own rules with a Makefile.inc. They append to
#   ALL        what plain `make` builds (bpf, user), and what the test hosts need beside it (tests, tools)
#   TESTS      scripts that `make check` runs under prove;
#              UNIT_TESTS and FUZZERS are programs, built before and run with them
#   TESTS_SLOW those of them that take minutes, and begin first: or else one runs alone in the end
#   TESTS_ALL  long ones, that `make check-all` runs after those, with TW_LONG=1: some of the others then take more of a thing
#   SETS_UP    goals that install packages and fetch a kernel first, as make setup does; no other goal installs anything
#   CLEAN      what else `make clean` removes (build/ goes anyway)
# and may use the TW_* variables of tools/lib.sh, which come in through build/env.mk.

MAKEFLAGS += --no-builtin-rules --no-builtin-variables
# As many jobs as there are processors, if nobody says how many; goals that are named together may want their order
ifeq ($(filter -j%,$(MAKEFLAGS))$(word 2,$(MAKECMDGOALS)),)
MAKEFLAGS += -j$(shell nproc)
endif
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
LDFLAGS ?=
WARN := -Wall -Wextra -Wno-unused-parameter
# For whoever builds with a compiler that warns of more
WERROR ?= -Werror
PREFIX ?= /usr/local
DESTDIR ?=
PREFIXED = $(abspath $(DESTDIR)/$(PREFIX))

# KERNEL chooses the kernel that modules are built for and test hosts boot: a line (7.3) or a release of the bench's, or
# $(uname -r) for make kvm. twctl and the policies are the same for each.
KERNEL ?=
export KERNEL DESTDIR

ALL :=
TESTS :=
TESTS_SLOW :=
TESTS_ALL :=
UNIT_TESTS :=
FUZZERS :=
CLEAN :=
SETS_UP := bench-ready check check-all check-debug fuzz

all:

# Asked each time, as it takes a moment; written only when something is new, so that make starts over only then.
# Not asked by goals that build nothing, nor when the caller says where libbpf is.
NO_ENV := help hook-size deb image setup-deb setup clean distclean kvm install-kvm install uninstall
ifeq ($(TW_LIBBPF),)
ifneq ($(if $(MAKECMDGOALS),$(filter-out $(NO_ENV),$(MAKECMDGOALS)),all),)
include $(BUILD)/env.mk
endif
endif

$(BUILD)/env.mk: FORCE
	@$(if $(filter $(SETS_UP),$(MAKECMDGOALS)),tools/setup --quiet)
	@mkdir -p $(BUILD)
	@tools/build-env >$@.new || { rm -f $@.new; exit 1; }; cmp -s $@.new $@ && rm $@.new || mv $@.new $@

include bpf/Makefile.inc user/Makefile.inc
# The VMM is what twctl qualify runs; its rule is in tests/vmm
QUALIFY_VMM := $(BUILD)/tests/vmm/vmm
TOOL := $(ALL) $(QUALIFY_VMM)
include $(wildcard tests/Makefile.inc tests/*/Makefile.inc tests/*/*/Makefile.inc tools/Makefile.inc)

##@ Build
all: $(TOOL)			## twctl and the policies, as any user; installs nothing

setup:				## install packages of tools; kernel, headers and source into the cache
	@tools/setup

kvm:				## KVM modules with the patch (KERNEL=7.3, or a release: for that kernel)
	@made=$$(tools/build-kvm) && printf '  %-8s%s\n' KVM "$$made"

guest:				## the guest's image
	@made=$$(tools/build-guest) && printf '  %-8s%s\n' GUEST "$$made"

deb:				## packages of Debian, into build/deb
	@tools/deb

image: deb			## a host of these packages, for any machine: a directory, and an OCI archive in build/image (SUITE=trixie or bookworm)
	@tools/image $(if $(SUITE),--suite $(SUITE)) --oci $(BUILD)/image/timewarp-host-$(or $(SUITE),trixie).tar

setup-deb:			## install what make deb needs
	@tools/deb --setup

# Where shells look: bash, fish, zsh
COMPLETIONS = $(addprefix $(PREFIXED)/share/,bash-completion/completions/twctl fish/vendor_completions.d/twctl.fish \
	zsh/site-functions/_twctl)
# A manual page each
VERBS = $(BUILD)/twctl help -j | grep -o '"name":"[a-z-]*","synopsis"' | cut -d'"' -f4

##@ Use on a real host
# Of what make built, so that sudo needs no cache of its own.
install:			## twctl, policies and what authors need, under DESTDIR/PREFIX (/usr/local)
	@[ -x $(BUILD)/twctl ] || { echo "make install: there is no $(BUILD)/twctl: make builds it" >&2; exit 1; }
	install -D -m 755 $(BUILD)/twctl $(PREFIXED)/bin/twctl
	install -d $(PREFIXED)/lib/timewarp/policies $(PREFIXED)/include/timewarp/bpf
	install -m 644 $(POLICIES) $(PREFIXED)/lib/timewarp/policies
	cd $(BUILD)/include && for f in $(AUTHOR_FILES:$(BUILD)/include/%=%); do \
		install -m 644 $$f $(PREFIXED)/include/timewarp/$$f || exit; done
	install -D -m 755 tools/timewarp-reload $(PREFIXED)/sbin/timewarp-reload
	install -D -m 755 $(QUALIFY_VMM) $(PREFIXED)/libexec/timewarp/qualify-vmm
	install -d $(dir $(COMPLETIONS))
	$(BUILD)/twctl help --completion bash >$(word 1,$(COMPLETIONS))
	$(BUILD)/twctl help --completion fish >$(word 2,$(COMPLETIONS))
	$(BUILD)/twctl help --completion zsh >$(word 3,$(COMPLETIONS))
	install -d $(PREFIXED)/share/man/man8
	$(BUILD)/twctl help --man >$(PREFIXED)/share/man/man8/twctl.8
	for v in $$($(VERBS)); do $(BUILD)/twctl help $$v --man >$(PREFIXED)/share/man/man8/twctl-$$v.8 || exit; done
	install -m 644 tools/timewarp-reload.8 $(PREFIXED)/share/man/man8

# File by file: who put a policy of his own beside ours keeps it.
uninstall:			## remove what make install puts there, and nothing else
	rm -f $(PREFIXED)/bin/twctl $(PREFIXED)/sbin/timewarp-reload $(PREFIXED)/libexec/timewarp/qualify-vmm $(COMPLETIONS)
	rm -f $(addprefix $(PREFIXED)/share/man/man8/,twctl.8 timewarp-reload.8)
	rm -f $$($(VERBS) | sed 's|.*|$(PREFIXED)/share/man/man8/twctl-&.8|')
	rm -f $(addprefix $(PREFIXED)/lib/timewarp/policies/,$(notdir $(POLICIES)))
	rm -f $(AUTHOR_FILES:$(BUILD)/include/%=$(PREFIXED)/include/timewarp/%)
	@for d in libexec/timewarp lib/timewarp/policies lib/timewarp include/timewarp/bpf include/timewarp; do \
		[ ! -d $(PREFIXED)/$$d ] || rmdir --ignore-fail-on-non-empty $(PREFIXED)/$$d; \
		[ ! -d $(PREFIXED)/$$d ] || echo "make uninstall: $(PREFIXED)/$$d is kept: it has files that make install did not put there"; done

install-kvm:			## modules to where modprobe prefers them; prints how to load, how to go back
	@tools/build-kvm --install

hook-size:			## lines that the kernel half adds, against their targets (LINE=6.12)
	@tools/hook-size $(LINE)

##@ Show and test
# What a test host needs, made before it boots.
programs: $(ALL)		## twctl, and the programs that tests run
bench-ready: programs kvm guest

PROVE := prove -j2 --timer --comments --failures --exec ''

check: bench-ready $(UNIT_TESTS) $(FUZZERS)	## the tests of every day (KERNEL=7.3: on hosts of that line)
	@$(PROVE) $(TESTS_SLOW) $(UNIT_TESTS) $(TESTS)

check-all: bench-ready $(UNIT_TESTS) $(FUZZERS)	## those, and the long ones
	@TW_LONG=1 $(PROVE) $(TESTS_SLOW) $(UNIT_TESTS) $(TESTS) $(TESTS_ALL)

check-debug: bench-ready	## host tests and fuzzers on a kernel that checks itself
	@[ -x tests/debug/check-debug ] || { echo "make check-debug: there is no tests/debug/check-debug in this tree" >&2; exit 1; }
	@tests/debug/check-debug

fuzz: $(FUZZERS)		## the fuzzers, for FUZZ_SECONDS=60 each
	@FUZZ_SECONDS=$${FUZZ_SECONDS:-60} tests/fuzz/fuzz.t

##@ Clean
clean:				## remove build/; the cache stays
	rm -rf $(BUILD) $(CLEAN)

distclean: clean		## remove the cache too
	cache=$$(. tools/lib.sh && echo "$$TW_CACHE") && rm -rf "$$cache"

help:				## this list
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { head = substr($$0, 5); if (!(head in of)) heads[++n] = head } \
		/^[a-z-]+:.*## / { goal = $$1; sub(/:.*/, "", goal); of[head] = of[head] sprintf("  make %-14s %s\n", goal, $$2) } \
		END { for (i = 1; i <= n; i++) if (!seen[heads[i]]++) printf "\n%s\n%s", heads[i], of[heads[i]] }' \
		Makefile $(wildcard */Makefile.inc tests/*/Makefile.inc)
	@printf '\nVariables: KERNEL=line-or-release V=1 CFLAGS= LDFLAGS= DESTDIR= PREFIX= TIMEWARP_CACHE=directory\n'

.PHONY: all setup kvm hook-size guest deb image setup-deb install uninstall install-kvm programs bench-ready check check-all check-debug fuzz clean distclean help FORCE
FORCE:
