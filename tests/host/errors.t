#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
# Bad input and bad targets: each ends with the documented status and an error that says what could
# not be done, what was found, and the cure; nothing changes.
use strict;
use warnings;
use lib 'tests/host/lib';
use POSIX ();
use Test::More;
use TwHost;

my $g = $guests[0];
my $pid = guest($g);
my $before = left_behind();
my $was = state($pid);

# No more than three lines, no bare errno, nothing of libbpf's
sub refused {
	my ($status, $what, @args) = @_;
	# An attach that is taken would stay
	my ($rc, $out) = twctl_within(20, @args);
	my @lines = split /\n/, $out;
	(my $first = $lines[0] // '') =~ s/^(.{160}).*/$1.../;
	my $s = state($pid);
	my $same = $s->{seq} == $was->{seq} && !$s->{attached} && $s->{decisions} == $was->{decisions};
	ok($rc == $status && @lines && @lines <= 3 && $out !~ /libbpf|(?<![\w.])-\d\d\b/ && $same, "$what: $rc, $first")
		or diag("expected status $status, one clear error, no change: status $rc, same " . ($same ? 1 : 0) . "\n$out");
}

for my $f ('0', '-1', '-0', 'nan', 'inf', '1e400', '1e-12', '4.9e-324', '50x', '0x32', '50,0', '', ' 50', '1/0', '0/1', '1/-3', '1//2',
	'+', '9' x 20000) {
	my $shown = length $f > 20 ? length($f) . ' digits' : "'$f'";
	refused(2, "factor $shown", 'attach', '--vm', $g, '--factor', $f);
}
for my $f ('10001', '1/10001', '1000000', '0.00001') {
	my ($rc, $out) = twctl('attach', '--vm', $g, '--factor', $f);
	ok(($rc == 2 || $rc == 5) && $out =~ /10000/, "factor $f: refused, and the limit is told: " . (split /\n/, $out)[0]) or diag("$rc: $out");
}
refused(2, 'neither factor nor policy', 'attach', '--vm', $g);
refused(2, 'no VM named', 'attach', '--factor', 2);
refused(2, 'a TSC mode that does not exist', 'attach', '--vm', $g, '--factor', 2, '--tsc', 'magic');
refused(3, 'a TSC mode that this CPU lacks', 'attach', '--vm', $g, '--factor', 2, '--tsc', 'scaled');
refused(2, 'an unknown option', 'attach', '--vm', $g, '--frobnicate');
refused(2, 'an unknown verb', 'frobnicate');
refused(2, 'set with nothing to set', 'set', '--vm', $g);
refused(1, 'set on a VM that is not attached', 'set', '--vm', $g, '--factor', 2);
refused(1, 'swap on a VM that is not attached', 'swap', '--vm', $g, '--factor', 2);
refused(1, 'detach of a VM that is not attached', 'detach', '--vm', $g);

my $zombie = fork // die;
POSIX::_exit(0) if !$zombie;
my $sleeper = TwHost::spawn('sleep', 1000);
my $kvm = TwHost::spawn('perl', '-e', 'open my $f, "+<", "/dev/kvm" or die; sleep 1000');
my ($tid) = grep { $_ != $pid } map { m{/(\d+)$} ? $1 : () } glob "/proc/$pid/task/*";
sleep 1;
for (
	[ 'PID 0', 0 ], [ 'PID 1', 1 ], [ 'itself', $$ ], [ 'a PID that is not there', 4194303 ], [ 'a zombie', $zombie ],
	[ 'a kernel thread', 2 ], [ "a thread's id", $tid ], [ 'a process without a VM', $sleeper->{pid} ],
	[ 'a process that opened /dev/kvm and has no VM', $kvm->{pid} ], [ 'a name that nobody has', 'nobody' ],
	[ 'the start of a name', 'k' ], [ 'an empty name', '' ], [ 'a name too long', 'x' x 5000 ], [ 'a VM that the PID does not have', "$pid-9999" ],
	[ 'a UUID that nobody has', '00000000-1111-2222-3333-444444444444' ], [ 'a number too long', '9' x 40 ],
) {
	my ($what, $vm) = @$_;
	# An empty selector is a matter of usage, and digits that are no PID are as well
	refused($vm eq '' || $vm =~ /^9{40}$/ ? 2 : 4, "target: $what", 'attach', '--vm', $vm, '--factor', 2);
}
kill 'KILL', $_->{pid} for $sleeper, $kvm;
finish($_) for $sleeper, $kvm;
waitpid $zombie, 0;

refused(1, 'a policy file that is not there', 'attach', '--vm', $g, '--policy', '/nonexistent.bpf.o');
refused(1, 'a policy file that is none', 'attach', '--vm', $g, '--policy', 'README.md') if -f 'README.md';
refused(2, 'a parameter that the policy lacks', 'attach', '--vm', $g, '--policy', policy('random'), '--param', 'nonsense=1');
refused(2, 'a parameter out of range', 'attach', '--vm', $g, '--policy', policy('random'), '--param', 'seed=0');
refused(2, 'a duration without a unit', 'attach', '--vm', $g, '--policy', policy('random'), '--param', 'shortest=5');
refused(5, 'unknown flags in the table', 'attach', '--vm', $g, '--policy', policy('flags'));
refused(5, 'a policy without decide', 'attach', '--vm', $g, '--policy', policy('nodecide'));
{
	# Here the end of the verifier's log belongs to the answer
	my ($rc, $out) = twctl('attach', '--vm', $g, '--policy', policy('writer'));
	ok($rc == 5 && $out =~ /verifier/ && $out =~ /may write only to struct kvm_timewarp_answer/ && !state($pid)->{attached},
		"a policy that writes what it may only read: $rc, " . (split /\n/, $out)[0]) or diag($out);
}

# A VMM whose program's file is another by now, though it has the same name and number: the overlay has copied it up for a
# new link, as perf record makes one for its build-ids. The kernel would put the probes where nobody comes by.
{
	my $dir = '/tmp/tw-overlay';
	my ($rc, $out) = run('sh', '-c', "set -e; mkdir -p $dir; mount -t tmpfs none $dir; cd $dir; mkdir -p low/bin up work all; ln -s /usr/share low; "
		. 'cp "$(realpath "$(command -v qemu-system-x86_64)")" low/bin/qemu-system-x86_64; mount -t overlay -o lowerdir=low,upperdir=up,workdir=work none all');
	$rc == 0 or BAIL_OUT("there is no overlay: $out");
	local $ENV{PATH} = "$dir/all/bin:$ENV{PATH}";
	my $vm = guest('upper', '--smp', 1);
	($rc, $out) = twctl_within(20, 'attach', '--vm', $vm, '--factor', 2, '--pin');
	is($rc, 0, 'a VMM on an overlay is attached') or diag($out);
	twctl('detach', '--vm', $vm);
	link("$dir/all/bin/qemu-system-x86_64", "$dir/all/bin/linked") or BAIL_OUT("link: $!");
	($rc, $out) = twctl_within(20, 'attach', '--vm', $vm, '--factor', 2, '--pin', '--vmm', 'on');
	ok($rc == 3 && $out =~ /meets no probe.*start the VM anew/ && !state($vm)->{attached}, '... not once its file was copied up, with --vmm on') or diag("$rc $out");
	($rc, $out) = twctl_within(20, 'attach', '--vm', $vm, '--factor', 2, '--pin');
	ok($rc == 0 && $out =~ /clocks of the VMM on host time \(process \d+ meets no probe/, '... and without it is told that they stay on host time') or diag("$rc $out");
	twctl('detach', '--vm', $vm);
	stop_guest('upper');
	run('umount', '-l', "$dir/all", $dir);
}

# With -j the error is JSON
my ($rc, $out) = twctl('attach', '--vm', 'nobody', '--factor', 2, '-j');
ok($rc == 4 && $out =~ /^\{.*"status":\s*4.*\}$/s, 'with -j the error is an object with its status') or diag("$rc $out");

same_as_before($before, 'no link, program or map is left');
done_testing();
