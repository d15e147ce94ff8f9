#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# By hand: VMware's pseudo counters, under the test VMM on the test host with SVM. As no emulated host can give a
# VM the PMU that KVM wants for them, KVM is the series and vmware-without-pmu.patch. TW_KVM_SRC=DIR takes
# KVM from that source tree instead, which has to answer them.
cd "$(dirname "$0")/../.." || exit 125
# shellcheck source=tools/lib.sh
. tools/lib.sh
need_kernel
make -s programs || exit 125
if [ -z "${TW_KVM_SRC:-}" ]; then
	# Only what differs from the last time is built again.
	TW_KVM_SRC=$TW_BUILD/kvm-vmware-src
	tools/build-kvm --source "$TW_KVM_SRC" || exit 125
	patch -s -p1 -F0 -d "$TW_KVM_SRC" <tests/vmm/vmware-without-pmu.patch || exit 125
fi
export TW_KVM_SRC
exec tools/testhost --timeout "${VMM_TIMEOUT:-1500}" --append kvm.enable_vmware_backdoor=1 -- tests/vmm/vmware-in-host
