# SPDX-License-Identifier: GPL-2.0
# How QEMU's clocks stand to kvmclock in a guest, and whether that has stayed.
package TwQemuClocks;
use strict;
use warnings;
use Exporter 'import';
use List::Util qw(max min);
use Test::More;
use TwHost;

our @EXPORT = qw(offsets common follows);

# offsets(GUEST, MS): the HPET and the RTC minus kvmclock, as intervals in ns
sub offsets {
	my ($g, $ms) = @_;
	my ($rc, $out) = guest_exec($g, 'coherence', $ms, $ms * 20, 'hpet');
	$out .= (guest_exec($g, 'coherence', 2500, 0, 'rtc'))[1] if $ms > 1000;
	my (%o, %hz, @page, $rtc);
	for (split /\n/, $out) {
		my @w = split ' ';
		if ($w[0] eq 'page') { @page = @w[1 .. 4] }
		elsif ($w[0] eq 'unit') { $hz{ $w[1] } = $w[2] }
		elsif (@w == 4 && $hz{ $w[0] }) {
			my ($x, $a, $v, $b) = @w;
			my ($lo, $hi) = map { $page[1] + pv_scale(sub64($_, $page[0]), $page[2], $page[3]) } $a, $b;
			# of the RTC the fraction of the second is enough
			$v = $x eq 'rtc' ? 0 : $v * (1_000_000_000 / $hz{$x});
			push @{ $o{$x} }, [ $v - $hi, $v - $lo ];
		}
	}
	return \%o;
}

sub common {
	my ($s) = @_;
	return (max(map { $_->[0] } @$s), min(map { $_->[1] } @$s));
}

# follows(WHAT, BEFORE, AFTER): no reading contradicts that the HPET has kept its distance to kvmclock
sub follows {
	my ($what, $p, $q) = @_;
	my ($l0, $h0) = common($p->{hpet});
	my ($l1, $h1) = common($q->{hpet});
	my $gap = max(0, $l1 - $h0 - 10, $l0 - $h1 - 10);
	is($gap, 0, sprintf('%s: HPET and kvmclock have not parted (known to %d ns, then %d ns)', $what, $h0 - $l0, $h1 - $l1))
		or diag("before $l0 .. $h0, after $l1 .. $h1");
	return if !$p->{rtc} || !$q->{rtc};
	# edges of its seconds
	my @f = map { my ($l, $h) = @$_; [ $l % 1_000_000_000, $h - $l ] } $p->{rtc}[-1], $q->{rtc}[-1];
	my $d = ($f[1][0] - $f[0][0]) % 1_000_000_000;
	$d -= 1_000_000_000 if $d > 500_000_000;
	my $room = max($f[0][1], $f[1][1]) + 2000;
	cmp_ok(abs($d), '<=', $room, sprintf('%s: RTC and kvmclock have not parted (%d ns, known to %d)', $what, $d, $room));
}

1;
