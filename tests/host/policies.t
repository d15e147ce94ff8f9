#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
# Each policy against its model, at random parameters: the segments that the kernel traces are compared
# with a reference function, which is computed here from the parameters alone.
# TW_SEED=n starts the random numbers elsewhere; TW_RUNS=n makes n runs of each; TW_BUSY=1 has a process spin beside it.
use strict;
use warnings;
use lib 'tests/host/lib';
use Test::More;
use JSON::PP;
use List::Util qw(max min);
use POSIX qw(strftime);
use Time::HiRes qw(time sleep);
use TwHost;

my $seed = $ENV{TW_SEED} // 1;
my $runs = $ENV{TW_RUNS} // 2;
srand $seed;
diag("TW_SEED=$seed");
my $g = $guests[0];
my $pid = guest($g);
my $before = left_behind();
spawn('perl', '-e', '1 while 1') if $ENV{TW_BUSY};	# ended with the test

# Who runs keeps the CPU until the scheduler's tick finds the slice used up: 4 ms at HZ=250, and 0.7 of slice. On this
# host of one CPU, which the test and the guest share, a call may be late by that, and once more the vCPU that is to stop
# for the change. With a process beside it that only spins, each third run has such a step. Half of all steps know none of it.
my $slice = 5e6;
my $patience = 2 * $slice;
my $usually = 2e5;

# Host ns per cycle of its TSC, from two readings of the state file
my $tick;
{
	my $a = state($pid);
	sleep 0.3;
	my $b = state($pid);
	$tick = ($b->{host_ns} - $a->{host_ns}) / ($b->{host_tsc} - $a->{host_tsc});
}

sub counters_of { return decode_json((twctl('status', '--vm', shift, '-j'))[1])->{counters} }
sub log_uniform { my ($lo, $hi) = @_; return exp(log($lo) + rand(log($hi / $lo))) }
# What all attachments so far have put the guest ahead by
sub lead_of { my $s = state($_[0]); return sub64($s->{guest_ns}, $s->{host_ns}) }
sub some_factor { return sprintf '%.3f', log_uniform(0.2, 40) }

# Attaches a policy, waits until SUB says that it is enough, detaches; the timeline in host ns (t) and
# guest ns (g) since the attach, and the factor (r) from there on.
sub record {
	my ($opt, $enough) = @_;
	my $lead = lead_of($pid);
	trace_begin();
	my $p = attach($g, @$opt);
	if (!$p) {
		trace_end();
		return undef;
	}
	my $s = state($pid);
	my $reached = wait_until(30, sub { $enough->($p) });
	my ($rc, $live) = twctl('status', '--vm', $g, '-j');
	my ($status, $out) = detach($p);
	my $t = trace_end();
	my @line;
	for my $seg (grep { $_->{pid} == $pid } @{ $t->{segments} }) {
		my ($num, $den) = split '/', $seg->{factor};
		push @line, {
			t => ($seg->{host_tsc} - $s->{host_tsc}) * $tick + ($s->{host_ns} - $s->{since_host_ns}),
			g => sub64($seg->{guest_ns}, $lead) - $s->{since_host_ns}, r => $num / $den, wait => $seg->{wait_ns}, change => $seg->{change},
		};
	}
	my $end = pop @line;
	ok($reached && !$t->{lost} && @line && $end->{change} eq 'stop', join(' ', grep { defined } @$opt[1, 3, 5]) . ': comes to its end')
		or diag($out, explain $live);
	return { line => \@line, end => $end, out => $out, status => $status, counters => decode_json($live)->{counters},
		clamps => scalar grep({ /clamp/ } @{ $t->{text} }) };
}

sub settled { my ($factor) = @_; return sub { my ($n, $d) = split '/', state($pid)->{factor_asked}; abs($n / $d / $factor - 1) < 1e-9 } }

# ---- ramp

sub ramp {
	my ($clock, $from, $to, $span, $steps) = @_;
	my $name = "ramp $from to $to over $span ms of the $clock, $steps steps";
	my $r = record([ '--policy', 'ramp', '--param', "from=$from", '--param', "to=$to", '--param', "span=${span}ms",
		'--param', "steps=$steps", '--param', 'guest=' . ($clock eq 'guest' ? 'yes' : 'no') ], settled($to))
		or return fail($name);
	my @line = @{ $r->{line} };
	my ($S, $A) = ($span * 1e6, abs($to - $from));
	my $h = max($S / $steps, 1e6);
	my $f = sub { my $x = min(max($_[0], 0), $S); $from + ($to - $from) * $x / $S };
	# What the factor adds up to
	my $G = sub {
		my $x = $_[0];
		return $x if $x < 0;
		my $in = min($x, $S);
		return $from * $in + ($to - $from) * $in * $in / 2 / $S + $to * ($x - $in);
	};
	my $x = $clock eq 'guest' ? 'g' : 't';
	my ($late, $worst_f, $worst_g, $outside, @late) = (0, 0, 0, 0);
	for my $i (1 .. $#line) {
		my $step = $clock eq 'guest' ? max($h, 2e6 * $f->($line[$i - 1]{g})) : $h;
		push @late, $line[$i]{$x} - $line[$i - 1]{$x} - $step;
		$late = max($late, $late[-1]);
		$h = max($h, $step);
	}
	# A step is late by when the policy was called, and by what the change took
	$late += max(map { $_->{wait} } @line) * ($clock eq 'guest' ? max($from, $to) : 1);
	# Until the attach is through the factor is 1; the curve begins where the first step has led
	my $second = $line[1]{t} - $line[1]{wait};
	my $shift = $line[0]{g} + $line[0]{r} * ($second - $line[0]{t}) - $G->($second);
	for my $i (0 .. $#line) {
		my $next = $i < $#line ? $line[$i + 1] : { t => $line[$i]{t} + 1e6, g => $line[$i]{g} + 1e6 * $to };
		my ($a, $b) = ($line[$i], $next);
		$outside++ if $a->{r} < min($from, $to) - 1e-9 || $a->{r} > max($from, $to) + 1e-9;
		$worst_f = max($worst_f, map { abs($a->{r} - $f->($_->{$x})) } $a, $b);
		for my $part (0, 0.25, 0.5, 0.75, 1) {
			my $t = $a->{t} + $part * ($b->{t} - $a->{t});
			my $is = $a->{g} + $a->{r} * ($t - $a->{t});
			$worst_g = max($worst_g, abs($is - $shift - $G->($t))) if $i;
		}
	}
	my $bound_f = $A * ($h + 2 * $late) / $S + 1e-6;
	ok($worst_f <= $bound_f && !$outside, sprintf '%s: the factor is within %.4f of the line (bound %.4f, %d segments)',
		$name, $worst_f, $bound_f, scalar @line);
	if ($clock eq 'host') {
		# 1 us for what the host's times here are read to
		my $bound_g = $A * ($h * $h / 8 + $late * ($h + $late)) / $S + 4 + 1e3 * max($from, $to);
		ok(abs($shift) <= abs($from - 1) * ($line[0]{t} + 2e3) + $A * $h * $h / $S,
			sprintf '%s: the attach cost %.1f us of guest time, no more than it took', $name, $shift / 1e3);
		ok($worst_g <= $bound_g, sprintf '%s: guest time is within %.1f us of the curve (bound %.1f; late by %.1f us at most)',
			$name, $worst_g / 1e3, $bound_g / 1e3, $late / 1e3);
	}
	my $fastest = $clock eq 'guest' ? max($from, $to) : 1;
	ok($late < $patience * $fastest && (sort { $a <=> $b } @late)[@late / 2] < $usually * $fastest,
		"$name: no step is late by more than two slices of the host, half of them by less than 0.2 ms")
		or diag(join ' ', map { sprintf '%.3f', $_ / 1e6 } @late);
	is($r->{counters}{done}, 1, "$name: it counts that it is done");
	is($r->{clamps}, 0, "$name: the kernel has nothing to clamp");
	like($r->{out}, qr/ramp tells: done/, "$name: it tells that it is done");
	return;
}

for (1 .. $runs) {
	my ($from, $to) = (some_factor(), some_factor());
	ramp('host', $from, $to, int log_uniform(300, 2000), int log_uniform(10, 100));
	($from, $to) = (some_factor(), some_factor());
	ramp('guest', $from, $to, int(1000 * max($from, $to)), int log_uniform(10, 100));
}

# ---- until

for my $run (1 .. $runs) {
	my $factor = sprintf '%.3f', log_uniform(2, 40);
	my $after = sprintf '%.2f', 0.5 + rand 2;
	my $span = int(1000 * $factor * (0.3 + rand));
	my $name = "until: $factor for $span guest ms, then $after";
	my $r = record([ '--policy', 'until', '--factor', $factor, '--param', "until=${span}ms", '--param', "after=$after",
		'--exec', "echo done >/tmp/until.$run" ], settled($after)) or next;
	my @line = @{ $r->{line} };
	is(join(' ', map { sprintf '%.3f', $_->{r} } @line), sprintf('%.3f %.3f', $factor, $after), "$name: two segments, of these factors");
	my $late = $line[1]{g} - $span * 1e6;
	ok($late >= 0 && $late < $patience * $factor, sprintf '%s: ends %.3f guest ms late, never early', $name, $late / 1e6);
	my ($told) = $r->{counters}{late_ns} =~ /^(\d+)ns$/;
	ok($told >= 0 && $told <= $late + 1e3, "$name: its counter says $told ns");
	ok(wait_until(5, sub { -e "/tmp/until.$run" }), "$name: the command of --exec has run");
}

# A date: of the host's wall clock and guest - host. And the guest, unwarped so far, shows that date.
{
	my $lead = sub { my $s = state($pid); return ($s->{guest_ns} - $s->{host_ns}) / 1e9 };
	my $before = $lead->();
	my $date = int(time + $before) + 20;
	my $text = strftime('%Y-%m-%dT%H:%M:%S', gmtime $date);
	my $p = twctl_spawn('attach', '--vm', $g, '--policy', 'until', '--factor', 20, '--param', "until=$text", '--exit-when-done');
	my ($status, $out) = finish($p);
	is($status, 0, 'until a date: --exit-when-done ends it with status 0') or diag($out);
	like($out, qr/until tells: done 0, guest at \Q$text\E(\.\d+)?Z/, "until a date: the guest is at $text");
	my $wall = time + $lead->();
	ok($wall >= int $date, sprintf 'until a date: host wall clock and what the guest gained are %.3f s past it', $wall - int $date);
	ok($wall < int($date) + 1, 'until a date: and not much past it');
	my ($rc, $err) = twctl('attach', '--vm', $g, '--policy', 'until', '--factor', 20, '--param', 'until=2001-01-01');
	ok($rc == 2 && $err =~ /before this host/, 'until a date before the host was booted: status 2') or diag("$rc $err");
	my $past = strftime('%Y-%m-%dT%H:%M:%S', gmtime(time - 1));
	($rc, $err) = twctl('attach', '--vm', $g, '--policy', 'until', '--factor', 20, '--param', "until=$past");
	is($rc, 5, 'until a date that has passed: status 5') or diag("$rc $err");
}

# ---- schedule

for (1 .. $runs) {
	my (@piece, @text);
	for my $i (0 .. 2 + int rand 3) {
		my $factor = sprintf '%.3f', log_uniform(0.5, 40);
		my $host = rand() < 0.5;
		my $span = int(1000 * (0.1 + rand(0.4)) * ($host ? 1 : $factor));
		push @piece, { r => $factor, x => $host ? 't' : 'g', span => $span * 1e6 };
		push @text, "$factor for ${span}ms" . ($host ? ' host' : '');
	}
	my $last = sprintf '%.3f', 1 + rand;
	my $plan = join ', ', @text, $last;
	my $r = record([ '--policy', 'schedule', '--param', "plan=$plan" ], settled($last)) or next;
	my @line = @{ $r->{line} };
	is(join(' ', map { sprintf '%.3f', $_->{r} } @line), join(' ', map({ $_->{r} } @piece), $last), "schedule $plan: these factors, in this order");
	next if @line != @piece + 1;
	# Where each piece begins, planned on the clock that the one before it was in
	my %from = (t => 0, g => 0);
	my @late;
	for my $i (0 .. $#piece) {
		my ($x, $r) = ($piece[$i]{x}, $piece[$i]{r});
		my $planned = $from{$x} + $piece[$i]{span};
		my $off = $line[$i + 1]{$x} - $planned;
		push @late, $off / ($x eq 'g' ? $r : 1);
		# the other clock goes on from the decision, which was no later than the segment
		%from = (t => $line[$i + 1]{t}, g => $line[$i + 1]{g}, $x => $planned);
	}
	# A piece that follows one of the other clock counts from its decision: earlier by what the hold takes
	ok(min(@late) > -$slice && max(@late) < $patience, sprintf 'schedule %s: each piece ends in time, %.3f to %.3f ms of the host late',
		$plan, min(@late) / 1e6, max(@late) / 1e6);
	my $told = () = $r->{out} =~ /schedule tells: step/g;
	ok($told == @piece && $r->{out} =~ /schedule tells: done @{[ scalar @piece ]},/, "schedule $plan: it tells each piece") or diag($r->{out});
	is($r->{counters}{piece}, scalar @piece, "schedule $plan: it counts the piece");
}

{
	my $p = attach($g, '--policy', 'schedule', '--param', 'plan=10');
	my ($rc, $out) = twctl('set', '--vm', $g, 'plan=4 until 2199-01-01, 1');
	is($rc, 0, 'schedule: set changes the plan') or diag($out);
	($rc, $out) = twctl('status', '--vm', $g);
	like($out, qr/plan=4 until 2199-01-01T00:00:00Z, 1 /, 'schedule: status shows the plan as it was written');
	like($out, qr/factor +4 asked/, 'schedule: it is in force');
	($rc, $out) = twctl('set', '--vm', $g, 'plan=4 until yesterday, 1');
	is($rc, 2, 'schedule: set refuses what is none') or diag($out);
	detach($p);
}

# ---- catchup: swapped in for a policy under which the guest fell behind, or ran ahead

# It comes level with the host, whatever put it ahead: what came before this is not to be waited for
my $ahead = lead_of($pid) > 1e6 ? lead_of($pid) : 0;
twctl('jump', '--vm', $g, '--allow-backward', '--', "-${ahead}ns") if $ahead;
for my $case ([ '1/4', 1, 'fast=3' ], [ '1/4', 1, 'mode=2' ], [ 5, 0.3, 'slow=1/3' ]) {
	my ($factor, $seconds, $param) = @$case;
	my $name = "catchup $param, after $seconds s at $factor";
	my $clamps = state($pid)->{clamps};	# of the VM's whole life
	my $p = attach($g, '--factor', $factor);
	sleep $seconds;
	my ($rc, $out) = twctl('swap', '--vm', $g, '--policy', 'catchup', '--param', $param);
	is($rc, 0, "$name: swapped in") or diag($out);
	my $from = state($pid);
	ok(wait_until(20, sub { counters_of($g)->{level} }), "$name: says that the guest is level");
	my $s = state($pid);
	my $off = sub64($s->{guest_ns}, $s->{host_ns});
	ok(abs($off) <= 1e6 && $s->{factor_asked} eq '1/1', sprintf '%s: %.3f ms off host time, at factor 1', $name, $off / 1e6);
	ok(abs(sub64($from->{guest_ns}, $from->{host_ns})) > 1e8, "$name: it was more") if $param ne 'mode=2';
	is($s->{clamps} - $clamps, 0, "$name: nothing to clamp");
	detach($p);
}
# A guest shows no time that is before one that it has shown: its clock would stand for so long, in the next test too
if ($ahead) {
	my ($rc, $out) = twctl('jump', '--vm', $g, "+${ahead}ns");
	is($rc, 0, 'the guest is as far ahead as it was') or diag($out);
}

# ---- chaos: what it says its factors are

{
	my ($rc, $err) = twctl('attach', '--vm', $g, '--policy', 'chaos');
	ok($rc == 2 && $err =~ /add --chaos/, 'chaos: not without --chaos: status 2') or diag("$rc $err");
	is(state($pid)->{attached}, 0, 'chaos: nothing is attached');
	my $r = record([ '--policy', 'chaos', '--param', 'ppm=2000', '--param', 'period=1s', '--param', 'jitter=100', '--param', 'step=10ms',
		'--chaos' ], sub { counters_of($g)->{steps} > 220 });
	my @line = @{ $r->{line} };
	my @f = map { $_->{r} } @line;
	ok(@f > 200 && min(@f) > 0.9978 && max(@f) < 1.0022, sprintf 'chaos: %d factors, %.6f to %.6f', scalar @f, min(@f), max(@f));
	ok(min(@f) < 0.9985 && max(@f) > 1.0015, 'chaos: fast and slow in turn');
	my @bad = grep { my $x = $line[$_]{t} / 1e9; my $p = 2 * ($x - int $x); $p = 2 - $p if $p > 1;
		abs($line[$_]{r} - (1 - 0.002 + 0.004 * $p)) > 0.0001 + 0.008 * 0.012 } 0 .. $#line;
	ok(!@bad, 'chaos: each within the jitter of the drift') or diag(explain [ @line[@bad] ]);
	is($r->{clamps}, 0, 'chaos: nothing to clamp');
	$r = record([ '--policy', 'chaos', '--param', 'stalls=300', '--param', 'stall=20ms', '--param', 'step=20ms', '--param', 'fastest=5',
		'--chaos' ], sub { counters_of($g)->{stalled} > 10 });
	@line = @{ $r->{line} };
	my @stall = grep { $line[$_]{r} < 0.001 } 0 .. $#line - 1;
	my @rush = map { $line[$_ + 1]{r} } @stall;
	# Where the change from a rush to a stall took its time, the guest has already got what the stall takes
	ok(@stall > 5 && max(@rush) < 5.001 && grep({ $_ > 4.999 } @rush) > @rush * 2 / 3,
		'chaos: ' . @stall . ' stalls, a rush after each') or diag("rushes: @rush; waits: " . join ' ', map { $_->{wait} } @line);
}

my ($rc, $out) = guest_exec($g, 'echo', 'alive');
is("$rc $out", "0 alive\n", 'the guest is alive');
is(state($pid)->{factor_force}, '1/1', 'rate 1 afterwards');
same_as_before($before, 'no link, program or map is left');
done_testing();
