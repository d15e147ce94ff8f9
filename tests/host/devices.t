#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
# jump beside devices that answer in ordinary time, which is slow: an NVMe, an AHCI and a virtio-scsi disk that take 100 ms a
# request, two hardware watchdogs, a service that systemd would watch over, an idle TCP connection that is kept alive. Nothing
# gives up that would not have, had the guest lived that time with its devices answering; what would have does so.
use strict;
use warnings;
use lib 'tests/host/lib';
use Test::More;
use TwHost;

my $g = 'devices';
my $latency_ns = 100_000_000;
sub disk { my ($node) = @_; return map { ('--qemu', $_) } '-blockdev', "null-co,node-name=$node,size=1073741824,read-zeroes=on,latency-ns=$latency_ns" }
sub device { return map { ('--qemu', $_) } '-device', shift }

# The guest's image has no such drivers: they come from its kernel's package, on a disk
sub drivers {
	my @names = @_;
	my $dir = '/tmp/tw-drivers';
	my ($base, $version) = (run('bash', '-c', '. tools/lib.sh && need_kernel && echo "$TW_KDIR" && echo "$TW_KVER"'))[1] =~ /(.+)/g;
	mkdir $dir;
	my (@order, %seen);
	for my $file (map { (run('modprobe', '-d', $base, '-S', $version, '--show-depends', $_))[1] =~ /^insmod (\S+)/mg } @names) {
		my ($module) = $file =~ m{([^/]+)\.ko[^/]*$};
		next if $seen{$module}++;
		my $unpack = $file =~ /\.xz$/ ? 'xz -dc' : $file =~ /\.zst$/ ? 'zstd -dqc' : 'cat';
		my ($rc, $out) = run('sh', '-c', "$unpack '$file' >$dir/$module.ko");
		$rc == 0 or BAIL_OUT("$module: $out");
		push @order, "$module.ko";
	}
	open my $f, '>', "$dir/order" or die "$dir/order: $!";
	print $f "@order\n";
	close $f;
	run('tar', '-C', $dir, '-cf', "$dir.tar", 'order', @order);
	return "$dir.tar";
}
my $drivers = drivers(qw(nvme ahci sd_mod virtio_scsi i6300esb lpc_ich iTCO_wdt));
my $pid = guest($g, '--smp', 1, '--append', 'tsc=reliable', '--qemu', '-drive', '--qemu', "file=$drivers,format=raw,if=virtio,readonly=on",
	disk('n'), device('nvme,drive=n,serial=1'), disk('a'), device('ide-hd,drive=a'),
	device('virtio-scsi-pci'), disk('s'), device('scsi-hd,drive=s'), device('i6300esb'),
	'--qemu', '-global', '--qemu', 'ICH9-LPC.noreboot=false', '--qemu', '-action', '--qemu', 'watchdog=poweroff',
	'--qemu', '-netdev', '--qemu', 'user,id=net,guestfwd=tcp:10.0.2.100:7-cmd:cat', device('virtio-net-pci,netdev=net,romfile='));
my $before = left_behind();

sub in_guest { return guest_exec($g, 'sh', '-c', shift) }
in_guest('for m in $(cat /lib/modules/list); do insmod /lib/modules/$m.ko 2>/dev/null; done; mkdir /tmp/d; cd /tmp/d; tar -xf /dev/vda;'
	. ' for m in $(cat order); do insmod $m; done; ip addr add 10.0.2.15/24 dev eth0; ip link set eth0 up');
# Which is which: by what their drivers call themselves
my %watchdog;
sub find_watchdogs {
	%watchdog = (in_guest('for w in /sys/class/watchdog/*; do echo "${w##*/}" $(cat $w/identity); done'))[1] =~ /^(watchdog\d+) (i6300ESB|iTCO_wdt)/mg;
	%watchdog = reverse %watchdog;
	return keys %watchdog == 2;
}
ok(wait_until(60, sub { my ($rc) = in_guest('[ -b /dev/nvme0n1 ] && [ -b /dev/sda ] && [ -b /dev/sdb ]'); return !$rc && find_watchdogs() }),
	'the guest has three disks and two watchdogs') or BAIL_OUT((in_guest('dmesg | tail -n 30; ls /dev /sys/class/watchdog'))[1]);
my $read = 'dd if=/dev/$d of=/dev/null bs=4096 count=1 iflag=direct 2>/dev/null || echo $d failed >>/tmp/failed';
my ($rc, $out) = in_guest("read a x </proc/uptime; d=nvme0n1; $read; read b x </proc/uptime; echo from \$a to \$b");
my ($from, $to) = $out =~ /from ([\d.]+) to ([\d.]+)/;
cmp_ok($to - $from, '>=', 0.09, 'a request takes as long as it was to') or diag($out);

# What gave up, in the guest's own words
sub gave_up {
	return (in_guest('dmesg | grep -iE "timeout|timed out|abort|exception|reset|failed command|I/O error|blocked for more"; cat /tmp/failed 2>/dev/null; true'))[1];
}
my $said = gave_up();
sub jump {
	my ($what, $span) = @_;
	my ($u0) = (in_guest('cat /proc/uptime'))[1] =~ /^([\d.]+)/;
	my $h0 = host_s();
	my ($rc, $out) = twctl('jump', '--vm', $g, "+$span");
	my $took_s = host_s() - $h0;
	my ($u1) = (in_guest('cat /proc/uptime'))[1] =~ /^([\d.]+)/;
	# why QEMU has ended is in its last words, if it says
	is($rc, 0, "$what: jump +$span") or $out =~ /the VM is gone/ ? BAIL_OUT("$out\n" . slurp("/run/timewarp/$g/qemu.err")) : diag($out);
	my ($n, $unit) = $span =~ /^(\d+)(\w)$/;
	my $span_s = $n * { m => 60, h => 3600, d => 86400 }->{$unit};
	ok($u1 - $u0 >= $span_s && $u1 - $u0 < $span_s + $took_s + 20, sprintf '%s: it has passed, in %.2f s of the host', $what, $took_s);
	is(gave_up(), $said, "$what: no request, disk or controller gave up") and return $took_s;
	$said = gave_up();
	return $took_s;
}
# A program of the guest in its background; and the end of those that look for a file
sub start { my ($name, $script) = @_; in_guest("($script) </dev/null >/tmp/$name.out 2>&1 &") }
sub stop {
	my ($file) = @_;
	in_guest("touch /tmp/$file");
	# past their sleep
	twctl('jump', '--vm', $g, '+2m');
}

# A service is told to by its own timer, and its watcher waits twice as long
start('service', 'while [ ! -e /tmp/end ]; do sleep 1; done | pet 180');
start($_, "exec 3>/dev/$watchdog{$_}; while [ ! -e /tmp/end ]; do echo >&3; sleep 10; done; echo V >&3") for sort keys %watchdog;
sub keep { my ($end) = @_; start("kept-$end", "while [ ! -e /tmp/$end ]; do sleep 60; done | kept 10.0.2.100 7 60 10 3") }
sub kept { return (in_guest('cat /tmp/kept-' . shift . '.out'))[1] }
# How often the guest's kernel has asked whether the other end is there
sub probes {
	my ($names, $values) = map { [ split ] } (in_guest('grep TcpExt /proc/net/netstat'))[1] =~ /(.+)/g;
	my %of;
	@of{ @$names } = @$values;
	return $of{TCPKeepAlive};
}
keep('end');
ok(wait_until(20, sub { kept('end') =~ /^up/ }), 'a connection is there') or diag(kept('end'));
my $fast_s = jump('a guest that waits', '1d');
cmp_ok($fast_s, '<', 60, 'a guest that waits goes fast');
my $asked = probes();
ok($asked >= 86400 / 120 && $asked <= 86400 / 60 + 60, "a connection that is idle for a day is asked after $asked times");

my @disks = qw(nvme0n1 sda sdb);
start($_, "d=$_; while [ ! -e /tmp/rare ]; do $read; sleep 60; done") for @disks;
jump('disks that are used each minute', '1h');
stop('rare');

start($_, "d=$_; while [ ! -e /tmp/busy ]; do $read; done") for @disks;
jump('disks that always work', '5m');
stop('busy');

# At each petting a vCPU's thread puts off the watchdog's timer, and QEMU's main loop sleeps on, until the old time or for a
# second of the host's. skip-idle waited for that once, for 38 % of all time
my $p = attach($g, '--policy', 'skip-idle') or BAIL_OUT('skip-idle did not attach');
sleep 2;
my @looks = map { sleep 4 if $_; [ @{ state($pid) }{qw(host_ns leaps)}, (twctl('status', '-j', '--vm', $g))[1] =~ /"vmm_ns": *"?(\d+)/ ] } 0, 1;
detach($p);
my ($host_ns, $leaps, $vmm_ns) = map { ($looks[1][$_] // 0) - ($looks[0][$_] // 0) } 0 .. 2;
ok(defined $looks[0][2] && defined $looks[1][2] && $leaps > 1000, "skip-idle leaps, $leaps times in four seconds, and tells how long it has waited for QEMU");
cmp_ok($vmm_ns, '<', 0.05 * $host_ns, sprintf 'not for a timer that was put off: %.1f %% of the time', 100 * $vmm_ns / $host_ns);
stop('end');
my ($pets) = (in_guest('cat /tmp/service.out'))[1];
like($pets, qr/^pets \d{3}/m, 'the service was told to live');
unlike($pets, qr/killed/, '... and never ended');
is((in_guest('echo alive'))[1], "alive\n", 'no hardware watchdog that is petted each third of its time has reset the guest');
is(kept('end'), "up\nalive\n", 'the connection stands, and takes a word');

# What would have given up
keep('cut');
ok(wait_until(20, sub { kept('cut') =~ /^up/ }), 'another connection is there') or diag(kept('cut'));
qmp($g, '{"execute":"set_link","arguments":{"name":"net","up":false}}');
$said = gave_up();
jump('a cable that is drawn', '10m');
my ($lived_s) = kept('cut') =~ /^ended: .* after ([\d.]+) s$/m;
ok($lived_s && $lived_s >= 89 && $lived_s < 300, 'the connection ends after three questions, 90 s, and no sooner: ' . ($lived_s // '-')) or diag(kept('cut'));
start('neglected', "exec 3>/dev/$watchdog{iTCO_wdt}; echo >&3; sleep 100000");
sleep 1;
my ($gone_rc, $gone) = twctl_within(300, 'jump', '--vm', $g, '+10m');
ok($gone_rc == 4 && $gone =~ /the VM has gone before it was there/, 'a watchdog that nobody pets ends the guest') or diag("$gone_rc $gone");
same_as_before($before, 'nothing is left');
done_testing();
