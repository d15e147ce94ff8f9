#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
# The policy backoff, as "twctl attach --factor max", on guests of three kinds: it finds a factor, and the
# guest's watchdogs stay silent. And what a guest does that is given too much, the host survives.
# TW_BEAR=n: guest seconds for each guest (60; the issue's are 600). TW_BEARERS="periodic tickless busy"
# takes some of them; a busy guest costs real time. "serves" has a service that is watched over as by WatchdogSec=4, beside
# one that works a tenth of the time; TW_TURN=0 takes away what that leans on. The policy's arithmetic:
# tests/unit/backoff_test.c.
use strict;
use warnings;
use lib 'tests/host/lib';
use Test::More;
use JSON::PP;
use List::Util qw(max min sum);
use Time::HiRes qw(sleep);
use TwHost;

my $bear = $ENV{TW_BEAR} // 60;
# The check of the TSC by the HPET bears a read of 125 us of the guest's: an exit of 10 us allows no more than 12x.
my %kinds = (
	tickless => [ 20, $guests[0] ],
	periodic => [ 5, 'periodic', '--smp', 1, '--append', 'nohz=off tsc=nowatchdog' ],
	busy => [ 21, 'busy', '--smp', 1, '--append', 'nohz=off tsc=nowatchdog' ],
	serves => [ 2, 'serves', '--smp', 1, '--append', 'tsc=nowatchdog' ],
);
my @kinds = chosen('TW_BEARERS', 'tickless periodic serves');
my $before = left_behind();

# What the guest's log says of watchdogs; "clocksource: ... unstable" and the like too
sub complaints {
	my ($g) = @_;
	my ($rc, $out) = guest_exec($g, 'dmesg');
	return "no answer: $rc $out" if $rc;
	$out =~ s/^.*\Qbackoff begins\E[^\n]*\n//s;
	return join "\n", grep { /soft lockup|rcu.*(stall|starved)|blocked for more|unstable|BUG|WARNING/ } split /\n/, $out;
}

sub factor { my ($n, $d) = split '/', shift->{factor_force}; return $n / $d }
sub counters { return decode_json((twctl('status', '--vm', shift, '-j'))[1])->{counters} }

for my $kind (@kinds) {
	my ($least, $g, @opt) = @{ $kinds{$kind} };
	my $pid = guest($g, @opt);
	my $hog = $kind eq 'busy' ? guest_spawn($g, 'sh', '-c', 'while :; do :; done') : undef;
	my $served = $kind eq 'serves' && guest_spawn($g, 'sh', '-c', 'rm -f /tmp/end; while :; do usleep 90000; i=0; while [ $i -lt 400 ]; do i=$((i + 1)); done; done & '
		. 'while [ ! -e /tmp/end ]; do sleep 1; done | pet 4; kill %1');
	guest_exec($g, 'sh', '-c', 'echo backoff begins >/dev/kmsg');
	trace_begin();
	# each host second of a busy guest costs many of the machine's
	my $p = attach($g, '--factor', 'max', $kind eq 'busy' ? ('--param', 'start=20') : (),
		defined $ENV{TW_TURN} ? ('--param', "turn=$ENV{TW_TURN}") : ()) or BAIL_OUT('backoff does not attach');
	like((twctl('status', '--vm', $g))[1], qr/policy +backoff,/, "$kind: --factor max is backoff");
	my $s0 = state($pid);
	wait_until(600, sub { state($pid)->{guest_ns} - $s0->{guest_ns} > 1e9 * $bear });
	my $s = state($pid);
	my $c = counters($g);
	my ($hosts, $guests) = map { ($s->{$_} - $s0->{$_}) / 1e9 } qw(host_ns guest_ns);
	my @seg = grep { $_->{pid} == $pid && $_->{change} eq 'rate' } @{ trace_end()->{segments} };
	my $after = counters($g);
	my @f = map { my ($n, $d) = split '/', $_->{factor}; $n / $d } @seg;
	diag(sprintf '%s: %.1f guest s in %.1f host s, now at %.2f, %d changes, ceiling %.2f, tries %d, lowered %d '
		. '(late %d starved %d lost %d floors %d turn %d), latest timer %s', $kind, $guests, $hosts, factor($s), scalar @f,
		$c->{ceiling_ppm} / 1e6, map({ $c->{$_} } qw(tries lowered for_late for_starved for_lost for_floors for_turn late_max_ns)));
	ok(max(@f, 0) >= $least, sprintf "$kind: finds a factor, %.2f at most, %.2f in the end", max(@f, 0), factor($s));
	is($s->{clamps} - $s0->{clamps}, 0, "$kind: nothing to clamp");
	is($c->{lowered}, sum(map { $c->{"for_$_"} } qw(late starved lost floors turn)), "$kind: each lowering has its reason");
	# It goes on meanwhile
	my ($least_n, $most_n) = map { $_->{raised} + $_->{lowered} } $c, $after;
	ok(@f >= $least_n && @f <= $most_n, "$kind: each segment is one of its changes: " . @f . " of $least_n to $most_n");
	# A factor that was too much is passed by a try alone
	my ($ceiling, $passed) = (0, 0);
	for my $i (1 .. $#f) {
		$passed++ if $ceiling && $f[$i] > $ceiling * 0.8001 && $f[$i - 1] <= $ceiling * 0.8001;
		$ceiling = $f[$i - 1] if $f[$i] < $f[$i - 1];
		$ceiling = 0 if $f[$i] > $ceiling * 1.5;
	}
	ok($passed <= $c->{tries}, "$kind: passes what was too much $passed times, tries $c->{tries}");
	is(complaints($g), '', sprintf "$kind: the guest bears it, %.0f s of its time", $guests);
	if ($kind eq 'tickless') {
		# The host has no time for it: what the guest does not see for 20 s of its own is a lockup
		my ($f, $l) = (factor(state($pid)), counters($g)->{lowered});
		my $span = max(0.05, min(1, 8 / $f));
		kill 'STOP', $pid;
		sleep $span;
		kill 'CONT', $pid;
		ok(wait_until(3, sub { counters($g)->{lowered} > $l }), sprintf
			"$kind: the VMM stopped for %.0f ms at factor %.0f: it goes down", $span * 1e3, $f);
		my $d = counters($g);
		ok($d->{for_late} > $c->{for_late} || $d->{for_starved} > $c->{for_starved}, "$kind: as a timer was late") or diag(explain $d);
	}
	if ($hog) {
		kill 'TERM', $hog->{pid};
		finish($hog);
	}
	if ($served) {
		guest_exec($g, 'touch', '/tmp/end');
		my (undef, $pets) = finish($served);
		cmp_ok($pets =~ /^pets (\d+)/m ? $1 : 0, '>=', $bear / 4, "$kind: the service says that it lives");
		unlike($pets, qr/killed/, "$kind: and is never killed for not saying so within 4 s") or diag($pets);
	}
	detach($p);
	is(state($pid)->{factor_force}, '1/1', "$kind: rate 1 afterwards");
	my ($rc, $out) = guest_exec($g, 'echo', 'alive');
	is("$rc $out", "0 alive\n", "$kind: the guest is alive");
}

# No guard: whatever becomes of the guest, the host goes on. Its log is looked at by testhost.
{
	my $g = $kinds{ $kinds[-1] }[1];
	my ($rc, $err) = twctl('attach', '--vm', $g, '--policy', 'ramp', '--factor', 'max');
	ok($rc == 2 && $err =~ /only backoff can/, 'factor max with another policy: status 2') or diag("$rc $err");
	my $p = attach($g, '--factor', 10000) or BAIL_OUT('no factor 10000');
	my $hog = guest_spawn($g, 'sh', '-c', 'while :; do :; done');
	my $from = host_s();
	sleep 0.01 while host_s() < $from + 1;
	ok(host_s() - $from < 1.5, sprintf 'factor 10000 by force: the host goes on, asleep for %.3f s of 1', host_s() - $from);
	my ($status, $out) = detach($p);
	is($status, 0, 'factor 10000 by force: it can be undone') or diag($out);
	kill 'TERM', $hog->{pid};
	finish($hog);
	stop_guest($g);
}

same_as_before($before, 'no link, program or map is left');
done_testing();
