#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
# A Debian guest under QEMU in TSC mode scaled, which the CPU does by itself: auto takes it, no reading of a clock
# exits, the factor changes live, its clocks never go back, and at the end it keeps its time.
use strict;
use warnings;
use lib 'tests/host/lib';
use Test::More;
use TwHost;

my $tracing = '/sys/kernel/tracing/instances/exits';

# exits(SUB): how many exits for RDTSC (16) and RDTSCP (51) there were meanwhile
sub exits {
	my ($sub) = @_;
	mkdir $tracing;
	TwHost::put("$tracing/events/kvm/kvm_exit/filter", 'exit_reason == 16 || exit_reason == 51');
	TwHost::put("$tracing/events/kvm/kvm_exit/enable", 1);
	$sub->();
	TwHost::put("$tracing/events/kvm/kvm_exit/enable", 0);
	my $n = () = slurp("$tracing/trace") =~ /: kvm_exit:/g;
	rmdir $tracing;
	return $n;
}

sub reads {
	my ($g, $n, $what) = @_;
	my ($rc, $out) = guest_exec($g, 'mono', $n);
	my %r = $out =~ /(\w+) (\d+)/g;
	is("$rc $r{reads} $r{back_ns} $r{back_tsc}", "0 $n 0 0", "$what: no step back of clock or TSC in $n readings")
		or diag($out);
}

for my $g (@guests) {
	my $pid = guest($g);
	my $before = left_behind();
	my $p = attach($g, '--factor', 50);
	like(slurp($p->{file}), qr/\bTSC scaled\b/, "$g: auto takes scaled");
	is(state($pid)->{tsc_mode}, 'scaled', "$g: and so says the kernel");
	is(exits(sub { reads($g, 100000, "$g: 50") }), 0, "$g: 50: no RDTSC exits");

	# While the guest reads its clocks without a pause
	my $mono = guest_spawn($g, 'mono', 100000000);
	for my $f (qw(0.1 2 50 1/7 50)) {
		is((twctl('set', '--vm', $g, '--factor', $f))[0], 0, "$g: set to $f under a reader");
		select undef, undef, undef, 0.1;
	}
	my ($end) = detach($p);
	is($end, 0, "$g: detached under it");
	is((guest_exec($g, 'killall', 'mono'))[0], 0, "$g: it reads still");
	my ($rc, $out) = finish($mono);
	my %r = $out =~ /(\w+) (\d+)/g;
	is("$rc $r{back_ns} $r{back_tsc}", '0 0 0', "$g: it has seen no step back through all of this") or diag($out);

	continuous($g, $pid, 'attach, 0.1, 2, 50, detach', sub {
		$p = attach($g, '--factor', 0.1);
		for my $f (2, 50) {
			is((twctl('set', '--vm', $g, '--factor', $f))[0], 0, "$g: set to $f");
		}
		detach($p);
	});

	# The control: what counts exits sees them
	$p = attach($g, '--factor', 50, '--tsc', 'trapped');
	cmp_ok(exits(sub { reads($g, 1000, "$g: trapped") }), '>=', 2000, "$g: trapped: each reading exits");
	detach($p);
	same_as_before($before, "$g: nothing is left behind");
	my (undef, $log) = guest_exec($g, 'dmesg');
	# It may say that it skipped a test of its TSC: 10 us of the host in the middle of a reading are 500 of the guest,
	# and 4000 instructions here (621 us were seen). tests/vmx/watchdog.t is where it must say nothing.
	my @bad = grep { /BUG|WARNING|stall|lockup|unstable|skew is too large/ } split /\n/, $log;
	diag($_) for grep { /test skipped/ } split /\n/, $log;
	ok(!@bad, "$g: its log is clean") or diag(join "\n", @bad);
}
done_testing();
