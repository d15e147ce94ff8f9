#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
# The guide for authors, tried as a new user would: its files are written and its commands run as they are
# printed, and must print what it shows. There "..." is anything, a line of it any lines, and a number any
# number; "[status N]" ends a command that does not end with 0. And the examples keep to what they say.
#
# With --prepare, on the machine that boots the host, it has what the commands compile compiled and kept, as
# that takes minutes on the host: see lib/kept-clang. tests/on-host.t does so.
use strict;
use warnings;
use lib 'tests/host/lib';
use Test::More;
use Cwd 'getcwd';
use File::Temp 'tempdir';
use JSON::PP;
use TwDoc;
use TwHost;

my $root = getcwd;
my $prepare = "@ARGV" eq '--prepare';
my $dir = '/tmp/guide';
my ($pid, $before);
$ENV{TW_KEPT} = "$root/build/tests/guide";
$ENV{TIMEWARP_CLANG} = "$root/tests/host/lib/kept-clang";
if ($prepare) {
	$dir = tempdir(CLEANUP => 1);
	$ENV{TW_KEPT_CLANG} = $ENV{TW_CLANG} // 'clang-19';
} else {
	$pid = guest('my-guest', '--smp', 1, '--clocksource', 'kvm-clock');
	$before = left_behind();
	mkdir $dir;
}
system("cp -r $root/build/bpf/examples $dir/") == 0 or BAIL_OUT('no examples');
$ENV{PATH} = "$root/build:$ENV{PATH}";

my ($commands, $files) = (0, 0);
sub try {
	my ($command, $status, @shown) = @_;
	$commands++;
	return if $prepare && $command !~ /^twctl policy (new|build|check)/;
	my ($rc, $out) = run('sh', '-c', "cd $dir && { $command; }");
	# what the verifier says is asked for on the host
	return ok($rc == $status || $out =~ /verifier: not asked/, "\$ $command: compiled") || diag($out) if $prepare;
	my $p = doc_pattern(@shown);
	ok($rc == $status && $out =~ /^$p$/, "\$ $command") or diag("status $rc:\n$out\nexpected, status $status:\n", join "\n", @shown);
}

for my $block (doc_blocks('doc/policies.md')) {
	if ($block->{file}) {
		open my $o, '>', "$dir/$block->{file}" or die;
		print $o "$_\n" for @{ $block->{lines} };
		close $o;
		$files++;
	}
	try(@$_) for @{ $block->{runs} };
}
is($files, 1, 'the guide has one file');
ok($commands >= 9, "the guide has $commands commands");

# A skeleton is a policy
try('twctl policy new mine', 0, 'wrote mine.bpf.c; then: twctl policy build mine.bpf.c');
try('twctl policy build mine.bpf.c', 0, 'built mine.bpf.o: policy mine, 2 parameters');
try('twctl policy check mine.bpf.c', 0, '...', 'verifier: accepts it');
try('twctl attach --vm my-guest --policy ./mine.bpf.o --pin', 0, 'attached mine to ...');
try('twctl policy list', 0, '...', 'mine            attached to ...');
try('twctl detach --vm my-guest', 0, '...');

# A few decisions are enough here: tests/policies/author.t makes many of them
sub few { return "twctl policy check $root/$_[0] --count 300" }

# check finds what the verifier cannot, and the other way round
try(few('tests/policies/nonsense.bpf.c'), 5, '...', 'crime: gives 16 unusable answers in a row: the kernel ejects it; ...',
	'...', 'verifier: accepts it', 'twctl: cannot pass ...');
try(few('tests/policies/writer.bpf.c'), 5, '...', 'twctl: ...the verifier rejects it ...', '...');
for my $file (glob('bpf/policies/*.bpf.c bpf/policies/examples/*.bpf.c')) {
	try(few($file), 0, 'decisions 1, attachments 1, refused 1, segments kept 1, events told 1, crimes 0', 'verifier: accepts it');
}

if ($prepare) {
	done_testing();
	exit;
}

# The search path: nobody else's file is taken
mkdir "$dir/p";
system("cp $dir/nap.bpf.o $dir/p/");
try("TIMEWARP_POLICY_PATH=$dir/p twctl policy inspect nap", 0, 'nap: fast, with a nap at factor 1 now and then', '...');
chmod 0666, "$dir/p/nap.bpf.o";
try("TIMEWARP_POLICY_PATH=$dir/p twctl policy inspect nap", 1, 'twctl: cannot use policy ...may be written by others...');
chmod 0644, "$dir/p/nap.bpf.o";
chown 1234, -1, "$dir/p";
try("TIMEWARP_POLICY_PATH=$dir/p twctl attach --vm my-guest --policy nap", 1, 'twctl: cannot use policy ...belongs neither to root nor...');

# The examples, by their segments
sub segments_of {
	my ($seconds, @opt) = @_;
	my $was = state($pid);
	trace_begin();
	my $p = attach('my-guest', @opt) or return (trace_end() && ());
	sleep $seconds;
	my ($rc, $live) = twctl('status', '--vm', 'my-guest', '-j');
	detach($p);
	my @s = grep { $_->{pid} == $pid && $_->{change} ne 'stop' } @{ trace_end()->{segments} };
	# Guest time goes on over attachments: what follows counts from this one
	my $live_json = decode_json($live);
	$live_json->{start_ns} = $live_json->{since_host_ns} + sub64($was->{guest_ns}, $was->{host_ns});
	return ($live_json, map { my ($n, $d) = split "/", $_->{factor}; +{ %$_, r => $n / $d } } @s);
}

{
	my ($live, @s) = segments_of(2, '--policy', 'build/bpf/examples/pulse.bpf.o', '--factor', 10, '--param', 'period=500ms');
	ok(@s > 4, 'pulse: ' . @s . ' segments');
	is(join(' ', map { $_->{r} } @s), join(' ', map { $_ % 2 ? 1 : 10 } 0 .. $#s), 'pulse: 10 and 1 by turns');
	my @late = map { ($s[$_]{guest_ns} - $live->{start_ns}) - $_ * 500e6 } 1 .. $#s;
	ok(!grep({ $_ < -1e6 || $_ > 30e6 } @late), "pulse: each turn begins in time: @late ns late, in guest time");
}
{
	my $clamps = state($pid)->{clamps};	# of the VM's whole life
	my ($live, @s) = segments_of(2, '--policy', 'build/bpf/examples/wander.bpf.o', '--param', 'ppm=1000', '--param', 'period=1s');
	my ($lo, $hi) = (2, 0);
	for (@s) { $lo = $_->{r} if $_->{r} < $lo; $hi = $_->{r} if $_->{r} > $hi }
	ok(@s > 150, 'wander: ' . @s . ' segments in 2 s, 128 in a period');
	ok(abs($lo - 0.999) < 1e-9 && abs($hi - 1.001) < 1e-9, "wander: from $lo to $hi");
	my @jumps = grep { abs($s[$_]{r} - $s[$_ - 1]{r}) > 4 * 0.001 / 64 } 1 .. $#s;
	ok(@jumps < 3, 'wander: in small steps') or diag("@jumps");
	ok($live->{counters}{steps} > 100, 'wander: it counts its steps');
	is($live->{clamps} - $clamps, 0, 'wander: nothing to clamp');
}
{
	my ($rc, $out) = twctl('attach', '--vm', 'my-guest', '--policy', 'build/bpf/examples/lead.bpf.o', '--factor', '1/2');
	is($rc, 5, 'lead: refuses a factor below 1') or diag($out);
}

same_as_before($before, 'no link, program or map is left');
done_testing();
