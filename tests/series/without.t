#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What a distribution may leave out of KVM, left out: each line of kernels in the cache compiles and links, and W=1
# has nothing to say. Each symbol is off in one of the first two builds of a line, and on in the other. Without our own,
# no function is left that KVM's stock modules do not have, but for what other files of KVM call since.
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tools/lib.sh
. tools/lib.sh

n=0 failed=0
for dir in kernel-patch/*/series; do
	dir=${dir%/series} line=${dir##*/}
	for off in KVM_HYPERV,KVM_SMM,KVM_AMD,KVM_AMD_SEV KVM_XEN,KVM_IOAPIC,KVM_INTEL KVM_TIMEWARP; do
		n=$((n + 1)) built=''
		if ! tw_kernel_env "$line" || [ -n "$TW_STOCK_ONLY" ]; then
			echo "ok $n # skip the source of $line is not in the cache; tools/setup --kernel $line fetches it"
		elif said=$(tools/build-kvm --quiet --kernel "$TW_KVER" --without "$off" 2>&1); then
			echo "ok $n - $TW_KVER builds without ${off//,/, }"
			built=1
		else
			echo "not ok $n - $TW_KVER builds without ${off//,/, }"
			failed=1
			printf '# %s\n' "${said//$'\n'/$'\n# '}"
		fi
		[ "$off" = KVM_TIMEWARP ] && [ -n "$built" ] || continue
		n=$((n + 1))
		left=$(nm "$TW_BUILD/kvm-without-$TW_KVER"/arch/x86/kvm/{kvm,kvm-amd,kvm-intel}.ko 2>&1 |
			grep -E 'time(line|warp)|_timers?_(pause|shift|resume|target_ns|late_ns)$|^nm:')
		if [ -z "$left" ]; then
			echo "ok $n - $TW_KVER without KVM_TIMEWARP has none of its functions and variables"
		else
			echo "not ok $n - $TW_KVER without KVM_TIMEWARP has none of its functions and variables"
			failed=1
			printf '# %s\n' "${left//$'\n'/$'\n# '}"
		fi
	done
done
echo "1..$n"
exit $failed
