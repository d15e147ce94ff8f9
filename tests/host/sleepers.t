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

# Ticks: what the guest's LAPIC delivered; what the guest's clock said just before and after; what KVM had
# counted as lost before and after that. By the shell's own means, for at 50x starting a program takes the
# guest half a second.
sub ticks {
	my ($g) = @_;
	my $lost = state($pid{$g})->{lost_ticks};
	my ($rc, $out) = guest_exec($g, 'sh', '-c', 'read a x </proc/uptime; i=$(while read n c x; do [ "$n" != LOC: ] || echo $c; done </proc/interrupts);'
		. ' read b x </proc/uptime; echo $i $a $b');
	diag("ticks: status $rc: $out") if $out !~ /^\d+ [\d.]+ [\d.]+$/;
	return (split(' ', $out), $lost, state($pid{$g})->{lost_ticks});
}

if (grep { $_ eq 'periodic' } @which) {
	for my $factor (0.1, 1, 2, 10, 50) {
		my $p = attach('periodic', '--factor', $factor);
		my $sleeper = guest_spawn('periodic', 'sleeper', $factor < 1 ? 1 : 2 * $factor);
		my @before = ticks('periodic');
		results("periodic tick at $factor", $sleeper);
		my @after = ticks('periodic');
		detach($p);
		my $taken = $after[0] - $before[0];
		# /proc/uptime has hundredths; a tick may be pending at either end, on the guest's one vCPU. What was
		# lost while a reading was made may belong to either side of it: starting that shell took the CPU.
		my ($least, $most) = (($after[1] - $before[2]) * $hz - 5, ($after[2] - $before[1]) * $hz + 5);
		my ($lost, $lost_most) = ($after[3] - $before[4], $after[4] - $before[3]);
		ok($taken + $lost <= $most && $taken + $lost_most >= $least, "periodic tick at $factor: $taken ticks taken and $lost to $lost_most counted as lost; "
			. sprintf('%.0f to %.0f due in %.2f to %.2f guest seconds', $least, $most, $after[1] - $before[2], $after[2] - $before[1]));
		cmp_ok($taken, '<=', $most, "periodic tick at $factor: none too many");
	}
}
stop_guest($_) for grep { $extra{$_} } @which;
same_as_before($before, 'no link, program or map is left');
done_testing();
