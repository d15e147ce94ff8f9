#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A minute of the KVM fuzzer for every day: what a fault of each week's work meets first. A busy test host's second takes this
# machine some ten, boot not counted, so a minute is three of them. check-all and check-debug take longer ones.
KVM_FUZZ_SECONDS=${KVM_FUZZ_SECONDS:-3} exec "$(dirname "$0")/kvm-fuzz.t"
