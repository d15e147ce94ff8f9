#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# coherence.t [--long [PART...]] - on test hosts, whether all clocks of real guests agree, and QEMU's too
#
# The short form is two factors, one vCPU and one clocksource, unless TW_FACTORS and the like of tests/coherence/measure
# say otherwise. A PIT's tick is 838 ns, so it takes 300 readings to know its rate to 0.17 ppm in 0.3 s of the guest.
# The long form has all factors, what QEMU's clocks do in all cases, and the guest's own watchdog. It boots a host for
# each part and keeps its result in build/out: what has passed is not run again until something has changed that it
# depends on, or TW_AGAIN=1.
cd "$(dirname "$0")/../.." || exit 1
if [ "${1:-}" != --long ]; then
	export TW_FACTORS=${TW_FACTORS:-0.1 50} TW_SMP=${TW_SMP:-1} TW_SECONDS=${TW_SECONDS:-3} TW_SAMPLES=${TW_SAMPLES:-300}
	export TW_CLOCKSOURCES=${TW_CLOCKSOURCES:-kvm-clock}
	exec tools/testhost --smp 1 --timeout "${TW_TIMEOUT:-600}" -- tests/coherence/in-host measure
fi

# Of Debian 13, whose QEMU is 10: what tools/image made last
image=$(. tools/lib.sh && find "$TW_CACHE/image" -maxdepth 1 -type d -name 'trixie-*' -printf '%T@ %p\n' 2>/dev/null | sort -n | tail -n 1 | cut -d' ' -f2)
# NAME VARIABLE=VALUE,... TEST: one boot each, two to six minutes
parts() {
	cat <<-END
		1		TW_SMP=1,TW_CLOCKSOURCES=kvm-clock	measure
		1-sources	TW_SMP=1,TW_CLOCKSOURCES=tsc_hpet_acpi,TW_SECONDS=3,TW_RTC=0	measure
		bare		TW_BARE=1		measure
		1-nohpet	TW_SMP=1,TW_CLOCKSOURCES=kvm-clock,TW_SECONDS=3,TW_NOHPET=1	measure
		2		TW_SMP=2,TW_CLOCKSOURCES=kvm-clock	measure
		2-sources	TW_SMP=2,TW_CLOCKSOURCES=tsc_hpet_acpi,TW_SECONDS=3,TW_RTC=0	measure
		vmm-on		TW_IRQCHIP=on		vmm
		vmm-split	TW_IRQCHIP=split	vmm
		vmm-off		TW_IRQCHIP=off		vmm
		vmm-10		TW_IRQCHIP=split,TW_QEMU_ROOT=$image	vmm
		session		TW_KILLS=40		session
		watchdog	TW_GUEST_SECONDS=600	watchdog
	END
}

shift
out=build/out
mkdir -p $out
common=$({
	cat tests/guest/*.[ch] tests/vmm/{shared.h,{vmm,guest}.c} tests/trace/rtc-guest.S tests/twctl/idle_vm.c tests/host/lib/Tw{Host,QemuClocks}.pm \
		bpf/{vmm.bpf.c,include/*.h,policies/*.c} user/lib/{{code,vm}.c,qemu/*.[ch],session/*.[ch]}
	find kernel-patch -type f ! -name "*.md" -print0 | sort -z | xargs -0 cat
} | sha256sum)
n=0 failed=0
while read -r name vars test <&3; do
	case " $* " in '  ' | *" $name "*) ;; *) continue ;; esac
	n=$((n + 1)) log=$out/coherence-$name.tap
	if [[ $vars == *TW_QEMU_ROOT= ]]; then
		echo "ok $n - $name # SKIP there is no Debian 13: make deb && tools/image"
		continue
	fi
	stamp=$(sha256sum "tests/coherence/$test" | cut -c1-64)-${common%% *}
	echo "# Subtest: $name"
	if [ -n "${TW_AGAIN:-}" ] || [ "$stamp passed" != "$(tail -n 1 "$log" 2>/dev/null)" ]; then
		rm -f "$out/coherence-$name.json"
		mapfile -t env < <(tr , '\n' <<<"$vars" | sed 's/tsc_hpet_acpi/tsc hpet acpi_pm/')
		start=$SECONDS
		env TW_PART="$name" "${env[@]}" tools/testhost --smp 1 --timeout "${TW_TIMEOUT:-900}" -- "tests/coherence/$test" >"$log" 2>&1
		status=$?
		{
			echo "# status $status, $((SECONDS - start)) s of this machine"
			[ $status = 0 ] && echo "$stamp passed"
		} >>"$log"
	else
		echo "    # it has passed before, and nothing has changed since"
	fi
	grep -v ' passed$' "$log" | sed 's/^/    /'
	if [ "$stamp passed" = "$(tail -n 1 "$log")" ]; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		failed=1
	fi
done 3< <(parts)
# Of what has been measured here: the others have no figures
if compgen -G "$out/coherence-*.json" >/dev/null; then
	tests/coherence/picture $out || failed=1
fi
echo "# the matrix: $out/coherence.json, $out/coherence.svg; the parts' own: $out/coherence-*.tap"
echo "1..$n"
exit $failed
