#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
# A sleeper in the guest (nanosleep, timerfd one-shot and periodic) is never early, also across changes
# of the factor at random moments, and armed = fired + cancelled: with TSC-deadline timers, with the
# LAPIC's one-shot timer, and with its periodic tick, of which none goes missing uncounted.
use strict;
use warnings;
use lib 'tests/host/lib';
use Test::More;
use TwHost;

my $seconds = $ENV{TW_SLEEP_SECONDS} // 10;	# of the guest's time
my $seed = $ENV{TW_SEED} // 99;
my $hz = 250;

my %extra = (
	# TSC-deadline masked: the LAPIC's one-shot timer
	oneshot => [ '--smp', 1, '--append', 'lapic=notscdeadline' ],
	# and its periodic tick
	periodic => [ '--smp', 1, '--append', 'lapic=notscdeadline nohz=off highres=off' ],
);
my @which = (@guests, split ' ', $ENV{TW_EXTRA_GUESTS} // 'oneshot periodic');
my %pid = map { $_ => guest($_, @{ $extra{$_} // [] }) } @which;
my $before = left_behind();

sub results {
	my ($name, $p) = @_;
	my ($rc, $out) = finish($p);
	my (%early, %unequal, %n, $late);
	$late = 0;
	for (split /\n/, $out) {
		my ($kind, %r) = split ' ';
		next if !defined $r{early};
		$early{"$kind on vCPU $r{cpu}"} = $r{worst_early_ns} if $r{early};
		$unequal{$kind} = "$r{armed} armed, $r{fired} fired, $r{cancelled} cancelled" if $r{armed} != $r{fired} + $r{cancelled};
		$n{$kind} += $r{fired};
		$late = $r{worst_late_ns} if $r{worst_late_ns} > $late;
	}
	is_deeply(\%early, {}, "$name: nobody is woken early (" . join(', ', map { "$_ $n{$_}" } sort keys %n) . "; latest by $late ns)");
	is_deeply(\%unequal, {}, "$name: armed = fired + cancelled");
	ok(keys %n == 3 && !grep({ !$_ } values %n), "$name: all kinds of sleepers ran, status $rc") or diag($out);
}

sub clockevent {
	my ($g) = @_;
	my ($rc, $out) = guest_exec($g, 'sh', '-c', 'grep -A20 "CPU: *0\|Device: *0" /proc/timer_list | grep -E "Clock Event Device|mode:|event_handler" | head -4; cat /sys/devices/system/clockevents/clockevent0/current_device');
	return join ' ', split /\s+/, $out;
}

for my $g (@which) {
	note("$g: ", clockevent($g));
	for my $mode ($g =~ /^t/ ? 'trapped' : qw(trapped offset)) {
		my $p = attach($g, '--policy', policy('random'), '--tsc', $mode, '--param', 'seed=' . $seed++,
			'--param', 'changes=1000000', '--param', 'shortest=1ms', '--param', 'longest=4ms');
		my $s0 = state($pid{$g});
		my $sleeper = guest_spawn($g, 'sleeper', $seconds);
		my ($status) = results("$g $mode, across changes", $sleeper);
		my $s1 = state($pid{$g});
		is((detach($p))[0], 0, "$g $mode: $s1->{seq} segments, " . ($s1->{seq} - $s0->{seq}) . ' changes meanwhile');
	}
}

# Ticks: what the guest's LAPIC delivered against what its clock says, at one factor each.
sub ticks {
	my ($g) = @_;
	my ($rc, $out) = guest_exec($g, 'sh', '-c', 'grep LOC: /proc/interrupts; cat /proc/uptime');
	return $out =~ /LOC:\s+(\d+).*\n([\d.]+)/ ? ($1, $2) : (0, 0);
}

if (grep { $_ eq 'periodic' } @which) {
	for my $factor (0.1, 1, 2, 10, 50) {
		my $p = attach('periodic', '--factor', $factor);
		my $sleeper = guest_spawn('periodic', 'sleeper', $factor < 1 ? 1 : 2 * $factor);
		my $s0 = state($pid{periodic});
		my ($loc0, $t0) = ticks('periodic');
		results("periodic tick at $factor", $sleeper);
		my ($loc1, $t1) = ticks('periodic');
		my $s1 = state($pid{periodic});
		detach($p);
		my $lost = $s1->{lost_ticks} - $s0->{lost_ticks};
		my $due = ($t1 - $t0) * $hz;
		my $taken = $loc1 - $loc0;
		ok(abs($taken + $lost - $due) <= 5 + $due / 100, "periodic tick at $factor: $taken ticks taken and $lost counted as lost in "
			. sprintf('%.2f guest seconds, %.0f due', $t1 - $t0, $due));
		cmp_ok($taken, '<=', $due + 5, "periodic tick at $factor: none too many");
	}
}
stop_guest($_) for grep { $extra{$_} } @which;
same_as_before($before, 'no link, program or map is left');
done_testing();
