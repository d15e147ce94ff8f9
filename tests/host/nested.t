#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
# A guest that is a KVM host itself, on the distribution's modules, hands a coherent time to its own
# guest: the test VMM (tests/vmm), run in the guest, holds its nested guest's TSC, kvmclock and LAPIC timers
# against each other and against the time of the guest, while that is warped and while the factor changes.
use strict;
use warnings;
use lib 'tests/host/lib';
use Test::More;
use TwHost;

# Only a host whose clock is the TSC gives its guests a master clock.
my $g = 'nested';
my $pid = guest($g, '--smp', 1, '--memory', 512, '--clocksource', 'tsc');
my $before = left_behind();

sub push_file {
	my ($from, $to) = @_;
	return run('sh', '-c', "$from | tools/guest exec -i $g -- sh -c 'cat >$to'");
}

my ($kver) = split ' ', slurp('/proc/sys/kernel/osrelease');
my (undef, $deps) = run('modprobe', '-S', $kver, '--show-depends', 'kvm-amd');
for (split /\n/, $deps) {
	my ($ko) = /^insmod (\S+)/ or next;
	# The guest's KVM is the distribution's.
	$ko =~ s,/updates/timewarp/,/kernel/arch/x86/kvm/,;
	$ko .= '.xz' if !-e $ko;
	push_file(($ko =~ /\.xz$/ ? 'xz -dc' : 'cat') . " $ko", '/tmp/m.ko');
	guest_exec($g, 'insmod', '/tmp/m.ko');
}
push_file('cat build/tests/vmm/vmm', '/bin/vmm');
my ($rc, $out) = guest_exec($g, 'sh', '-c', 'chmod +x /bin/vmm; ls /dev/kvm');
is($rc, 0, 'the guest has KVM') or BAIL_OUT($out);

# One run of the test VMM in the guest; what it says of its own guest
sub vmm_holds {
	my ($what, $most, $p) = @_;	# $most: the highest factor meanwhile
	my ($rc, $out) = finish($p);
	my @ok = $out =~ /^ok \d+ - (.*)$/mg;
	my @bad = $out =~ /^not ok \d+ - (.*)$/mg;
	my ($reads) = $out =~ /reads=(\d+)/;
	# start_sw_tscdeadline() in the guest's KVM reads its clock, then the TSC, and adds the difference to
	# the former: it is early by what lies between. In trapped mode that is an exit, of 10 us; and the
	# vCPU may have been held for a change.
	@bad = grep { !/TSC-deadline is never early \(\d+, worst by (\d+) TSC/ || $1 > 50_000 * $most } @bad;
	is_deeply(\@bad, [], "$what: " . @ok . ' things hold in the nested guest, ' . ($reads // 'no') . ' readings');
	ok($rc <= 1 && $out =~ /^1\.\./m && @ok >= 15 && $reads, "$what: the run comes to its end") or diag("status $rc: $out");
}

# Delays in the guest's time: at 50x, 5 ms are 100 us of the host's, in which little of a nested guest gets done.
my @run = ($g, 'vmm', '--stall', 600, '--vcpus', 1);
my @slow = ('--seconds', 5, '--delay-us', '5000:20000', '--period-us', 100000);
my @fast = ('--seconds', 0.03, '--delay-us', '100:500', '--period-us', 2000);
vmm_holds('unattached', 0, guest_spawn(@run, @fast, 'clock', 'timers'));
for ([ 50, @slow ], [ 0.1, @fast ]) {
	my ($factor, @opt) = @$_;
	my $p = attach($g, '--factor', $factor, '--tsc', 'trapped');
	vmm_holds("at $factor", $factor, guest_spawn(@run, @opt, 'clock', 'timers'));
	is((detach($p))[0], 0, "at $factor: detached");
}

my $s0 = state($pid);
my $p = attach($g, '--policy', policy('random'), '--tsc', 'trapped', '--param', 'seed=7', '--param', 'changes=1000000',
	'--param', 'shortest=1ms', '--param', 'longest=4ms');
vmm_holds('across changes', 50, guest_spawn(@run, @slow, 'clock', 'timers'));
my $s1 = state($pid);
is((detach($p))[0], 0, 'across changes: detached');
cmp_ok($s1->{seq} - $s0->{seq}, '>', 100, 'across changes: ' . ($s1->{seq} - $s0->{seq}) . ' of them');
vmm_holds('unattached again', 0, guest_spawn(@run, @fast, 'clock', 'timers'));
stop_guest($g);
same_as_before($before, 'no link, program or map is left');
done_testing();
