#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
# The guest's clocks run at the factor within 1 ppm over 10 host seconds.
#
# Both ends are marks of the guest's, which the host dates by its own TSC (see tests/guest/clock.h).
# The guest reads its clock before and after a mark, so the reading at the mark lies between the two.
# What is shown is the rate between the middles; the half widths of what many such brackets leave bound
# its error.
# A guest that runs "tsc" reads CLOCK_MONOTONIC_RAW from the TSC, with what it calibrated at boot:
# all rates are taken in proportion to those of the same clock before the attach.
use strict;
use warnings;
use lib 'tests/host/lib';
use Test::More;
use TwHost;

my @factors = chosen('TW_FACTORS', '0.1 1 2 10 50 100');
my $seconds = $ENV{TW_SECONDS} // 10;
my @table;

# All brackets of each clock: { clock => [ [mark, before, after], ... ] }
sub sample {
	my ($guest) = @_;
	my ($rc, $out) = guest_exec($guest, 'clocks', 16);
	my %all;
	for (split /\n/, $out) {
		my ($clock, @bracket) = split ' ';
		push @{ $all{$clock} }, \@bracket if @bracket == 3;
	}
	diag("clocks on $guest: status $rc, $out") if !$all{raw};
	return \%all;
}

# What the clock showed when the host took the first mark: ($from, $to). In the moment that the marks
# take, it runs at the rate; so each of them bounds that. Where ticks fall into every bracket, as at
# 100x, all together are tighter than any one.
sub bounds {
	my ($marks, $rate, @brackets) = @_;
	my ($first, $from, $to) = ($marks->{ $brackets[0][0] });
	for (@brackets) {
		my ($mark, $before, $after) = @$_;
		my $since = ($marks->{$mark} - $first) * $rate;
		my ($lo, $hi) = map { $_ - $brackets[0][1] - $since } $before, $after;
		$from = $lo if !defined $from || $lo > $from;
		$to = $hi if !defined $to || $hi < $to;
	}
	return ($from, $to);
}

# Guest units per host cycle between two samples, and the bound of the error
sub rate {
	my ($marks, $a, $b) = @_;
	my $host = $marks->{ $b->[0][0] } - $marks->{ $a->[0][0] };
	my $guest = $b->[0][1] - $a->[0][1];
	my ($rate, $error) = ($guest / $host);
	for (1 .. 3) {
		my ($a0, $a1) = bounds($marks, $rate, @$a);
		my ($b0, $b1) = bounds($marks, $rate, @$b);
		$rate = ($guest + ($b0 + $b1 - $a0 - $a1) / 2) / $host;
		# Bounds that cross contradict each other.
		$error = $a1 < $a0 || $b1 < $b0 ? 'inf' : ($a1 - $a0 + $b1 - $b0) / 2 / $host;
	}
	return ($rate, $error);
}

sub measure {
	my (@which) = @_;
	my (%first, %second, %r);
	trace_begin();
	$first{$_} = sample($_) for @which;
	sleep $seconds;
	$second{$_} = sample($_) for @which;
	my $t = trace_end();
	for my $g (@which) {
		for my $clock (qw(tsc raw)) {
			my ($r, $e) = rate($t->{marks}, $first{$g}{$clock}, $second{$g}{$clock});
			$r{$g}{$clock} = { rate => $r, error => $e };
		}
	}
	return \%r;
}

my %pid = map { $_ => guest($_) } @guests;
my $before = left_behind();
my $base = measure(@guests);
for my $g (@guests) {
	my ($rc, $cs) = guest_exec($g, 'cat', '/sys/devices/system/clocksource/clocksource0/current_clocksource');
	chomp $cs;
	is($cs, $g =~ /^k/ ? 'kvm-clock' : 'tsc', "$g: the guest's clocksource is the one meant");
	ok(abs($base->{$g}{tsc}{rate} - 1) < 1e-6, "$g: unattached, the TSC is the host's");
}

for my $mode (chosen('TW_MODES', 'trapped offset')) {
	# In offset mode the TSC keeps the host's rate: such a guest must use kvm-clock.
	my @which = grep { $mode ne 'offset' || /^k/ } @guests;
	for my $factor (@factors) {
		my %twctl = map { $_ => attach($_, '--factor', $factor, '--tsc', $mode) } @which;
		if (grep { !$_ } values %twctl) {
			fail("$mode $factor: attach");
			detach($_) for values %twctl;
			next;
		}
		my $r = measure(@which);
		for my $g (@which) {
			my $s = state($pid{$g});
			my ($num, $den) = split '/', $s->{factor_force};
			ok(abs($num / $den / $factor - 1) < 1e-9, "$g $mode: the factor in force is $factor to 1 ppb");
			for my $clock (qw(tsc raw)) {
				my $name = $clock eq 'tsc' ? 'TSC' : $g =~ /^k/ ? 'kvmclock' : 'CLOCK_MONOTONIC_RAW';
				my $want = $clock eq 'tsc' && $mode eq 'offset' ? 1 : $factor;
				my $got = $r->{$g}{$clock}{rate} / $base->{$g}{$clock}{rate};
				my $ppm = ($got / $want - 1) * 1e6;
				my $bound = $r->{$g}{$clock}{error} / $r->{$g}{$clock}{rate} * 1e6;
				push @table, [ $g, $mode, $factor, $name, $got, $ppm, $bound ];
				ok(abs($ppm) < 1 && $bound < 1e3, sprintf '%s %s %s: %s runs at %.9f, %+.3f ppm off (bracket %.3f)',
				   $g, $mode, $factor, $name, $got, $ppm, $bound);
			}
		}
		my @left = map { (detach($_))[0] } values %twctl;
		is("@left", join(' ', map { 0 } @left), "$mode $factor: Ctrl-C ends twctl with status 0");
	}
}
same_as_before($before, 'no link, program or map is left');

if (my $out = $ENV{TW_TABLE}) {
	open my $f, '>', $out or die "$out: $!";
	print $f join("\t", @$_), "\n" for @table;
}
done_testing();
