#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
# Threads on all vCPUs that share one reading see no backward step in a million reads each, while the
# factor changes 100 times at random moments and the policy is attached and detached in between.
use strict;
use warnings;
use lib 'tests/host/lib';
use Test::More;
use TwHost;

my $reads = $ENV{TW_READS} // 1000000;
my $seed = $ENV{TW_SEED} // 20261121;

my %pid = map { $_ => guest($_) } @guests;
my $before = left_behind();

for my $g (@guests) {
	for my $mode ($g =~ /^k/ ? qw(trapped offset) : 'trapped') {
		my $changes = state($pid{$g})->{changes};
		my ($attached, $failed) = (0, 0);
		my $p = guest_spawn($g, 'mono', $reads);
		# 100 changes in each attachment, then attach and detach until the reading ends
		while (waitpid($p->{pid}, 1) == 0) {
			my $t = attach($g, '--policy', policy('random'), '--tsc', $mode, '--param', 'seed=' . $seed++,
				'--param', 'changes=100', '--param', 'shortest=1ms', '--param', 'longest=2ms');
			last if !$t && ++$failed > 3;
			$attached++;
			select undef, undef, undef, 0.3;
			detach($t);
		}
		my ($rc, $out) = finish_mono($p);
		$changes = state($pid{$g})->{changes} - $changes;
		ok($changes >= 100, "$g $mode: $changes changes, $attached attachments were made meanwhile");
		my %r = $out =~ /(\w+) (\d+)/g;
		is($r{threads}, $g =~ /2/ ? 2 : 1, "$g $mode: a thread on each vCPU made $r{reads} reads of each clock");
		is($r{back_ns}, 0, "$g $mode: no backward step of clock_gettime (worst $r{worst_ns} ns)");
		is($r{back_tsc}, 0, "$g $mode: no backward step of the TSC (worst $r{worst_tsc} cycles)");
	}
}
same_as_before($before, 'no link, program or map is left');
done_testing();

# waitpid() above has the status already.
sub finish_mono {
	my ($p) = @_;
	my $rc = $? >> 8;
	my $out = slurp($p->{file});
	diag("mono: status $rc: $out") if $rc;
	unlink $p->{file};
	return ($rc, $out);
}
