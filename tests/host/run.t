#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
# twctl run: a guest that begins at a date, under its policy from the first instruction on, as the user who called
# sudo; it ends in order, with QEMU's status; what cannot be run leaves nothing behind.
use strict;
use warnings;
use lib 'tests/host/lib';
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep);
use TwHost;

my $dir = '/tmp/tw-run';
mkdir $dir;
chmod 0777, $dir, '/dev/kvm';
# Where another user can read them; unpacked, as a kernel that unpacks itself speaks a second later
run('bash', '-c', ". tools/lib.sh; need_kernel; cp \$TW_VMLINUX $dir/kernel; cp \$TW_GUEST_INITRD $dir/initrd");
my $date = 2147385600;	# 2038-01-18
my @qemu = ('qemu-system-x86_64', '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot');

sub kvm_guest {
	my ($append, @more) = @_;
	return (@qemu, '-machine', 'q35,accel=kvm,usb=off,vmport=off', '-cpu', 'host', '-m', 256, '-kernel', "$dir/kernel",
		'-initrd', "$dir/initrd", '-append', "console=ttyS0 loglevel=5 panic=-1 nokaslr no_timer_check " .
		"i8042.noaux i8042.nokbd i8042.nopnp audit=0 apparmor=0 random.trust_cpu=on cryptomgr.notests $append",
		'-serial', "file:$dir/console", '-device', 'virtio-serial-pci',
		(map { ('-chardev', "socket,id=c$_,path=$dir/agent.$_,server=on,wait=off", '-device', "virtserialport,chardev=c$_,name=tw.$_") } 0 .. 3),
		@more);
}
# A process of twctl run, once its guest is under way
sub started {
	my $p = twctl_spawn('run', @_);
	my $up = wait_until(60, sub { (slurp($p->{file}) // '') =~ /^attached |"event":"attached"/m || waitpid($p->{pid}, 1) });
	my $said = slurp($p->{file}) // '';
	return $p if $up && $said =~ /^attached |"event":"attached"/m;
	diag($said, slurp("$dir/console") // '');
	BAIL_OUT("twctl run @_[0 .. 5]");
}
sub in_guest { return run('timeout', 120, $ENV{TW_EXEC}, '-e', 'PATH=/bin:/sbin', '-C', '/', "$dir/agent", '--', @_) }
sub qemus { return grep { (slurp("/proc/$_/comm") // '') =~ /^qemu/ } map { m{/proc/(\d+)$} ? $1 : () } glob '/proc/[0-9]*' }
sub nothing_left {
	my ($before, $name) = @_;
	is_deeply([ qemus() ], [], "$name: no QEMU is left");
	is_deeply([ glob '/run/twctl/*' ], [], "$name: and no folder");
	same_as_before($before, "$name: and nothing of BPF");
}

# ---- what cannot be run
my $before = left_behind();
my @none = ('-m', 16, '-accel');
for (
	[ 2, qr/not said what to run/, [] ],
	[ 2, qr/cannot begin at 'soon'/, [ '--date', 'soon', '--', @qemu ] ],
	[ 5, qr/that date has passed/, [ '--date', '2001-01-01', '--', @qemu ] ],
	[ 2, qr/are of --image/, [ '--smp', 2, '--', @qemu ] ],
	[ 2, qr/--memory 'much' is not/, [ '--image', '/dev/null', '--memory', 'much' ] ],
	[ 2, qr/are of --age/, [ '--report', "$dir/none", '--', @qemu ] ],
	[ 2, qr/--age '0s' is not above zero/, [ '--age', '0s', '--report', "$dir/none", '--', @qemu ] ],
	[ 2, qr/not said where to record/, [ '--age', '1d', '--', @qemu ] ],
	[ 1, qr/cannot read the image '\/nosuch': No such file/, [ '--image', '/nosuch' ] ],
	[ 1, qr/cannot run 'nosuch-qemu': No such file/, [ '--', 'nosuch-qemu' ] ],
	[ 2, qr/-daemonize/, [ '--', @qemu, '-daemonize' ] ],
	[ 1, qr/QEMU ended with status 1/, [ '--', @qemu, '-cpu', 'nosuch' ] ],
	[ 2, qr/without KVM/, [ '--', @qemu, @none, 'tcg' ] ],
	[ 2, qr/no such parameter/, [ '--factor', 2, '--param', 'nosuch=1', '--', @qemu, @none, 'kvm' ] ],
) {
	my ($want, $like, $args) = @$_;
	my ($rc, $out) = twctl_within(60, 'run', @$args);
	my @lines = grep { /^twctl: / } split /\n/, $out;
	ok($rc == $want && @lines == 1 && $out =~ $like, "status $want and one line: $like") or diag("$rc\n$out");
}
nothing_left($before, 'what cannot be run');

# ---- a guest that begins at a date
trace_begin();
my $p = started('--date', '2038-01-18', '--vm-name', 'born', '--grace', '2s', '--', kvm_guest('clocksource=kvm-clock'));
my ($rc, $out) = in_guest('sh', '-c', 'insmod /lib/modules/msr.ko; born; cat /sys/devices/system/clocksource/clocksource0/current_clocksource; cat /sys/class/rtc/rtc0/since_epoch; head -n 1 /proc/uptime');
is($rc, 0, 'the guest boots') or diag($out, slurp($p->{file}), slurp("$dir/console") // '');
my ($wall, $kvmclock, $tsc, $real, $uptime) = $out =~ /^(\d+) (\d+) (\d+) (\d+) (\d+)$/m;
my ($pid) = qemus();
my ($rc2, $list) = twctl('list');
like($list, qr/\bborn\b/, 'it has its name');
like((twctl('status', '--vm', 'born'))[1], qr/guest's date +2038-01-18T/, 'status has the date that it began at');
my $s = state($pid);
kill 'INT', $p->{pid};
my ($status, $said) = finish($p);
my $t = trace_end();
my @seg = grep { $_->{pid} == $pid } @{ $t->{segments} };
note(map { "$_->{change} $_->{factor} host_tsc $_->{host_tsc} guest_ns $_->{guest_ns}\n" } @seg);
# The last segment is the one that the policy's swap has begun, or the stop at the end
my ($first) = grep { $_->{change} eq 'rate' } @seg;
my ($stood) = grep { $_->{change} eq 'freeze' } @seg;
ok($first && $stood, 'its timeline stands until the policy takes over') or diag(map { $_->{change} } @seg);
is(sub64($first->{guest_ns}, $stood->{guest_ns}), 0, '... to the nanosecond');
my $epoch = $wall - 1e9 * $date;
cmp_ok(abs($epoch) / 1e9, '<', 0.1, "kvmclock's wall clock, the date at which it was 0, is DATE") or diag($epoch);
my $line = ($epoch + $kvmclock - $uptime) / 1e9;
cmp_ok(abs($line), '<', 1, 'by kvmclock the first line of its log is within 1 s of DATE');
note(sprintf 'the first line of the log is %.3f s after DATE by kvmclock, %.3f s by the system\'s date, which the RTC gives in seconds',
	$line, ($real - $uptime - 1e9 * $date) / 1e9);
cmp_ok(abs($wall + $kvmclock - $real) / 1e9, '<', 1.5, "kvmclock's date is the system's");
my $by_tsc = model_ns($first, $tsc) - $first->{guest_ns};
cmp_ok(abs($by_tsc - $kvmclock) / 1e9, '<', 0.1, 'the TSC says the same as kvmclock of how old it is') or diag("$by_tsc $kvmclock");
my ($rtc) = $out =~ /^(\d{10})$/m;
cmp_ok(abs($rtc - $real / 1e9), '<=', 2, 'and so does the RTC') or diag("$rtc $real");
is($status, 0, 'Ctrl-C: a guest that does not hear the power button is gone after --grace, with QEMU\'s status')
	or diag($said);
like($said, qr/has not shut down in time/, '... which is told');
nothing_left($before, 'Ctrl-C');

# ---- whoever started it is killed: QEMU, which changes its user and so loses the signal for it, does not live on
unlink glob("$dir/agent.*"), "$dir/console";
$p = started('--', kvm_guest('clocksource=kvm-clock', '-runas', 'nobody'));
($pid) = qemus();
unlike(slurp("/proc/$pid/status"), qr/^Uid:\t0\t/m, '-runas: QEMU is another user');
kill 'KILL', $p->{pid};
finish($p);
ok(wait_until(20, sub { !qemus() }), 'SIGKILL to run: QEMU ends');
ok(wait_until(20, sub { !@{[ glob '/run/timewarp/*.keeper' ]} }), '... and its keeper');
same_as_before($before, '... and nothing of BPF is left');

# ---- it is aged, and shut down
sub aged {
	my ($name, $span, $then, @policy) = @_;
	unlink glob("$dir/agent.*"), "$dir/console";
	my $p = twctl_spawn('run', '--date', '2038-01-18', '--grace', '2s', @policy, '--age', $span, '--every', '6h', '--report', "$dir/$name", '--',
		kvm_guest('clocksource=kvm-clock nohz=on'));
	$then->() if $then;
	my ($rc, $out) = finish($p);
	my $r = eval { JSON::PP::decode_json(slurp("$dir/$name/report.json") // '') } // {};
	return ($rc, $out, $r, slurp("$dir/$name/samples.ndjson") // '');
}
{
	my ($rc, $out, $r, $samples) = aged('aged', '2d');
	ok($rc == 0 || $rc == 10, "--age 2d: the status of age: $rc") or diag($out);
	cmp_ok(abs(($r->{end} // 0) - ($r->{start} // 0) - 2 * 86400), '<', 120, '... two days are lived') or diag($out);
	cmp_ok(abs(($r->{start} // 0) - $date), '<', 60, '... from DATE on') or diag(scalar gmtime($r->{start} // 0));
	like($samples, qr/"policy":\s*"skip-idle/, "... by age's own policy");
	like($out, qr/shutting the guest down/, '... then it is shut down');
	nothing_left($before, '--age');
	($rc, $out, $r, $samples) = aged('stopped', '400d', sub {
		wait_until(120, sub { (slurp("$dir/stopped/samples.ndjson") // '') =~ /(.*"sample".*\n){3}/ });
		kill 'INT', map { /^(\d+)$/ } qx(pgrep -o -x twctl);
	}, '--factor', 10000);
	ok(($rc == 0 || $rc == 10) && ($r->{end} // 0) > ($r->{start} // 0), "Ctrl-C: a report of what there is, and status $rc") or diag($out);
	like($samples, qr/"policy":\s*"constant/, '... under the factor that it was given');
	nothing_left($before, '--age and Ctrl-C');
}

# ---- another rate, another user, the guest's own end
for (['/etc/passwd', "tester:x:4711:4711::/tmp:/bin/sh\n"], ['/etc/group', "tester:x:4711:\n"]) {
	open my $f, '>>', $_->[0] or die "$_->[0]: $!";
	print $f $_->[1];
}
my $groups = slurp('/etc/group');
$groups =~ s/^kvm:.*\n//m;
open my $f, '>', '/etc/group' or die;
print $f $groups, "kvm:x:4712:tester\n";
close $f;
unlink glob("$dir/agent.*"), "$dir/console";
$ENV{SUDO_UID} = 4711;
trace_begin();
$p = started('--date', '2038-01-18', '--factor', 3, '-j', '--',
	kvm_guest('clocksource=tsc tsc=reliable', '-smp', 2, '-device', 'isa-debug-exit,iobase=0xf4,iosize=4'));
($rc, $out) = in_guest('sh', '-c', 'insmod /lib/modules/msr.ko; born; cat /sys/devices/system/clocksource/clocksource0/current_clocksource');
is($rc, 0, 'another boots at three times the rate') or diag($out, slurp($p->{file}));
($wall, $kvmclock, $tsc, $real, $uptime) = $out =~ /^(\d+) (\d+) (\d+) (\d+) (\d+)$/m;
($pid) = qemus();
like(slurp("/proc/$pid/status"), qr/^Uid:\t4711\t4711\t4711\t4711$/m, 'QEMU is run as the user who called sudo');
like(slurp("/proc/$pid/status"), qr/^Groups:\t.*\b4712\b/m, '... with his groups');
$s = state($pid);
is("$s->{policy} $s->{factor_asked}", 'constant 3/1', 'under its policy') or diag(explain $s);
cmp_ok($s->{lost_ticks}, '<', 1000, 'no tick of the years before its birth counts as lost');
in_guest('sh', '-c', 'printf "\001" | dd of=/dev/port bs=1 seek=244 conv=notrunc');
($status, $said) = finish($p);
is($status, 3, 'the guest ends QEMU with a status, and so does run') or diag($said);
$t = trace_end();
@seg = grep { $_->{pid} == $pid } @{ $t->{segments} };
($first) = grep { $_->{change} eq 'rate' } @seg;
is($first && eval $first->{factor}, 3, 'its first segment that moves is at that rate') or diag(map { "$_->{change} $_->{factor}\n" } @seg);
cmp_ok(abs($real - $uptime - 1e9 * $date) / 1e9, '<', 3, "a guest by TSC: the first line of its log is at DATE, but for what the firmware took")
	or diag($real - $uptime - 1e9 * $date);
$by_tsc = (model_ns($first, $tsc) - $first->{guest_ns}) / 1e9;
cmp_ok(abs($date + $by_tsc - $real / 1e9), '<', 1.5, 'the date by its TSC is the system\'s') or diag("$by_tsc $real");
like($said, qr/"event":"qemu_ended","status":3/, 'JSON has the status too');
nothing_left($before, "the guest's own end");
done_testing();
