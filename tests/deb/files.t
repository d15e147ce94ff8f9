#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What operators get: the units are such and confined, the unit's program and libvirt's hook do what their heads say,
# the alerts go by metrics that there are. On this machine; nothing is attached and no unit started.
cd "$(dirname "$0")/../.." || exit 1
. tests/build/tap.sh
root=$PWD
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/bin"

deb_version=$(sed -n '1s/.*(\(.*\)).*/\1/p' debian/changelog)
ok "the changelog of the packages begins with the tree's version, $(cat VERSION)" test "$deb_version" = "$(cat VERSION)"

# tools/deb, with a dpkg-buildpackage that only tells what it was to build
mkdir "$dir/deb"
printf '#!/bin/sh\necho installed\n' >"$dir/deb/dpkg-query"
printf '#!/bin/sh\n' >"$dir/deb/dpkg-checkbuilddeps"
printf '#!/bin/sh\nsed -n "1s/.*(\\(.*\\)).*/\\1/p" debian/changelog >../timewarp_stub.deb\n' >"$dir/deb/dpkg-buildpackage"
chmod +x "$dir"/deb/*
ok "packages are built" says 0 timewarp_stub.deb env PATH="$dir/deb:$PATH" tools/deb --out "$dir/out"
ok "with the version of the commit: $(tools/version --debian)" test "$(cat "$dir/out/timewarp_stub.deb")" = "$(tools/version --debian)"

if command -v groff >/dev/null; then
	ok "groff has nothing to say of timewarp-reload.8" finds_nothing sh -c 'groff -man -ww -Tutf8 tools/timewarp-reload.8 2>&1 >/dev/null'
fi
ok "timewarp-reload's help and manual page have the same options" test "$(tools/timewarp-reload --help | grep -o -- '--[a-z]*' | sort -u)" = --stock
ok "of each other" grep -q '^\.B \\-\\-stock' tools/timewarp-reload.8
if command -v groff >/dev/null; then
	ok "groff has nothing to say of timewarp-host.8" finds_nothing sh -c 'groff -man -ww -Tutf8 tools/timewarp-host.8 2>&1 >/dev/null'
fi

# undeclared: programs of others that twctl and what comes beside it run, whose package no relation of theirs names
undeclared() {
	local program package
	for program in $(grep -rhoE '(execlp?|posix_spawnp)\([^"]*"[^"]+"' user | sed 's/"$//; s/.*"//; s#.*/##' | sort -u) qemu-system-x86_64 modprobe xmllint; do
		case $program in
		sh) continue ;;
		gnuplot) package=gnuplot-nox ;;
		modprobe) package=kmod ;;
		qemu-system-x86_64) package=qemu-system-x86 ;;
		virsh) package=libvirt-clients ;;
		xmllint) package=libxml2-utils ;;
		*) echo "$program is of a package that this test does not know"; continue ;;
		esac
		sed -n '/^Package: timewarp$/,/^Description/p' debian/control | grep -qwF -- "$package" || echo "$program: $package"
	done
}
ok "what twctl runs is of packages that its own names" finds_nothing undeclared

# Units, with programs that are there in place of those that will be installed
for u in timewarp@.service timewarp.timewarp-exporter.service; do
	sed "s#/usr/lib/timewarp/unit#$root/debian/timewarp-unit#; s#=/usr/bin/twctl#=/bin/true#" "debian/$u" >"$dir/${u#timewarp.}"
done
if command -v systemd-analyze >/dev/null; then
	ok "systemd takes the units" says 0 "" systemd-analyze verify --man=no "$dir/timewarp@one.service" "$dir/timewarp-exporter.service"
	said() { systemd-analyze verify --man=no "$dir/timewarp@one.service" "$dir/timewarp-exporter.service" 2>&1 | grep timewarp; }
	ok "and has nothing to say of them" finds_nothing said
	for u in timewarp@one timewarp-exporter; do
		cp "$dir/timewarp@.service" "$dir/timewarp@one.service"
		exposure=$(systemd-analyze security --offline=true --no-pager "$dir/$u.service" 2>/dev/null | sed -n 's/.*Overall exposure level.*: \([0-9.]*\) .*/\1/p')
		echo "# systemd-analyze security: $u has $exposure"
		# BPF and the processes of others are what they are for, which counts as exposure.
		ok "$u is confined: an exposure below 4" awk -v e="${exposure:-10}" 'BEGIN { exit !(e < 4) }'
	done
	# ProtectKernelLogs= would take that away
	sees_the_clock() { grep -q '^CapabilityBoundingSet=.*CAP_SYSLOG' "$dir/timewarp-exporter.service" && ! grep -q '^ProtectKernelLogs=yes' "$dir/timewarp-exporter.service"; }
	ok "the exporter may be told where the kernel keeps its clock, by which TSC deadlines are late" sees_the_clock
else
	skip "units" "no systemd-analyze"
fi

# The unit's program, with a twctl that tells what it was asked
cat >"$dir/bin/twctl" <<END
#!/bin/sh
echo "\$*" >>$dir/asked
[ "\$1" != status ] || { [ ! -f $dir/stands ] || echo '"stopped":true'; [ -f $dir/vm ] && exit 0; exit 4; }
[ "\$1" != attach ] || echo "\$\$ \$NOTIFY_SOCKET" >$dir/attacher
echo "attached constant to 1-1 (\$3): factor 50"
END
printf '#!/bin/sh\necho "$*" >>%s/systemctl\n[ ! -f %s/broken ]\n' "$dir" "$dir" >"$dir/bin/systemctl"
chmod +x "$dir"/bin/*
unit() { env PATH="$dir/bin:$PATH" TWCTL="$dir/bin/twctl" NOTIFY_SOCKET=/x "$@" "$root/debian/timewarp-unit" my-guest; }
ok "the unit without a factor or policy is refused, with the cure" says 2 "/etc/timewarp/my-guest.conf" unit
ok "so is a WAIT that is no number" says 2 "WAIT is not a number" unit FACTOR=2 WAIT=soon
(sleep 0.3; touch "$dir/vm") &
ok "it waits for the VM to come" says 0 "attached" unit FACTOR=50 WAIT=10
sleep 0.2
ok "and attaches it when it is there" grep -qx 'attach --vm my-guest --factor 50' "$dir/asked"
# What twctl says there: tests/unit/attached_test.c
PATH="$dir/bin:$PATH" TWCTL="$dir/bin/twctl" NOTIFY_SOCKET=/x FACTOR=50 WAIT=0 "$root/debian/timewarp-unit" my-guest >/dev/null &
main=$!
wait $main
ok "twctl is the unit's main process, and has the socket by which it says when it is attached" test "$(cat "$dir/attacher")" = "$main /x"
: >"$dir/asked"
ok "parameters come in their order, as they are" unit VM=other POLICY=schedule PARAM10=z=1 'PARAM2=plan=100 until 2038-01-19T03:13:00, 1' EXEC='echo $x'
ok "to twctl" grep -qxF -- 'attach --vm other --policy schedule --exec echo $x --exit-when-done --param plan=100 until 2038-01-19T03:13:00, 1 --param z=1' "$dir/asked"
touch "$dir/stands"
: >"$dir/asked"
(sleep 0.5; grep -c attach "$dir/asked" >"$dir/early"; rm "$dir/stands") &
ok "it waits for a VM that stands, as one whose saved state comes in" says 0 "attached" unit FACTOR=50 WAIT=10
ok "and attaches it when it goes on" test "$(cat "$dir/early")" = 0
touch "$dir/stands"
ok "or not at all, which is twctl's to say" says 0 "attached" unit FACTOR=50 WAIT=0
rm "$dir/vm" "$dir/stands"
ok "a VM that does not come is told by twctl" says 0 "" unit FACTOR=2 WAIT=0

# libvirt's hook. AppArmor's profile of libvirtd lets it run what lies in that directory; not where a link there leads
ok "the package has it where libvirtd may run it" grep -qx 'etc/libvirt/hooks/qemu.d/timewarp' debian/timewarp.install
if command -v xmllint >/dev/null; then
	run=$dir/run
	domain() { printf "<domain type='kvm'><name>d</name><metadata>%s</metadata><memory>1</memory></domain>\n" "$1"; }
	unit=/bin/true
	hook() { env PATH="$dir/bin:$PATH" TIMEWARP_RUN="$run" TIMEWARP_UNIT="$unit" "$root/debian/libvirt/hook" "$@"; }
	prepare() { domain "$2" | hook "$1" prepare begin -; }
	ok "the hook leaves a domain without its metadata alone" prepare plain ''
	ok "and makes nothing for it" test ! -e "$run/plain.conf"
	full="<t:timewarp xmlns:t='urn:timewarp:1' policy='schedule' tsc='auto'><t:param name='plan' value='100 until 2038-01-19T03:13:00, 1'/><t:param name='b' value='2'/></t:timewarp>"
	ok "it reads policy and parameters" prepare d "$full"
	conf() { . "$run/d.conf" && [ "$POLICY" = schedule ] && [ "$PARAM1" = 'plan=100 until 2038-01-19T03:13:00, 1' ] && [ "$PARAM2" = b=2 ]; }
	ok "for the unit" conf
	ok "before QEMU starts it starts the unit, and does not wait" hook d start begin -
	ok "so it has" grep -qx 'start --no-block timewarp@d.service' "$dir/systemctl"
	hook d started begin - </dev/null
	ok "when QEMU runs it waits for the unit" grep -qx 'start timewarp@d.service' "$dir/systemctl"
	touch "$dir/broken"
	ok "and a domain that cannot be attached does not start" says 1 "journalctl -u timewarp@d" hook d started begin -
	rm "$dir/broken"
	domain "$full" | hook d restore begin -
	prepare d "$full"
	: >"$dir/systemctl"
	ok "a domain that is restored" hook d started begin - </dev/null
	ok "is not waited for: it stands until libvirt has heard of us" test ! -s "$dir/systemctl"
	ok "but when it starts anew" hook d started begin - </dev/null
	ok "it is" grep -qx 'start timewarp@d.service' "$dir/systemctl"
	domain "$full" | hook d migrate begin -
	touch -d '-1 hour' "$run/d.comes"
	: >"$dir/systemctl"
	hook d started begin - </dev/null
	ok "one that did not come is none of the next start" grep -qx 'start timewarp@d.service' "$dir/systemctl"
	domain "$full" | hook d restore begin -
	hook d release end - </dev/null
	ok "at its end the unit is stopped" grep -qx 'stop timewarp@d.service' "$dir/systemctl"
	ok "and nothing is left" finds_nothing ls "$run"
	ok "metadata with neither factor nor policy is refused" says 1 "neither factor nor policy" prepare d "<t:timewarp xmlns:t='urn:timewarp:1'/>"
	bad="<t:timewarp xmlns:t='urn:timewarp:1' factor='2'><t:param name='a' value='x&quot;&#10;EXEC=reboot'/></t:timewarp>"
	ok "what could be more than a value is refused" says 1 "has a character that is not taken" prepare d "$bad"
	ok "and leaves no file" finds_nothing ls "$run"
	ok "a name that is no unit's is refused" says 1 "cannot have this name" prepare 'a b' "$full"
	ok "of another namespace it knows nothing" prepare d "<t:timewarp xmlns:t='urn:other' factor='2'/>"
	ok "and makes nothing" finds_nothing ls "$run"
	unit=$dir/none
	ok "when the package is removed, its hook stays and lets every domain start" prepare d "$full"
	ok "as it is" finds_nothing ls "$run"
else
	skip "libvirt's hook" "no xmllint"
fi

# Alerts: by metrics that there are
rules=debian/prometheus/timewarp.rules.yml
unknown() {
	local m
	for m in $(grep -o 'timewarp_[a-z_]*' $rules | grep -v '_total$\|_sum$\|_count$' | sort -u) \
		$(grep -o 'timewarp_[a-z_]*\(_total\|_sum\|_count\)' $rules | sort -u); do
		case $m in
		timewarp_ticks_*) grep -qE "\"(timewarp_ticks_)?${m#timewarp_ticks_}\"|$m" user/lib/metrics.c || echo "$m" ;;
		# two of a histogram's series
		*_seconds_sum | *_seconds_count) grep -q "\"${m%_*}\", \"histogram\"" user/lib/metrics.c || echo "$m" ;;
		*) grep -q "$m" user/lib/metrics.c || echo "$m" ;;
		esac
	done
}
ok "alerts go by metrics that twctl writes" finds_nothing unknown
ok "and there are some" test "$(grep -c 'alert: ' $rules)" -ge 5
untried() { comm -23 <(sed -n 's/.* alert: //p' $rules | sort -u) <(sed -n 's/.* alertname: \([A-Za-z]*\)$/\1/p' tests/deb/alerts.yml | sort -u); }
ok "each is made to come by tests/deb/alerts.yml" finds_nothing untried
if command -v promtool >/dev/null; then
	ok "promtool takes the rules" promtool check rules $rules
	ok "each alert comes when it should, and no sooner" promtool test rules tests/deb/alerts.yml
else
	skip "promtool takes the rules, and each comes when it should" "no promtool; tests/deb/host.t has one"
fi
done_testing
