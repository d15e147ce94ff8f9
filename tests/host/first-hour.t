#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
# doc/first-hour.md, tried as a newcomer would: its commands run as they are printed, one after the other, and
# print what it shows. tests/on-host.t first-hour boots the host for it.
use strict;
use warnings;
use lib 'tests/host/lib';
use Test::More;
use Cwd 'getcwd';
use TwDoc;
use TwHost;

$ENV{PATH} = getcwd . "/build:$ENV{PATH}";
my $pid = guest('my-guest', '--smp', 1, '--clocksource', 'kvm-clock');
my $before = left_behind();
my $commands = 0;
for my $run (map { @{ $_->{runs} } } doc_blocks('doc/first-hour.md')) {
	my ($command, $status, @shown) = @$run;
	my ($rc, $out) = run('sh', '-c', $command);
	my $p = doc_pattern(@shown);
	$commands++;
	ok($rc == $status && $out =~ /^$p$/, "\$ $command") or diag("status $rc:\n$out\nexpected, status $status:\n", join "\n", @shown);
}
cmp_ok($commands, '>=', 15, "it has $commands commands");
same_as_before($before, 'no link, program or map is left');
done_testing();
