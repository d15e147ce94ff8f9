#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
# kvmclock, computed from each vCPU's own page and TSC, agrees with the timeline to 2 ns at the same
# TSC, before, during and after 100 changes of the factor at random moments; the TSC agrees with the
# timeline at the same host TSC, as closely as an exit lets one look.
#
# The timeline's segments come from the tracepoint kvm:kvm_timewarp_segment, and so does each one's
# start, in host TSC. What a guest must see there is computed here (tests/host/lib/TwHost.pm).
use strict;
use warnings;
use lib 'tests/host/lib';
use Test::More;
use List::Util qw(max min);
use TwHost;

my $seed = $ENV{TW_SEED} // 4711;
my $samples = $ENV{TW_SAMPLES} // 600;
my %modes = map { $_ => 1 } chosen('TW_MODES', 'trapped offset');
my $limit_ns = 2;
my @table;

my %pid = map { $_ => guest($_) } @guests;
my $before = left_behind();

# How far the page's ns are from the line of a segment, at the sample's TSC
sub off_by {
	my ($s, $sample, $offset) = @_;
	return sub64($sample->{ns}, model_ns($s, $sample->{tsc})) - $offset;
}

sub worst { return max(map { abs } @_) // -1 }

sub per_cpu {
	my (@s) = @_;
	my %n;
	$n{ $_->{cpu} }++ for @s;
	return join ' ', map { "vCPU $_: $n{$_}" } sort keys %n;
}

for my $g (@guests) {
	for my $mode (grep { $modes{$_} } $g =~ /^k/ ? qw(trapped offset) : 'trapped') {
		trace_begin();
		my ($rc0, $out0) = guest_exec($g, 'agree', 40);
		my $offset0 = state($pid{$g})->{kvmclock_offset};
		my $run = guest_spawn($g, 'agree', $samples, 100);
		my $p = attach($g, '--policy', policy('random'), '--tsc', $mode, '--param', 'seed=' . $seed++,
			'--param', 'changes=100', '--param', 'shortest=1ms', '--param', 'longest=4ms');
		my $during = state($pid{$g});
		# More samples until all changes are made
		my (@during, $rounds);
		do {
			my ($rc, $out) = finish($run);
			is($rc, 0, "$g $mode: samples are taken") or diag($out);
			push @during, samples_of($out);
			$run = guest_spawn($g, 'agree', $samples, 100);
		} while (state($pid{$g})->{decisions} - $during->{decisions} < 95 && ++$rounds < 8);
		push @during, samples_of((finish($run))[1]);
		my $held = state($pid{$g});
		my ($status) = detach($p);
		is($status, 0, "$g $mode: attached, and detached again");
		my ($rc1, $out1) = guest_exec($g, 'agree', 40);
		my $after = state($pid{$g});
		my $t = trace_end();

		my @segments = grep { $_->{pid} == $pid{$g} } @{ $t->{segments} };
		my ($start, $stop) = @segments[0, -1];
		ok(@segments >= 100 && !$t->{lost}, "$g $mode: " . @segments . ' segments, none lost from the trace') or next;
		is("$start->{change} $stop->{change}", 'start stop', "$g $mode: the first is the attach, the last the detach");

		# During
		my (@off, @tsc_out, %seen);
		for my $s (@during) {
			my $seg = segment_of(\@segments, $s->{tsc});
			next if !$seg || $seg == $stop;
			$seen{ $seg->{seq} }++;
			push @off, off_by($seg, $s, $during->{kvmclock_offset});
			# The mark was taken between the two TSC readings, and the host dated it.
			my $host = $t->{marks}{ $s->{mark} } or next;
			my $m = segment_at(\@segments, $host);
			my $model = model_tsc($m, $host);
			push @tsc_out, sub64($s->{before}, $model) > 0 ? sub64($s->{before}, $model) :
				sub64($model, $s->{tsc}) > 0 ? sub64($model, $s->{tsc}) : 0;
		}
		ok(@off >= $samples / 2, "$g $mode: " . @off . ' samples during, in ' . keys(%seen) . ' segments (' . per_cpu(@during) . ')');
		cmp_ok(worst(@off), '<=', $limit_ns, "$g $mode: during, kvmclock is within $limit_ns ns of the timeline at the same TSC (worst "
			. worst(@off) . ')');
		ok(@tsc_out && !worst(@tsc_out), "$g $mode: during, " . @tsc_out . " readings of the TSC enclose the timeline's at the same host TSC (worst "
			. worst(@tsc_out) . ' cycles outside)');

		# Each change begins where the segment before it ends.
		my ($tsc, $ns) = steps(\@segments, $offset0, $after->{kvmclock_offset});
		my @step_tsc = @$tsc;
		my @step_ns = @$ns;
		ok(!worst(@step_tsc), "$g $mode: no change moves the TSC (worst " . worst(@step_tsc) . ')');
		ok(min(@step_ns) >= 0 && max(@step_ns) <= $limit_ns, "$g $mode: changes move kvmclock by " . min(@step_ns) . ' to ' . max(@step_ns) . ' ns');

		# Before and after: the pages' lines, drawn to the moment of the change, meet the timeline.
		meets("$g $mode: attach", [ samples_of($out0) ], page_steps($start, $offset0, samples_of($out0)));
		meets("$g $mode: detach", [ samples_of($out1) ], page_steps($stop, $after->{kvmclock_offset}, samples_of($out1)));
		is($during->{kvmclock_offset}, $offset0, "$g $mode: the attach leaves kvmclock_offset alone");
		cmp_ok($held->{held_max_ns}, '<', 10_000_000, "$g $mode: vCPUs were held $held->{held_last_ns} ns at the last change, $held->{held_max_ns} at the worst");
		push @table, [ $g, $mode, scalar @off, scalar @segments, worst(@off), worst(page_steps($start, $offset0, samples_of($out0))),
			worst(page_steps($stop, $after->{kvmclock_offset}, samples_of($out1))) ];
		note("$g $mode: flags of the pages: " . join ' ', keys %{ { map { $_->{flags} => 1 } @during } });
		ok(!grep({ !($_->{flags} & 1) } @during), "$g $mode: the pages carry the stable bit throughout");
	}
}
same_as_before($before, 'no link, program or map is left');

if (my $file = $ENV{TW_TABLE}) {
	open my $f, '>', $file or die "$file: $!";
	print $f join("\t", @$_), "\n" for @table;
}
done_testing();

sub segment_at {
	my ($segments, $host_tsc) = @_;
	my ($s) = grep { $_->{host_tsc} <= $host_tsc } reverse @$segments;
	return $s // $segments->[0];
}

sub meets {
	my ($what, $samples, @step) = @_;
	ok(@step >= 40, "$what: " . @step . ' samples of unattached pages (' . per_cpu(@$samples) . ')');
	ok(@step && min(@step) >= 0 && max(@step) <= $limit_ns, "$what moves kvmclock by "
		. (min(@step) // '?') . ' to ' . (max(@step) // '?') . ' ns, on every vCPU');
}
