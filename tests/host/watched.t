#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
# What it costs a guest that has work to do, at 50x, that twctl stat looks at it: no timer of its comes so late that a service with
# WatchdogSec=4 would be ended, and it distrusts no clock.
use strict;
use warnings;
use lib 'tests/host/lib';
use List::Util qw(max sum);
use Test::More;
use TwHost;

my $g = 'watched';
my $pid = guest($g, '--smp', 1, '--clocksource', 'kvm-clock');
my $before = left_behind();
guest_exec($g, 'sh', '-c', 'echo watched begins >/dev/kmsg');
# It works a good part of the time, besides the ticks of that
my $load = guest_spawn($g, 'sh', '-c', 'while :; do usleep 50000; i=0; while [ $i -lt 400 ]; do i=$((i + 1)); done; done');
my $p = attach($g, '--factor', 50) or BAIL_OUT('no attach');
for my $how ('alone', 'beside stat') {
	my $w = guest_spawn($g, 'wakes', 'timer', 1000, 100000000);
	# begins meanwhile: that its programs are loaded costs most at once
	my $stat = $how eq 'alone' ? undef : twctl_spawn('stat', '--vm', $g, '1', '3');
	my $s0 = state($pid);
	my (undef, $out) = finish($w);
	my $s1 = state($pid);
	my @late = map { /^timer (\d+) (\d+)$/ ? ($2 - $1) / 1e9 : () } split /\n/, $out;
	diag(sprintf '%s: %d timers in %.2f host s, %.1f guest s, latest %.3f s, mean %.3f', $how, scalar @late, map({ ($s1->{$_} - $s0->{$_}) / 1e9 }
		qw(host_ns guest_ns)), max(@late, 0), sum(@late, 0) / (@late || 1));
	is(scalar @late, 1000, "$how: each timer came");
	cmp_ok(max(@late, 0), '<', 2, "$how: none so late that a service is ended that says each 2 s that it lives, and has 4");
	if ($stat) {
		my ($rc, $said) = finish($stat);
		is($rc, 0, 'stat: status 0') or diag($said);
		like($said, qr/ deadline +\d{4}/, 'stat has seen its ticks');
	}
}
detach($p);
my (undef, $log) = guest_exec($g, 'sh', '-c', 'dmesg | sed "1,/watched begins/d"');
unlike($log, qr/unstable|lockup|stall|starved/, 'it has distrusted no clock, and no CPU') or diag($log);
kill 'TERM', $load->{pid};
finish($load);
stop_guest($g);
same_as_before($before, 'nothing is left');
done_testing();
