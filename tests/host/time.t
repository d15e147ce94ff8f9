#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
# What a policy is told of the time; what holds or leaps guest time: jump, freeze and step, skip-idle; of one VM and of two. The segments that the kernel traces
# and the guest's own clocks and tick counts, against what was asked for, at random parameters.
# TW_SEED=n starts the random numbers elsewhere; TW_STEPS=n single steps; TW_FREEZE=n seconds of
# the host for which guests with periodic ticks are frozen; TW_PARTS="told jump back freeze exact ticks skip group" takes some of it.
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
srand $seed;
diag("TW_SEED=$seed");
my %part = parts('told jump back freeze exact ticks skip group');
# The check of one clocksource by another would make up for each half second that was left out, one a tick
my $g = 'time';
my $pid = guest($g, '--smp', 2, '--append', 'tsc=reliable');
my $before = left_behind();

sub guest_uptime { return (guest_exec($_[0], 'cut', '-d ', '-f1', '/proc/uptime'))[1] + 0 }
sub guest_date { return (guest_exec($_[0], 'date', '+%s'))[1] + 0 }
sub guest_says {
	my ($rc, $out) = guest_exec($_[0], 'sh', '-c', 'dmesg | grep -iE "lockup|rcu.*stall|unstable|blocked for more|BUG:" || true');
	return $out;
}

# ---- what a policy is told of host and guest is of one moment, and lies on the line that the state file shows before and after

if ($part{told}) {
	my $factor = 100;
	my $p = attach($g, '--policy', policy('moment'), '--factor', $factor, '--param', 'after=300ms');
	my $s0 = state($pid);
	my $told;
	ok(wait_until(20, sub { $told = decode_json((twctl('status', '--vm', $g, '-j'))[1])->{counters}; $told->{host_ns} }), 'told: asked again');
	my $s1 = state($pid);
	ok($told->{host_ns} > $s0->{host_ns} && $told->{host_ns} < $s1->{host_ns}, 'told: after one look at the state file, before another')
		or diag(explain($told), explain($s0), explain($s1));
	my ($num, $den) = split '/', $s1->{factor_force};
	is($num, $factor * $den, "told: at ${factor}x all the time");
	# By how much the guest's time, in ns of it, is off where some ns more had passed than it was told
	my $off = sub {
		my ($key, $more) = @_;
		my $slope = ($s1->{guest_ns} - $s0->{guest_ns}) / ($s1->{$key} - $s0->{$key});
		return $told->{guest_ns} - $s0->{guest_ns} - ($told->{$key} + $more - $s0->{$key}) * $slope;
	};
	# each of them counts whole ns, or ticks
	for my $key ('host_ns', 'host_tsc') {
		ok(abs($off->($key, 0)) <= 3 * $factor, sprintf 'told: guest_ns is of the moment of %s, to %.0f ns of the guest', $key, $off->($key, 0))
			or diag(explain($told), explain($s0), explain($s1));
		cmp_ok(abs($off->($key, 100)), '>', 90 * $factor, 'told: ... 100 ns later it would be seen not to be');
	}
	detach($p);
}

# ---- jump

for my $text ($part{jump} ? ('+1d', '+' . (2 + int rand 20000) . 's') : ()) {
	my ($n, $unit) = $text =~ /^\+(\d+)(\w)$/;
	my $span = $n * ($unit eq 'd' ? 86400 : 1);
	trace_begin();
	my ($u0, $d0, $h0) = (guest_uptime($g), guest_date($g), host_s());
	my ($rc, $out) = twctl('jump', '--vm', $g, $text);
	my ($u1, $d1, $h1) = (guest_uptime($g), guest_date($g), host_s());
	my $t = trace_end();
	is($rc, 0, "jump $text: status 0") or diag($out);
	my $took = $h1 - $h0;
	ok($u1 - $u0 >= $span && $u1 - $u0 < $span + $took + 1, sprintf 'jump %s: the guest is up for %.2f s more, in %.2f s of the host', $text, $u1 - $u0, $took);
	ok($d1 - $d0 >= $span - 1 && $d1 - $d0 < $span + $took + 2, "jump $text: and its date agrees");
	my @leaps = grep { $_->{pid} == $pid && $_->{change} eq 'leap' } @{ $t->{segments} };
	my $asked = int(($span + 59) / 60);
	# some are shorter: those while something may be under way
	ok(@leaps >= $asked - 1 && @leaps < 1.1 * $asked + 20, sprintf 'jump %s: in %d leaps of a minute', $text, scalar @leaps) or diag("not $asked");
	# to the nanosecond: the last leap ends at attach + span, whatever happened between
	my ($start) = grep { $_->{pid} == $pid && $_->{change} eq 'start' } @{ $t->{segments} };
	my $off = $leaps[-1]{guest_ns} - $start->{guest_ns} - $span * 1e9;
	ok($off <= 0 && $off > -2e6, "jump $text: the last ends where asked, the attach itself took @{[ -$off ]} ns");
	is(scalar grep({ /clamp.*(leap|factor|answer)/ } @{ $t->{text} }), 0, "jump $text: nothing to clamp");
}
if ($part{jump}) {
is(guest_says($g), '', 'jump: no watchdog of the guest spoke');
	my ($rc, $out) = twctl('jump', '--vm', $g, strftime('%Y-%m-%dT%H:%M:%S', gmtime(time - 2)));
	ok($rc == 5 && $out =~ /past the moment/, 'jump to a date that has passed: status 5') or diag("$rc $out");
	($rc, $out) = twctl('attach', '--vm', $g, '--policy', 'jump', '--param', 'to=3s', '--param', 'backward=1');
	is($rc, 5, 'a policy that goes back without being allowed to: status 5') or diag($out);
	for my $bad ('', 'soon', '1x', '-1d', 'never', '5s host', '+1h --allow-backward') {
		($rc, $out) = twctl('jump', '--vm', $g, $bad =~ s/ --.*//r, $bad =~ /(--\S+)/ ? $1 : ());
		is($rc, 2, "jump '$bad': status 2") or diag($out);
	}
	is(state($pid)->{attached}, 0, 'jump: and nothing is attached');

	# A policy that wants to go back, too far, or what there is not
	for my $crime (0 .. 2) {
		my $u0 = guest_uptime($g);
		($rc, $out) = finish(twctl_spawn('attach', '--vm', $g, '--policy', policy('leapback'), '--param', "crime=$crime"));
		my $gained = guest_uptime($g) - $u0;
		is($rc, 6, "leapback $crime: ejected") or diag($out);
		# too far is clamped to half an hour, 16 times
		ok($crime == 1 ? $gained > 16 * 1800 && $gained < 16 * 1800 + 60 : $gained > 0 && $gained < 60,
			sprintf 'leapback %d: the guest went on by %.1f s', $crime, $gained);
		is(state($pid)->{factor_force}, '1/1', "leapback $crime: rate 1");
	}
}

# ---- back: what Linux does is its clocks stand until they are where they were

if ($part{back}) {
	for my $how ('date', 'span') {
		my $span = 2 + int rand 3;
		# Busy vCPUs are what takes long under emulation: once is enough
		my $mono = $how eq 'span' && guest_spawn($g, 'mono', 1_000_000_000);
		wait_until(5, sub { (guest_exec($g, 'pidof', 'mono'))[0] == 0 }) if $mono;
		my $s = state($pid);
		my $began = host_s();
		my $date = time + ($s->{guest_ns} - $s->{host_ns}) / 1e9;
		my $asked = $how eq 'span' ? "-${span}s" : strftime('%Y-%m-%dT%H:%M:%S', gmtime($date - $span));
		trace_begin();
		my ($rc, $out) = twctl('jump', '--vm', $g, '--allow-backward', '--', $asked);
		my $t = trace_end();
		is($rc, 0, "jump --allow-backward $asked: status 0") or diag($out);
		my ($start, @rest) = grep { $_->{pid} == $pid } @{ $t->{segments} };
		my @leaps = grep { $_->{change} eq 'leap' } @rest;
		is(scalar @leaps, 1, "back $how: one leap");
		my $went = $start->{guest_ns} - $leaps[0]{guest_ns};
		# the attach itself takes some time; a second of a date may be nearly over
		my $took = host_s() - $began;
		ok($how eq 'span' ? $went >= $span * 1e9 && $went < $span * 1e9 + 2e6 : $went > $span * 1e9 && $went < ($span + 1 + $took) * 1e9,
			sprintf 'back %s: by %.6f s', $how, $went / 1e9);
		if ($mono) {
			guest_exec($g, 'killall', 'mono');
			my ($status, $seen) = finish($mono);
			my ($worst) = $seen =~ /worst_tsc (\d+)/;
			ok(abs($worst - $went) < 0.05e9, sprintf 'back %s: the guest sees its TSC go back by %.3f s', $how, $worst / 1e9) or diag($seen);
		}
		ok(wait_until(20, sub { my $u = guest_uptime($g); sleep 0.2; guest_uptime($g) > $u }), "back $how: the guest's clock goes on again");
	}
	my $clamps = state($pid)->{clamps};
	my $c = attach($g, '--policy', 'chaos', '--chaos', '--param', 'skips=500', '--param', 'backs=500', '--param', 'back=1ms', '--param', 'step=10ms');
	sleep 1;
	my $n = decode_json((twctl('status', '--vm', $g, '-j'))[1])->{counters};
	ok($n->{went_back} > 10 && $n->{skipped} > 10 && state($pid)->{clamps} == $clamps, "chaos: $n->{went_back} jumps back, $n->{skipped} forward, nothing to clamp");
	detach($c);
}

# ---- freeze and step

if ($part{freeze}) {
	my $f = attach($g, '--policy', 'freeze');
	my $s0 = state($pid);
	sleep 2;
	my $s1 = state($pid);
	is("$s0->{held} $s1->{held}", '1 1', 'freeze: held');
	is($s1->{guest_ns}, $s0->{guest_ns}, 'freeze: guest time stands still for 2 s');
	is($s1->{guest_tsc}, $s0->{guest_tsc}, 'freeze: and so does its TSC');
	like((twctl('status', '--vm', $g))[1], qr/guest time +stands still/, 'freeze: status says so');
	like(qmp($g, '{"execute":"stop"}', '{"execute":"query-status"}'), qr/"running": false/, 'freeze: the VMM can stop its vCPUs');
	like(qmp($g, '{"execute":"human-monitor-command","arguments":{"command-line":"info registers -a"}}'), qr/CPU#1/, 'freeze: and read them');
	like(qmp($g, '{"execute":"cont"}', '{"execute":"query-status"}'), qr/"running": true/, 'freeze: and start them');
	is(state($pid)->{guest_ns}, $s0->{guest_ns}, 'freeze: guest time has stood through all that');
	my $base = state($pid)->{guest_ns};
	my $n = $ENV{TW_STEPS} // 1000;
	my ($rc, $out) = twctl('step', '--vm', $g, '10ms', '--count', $n, '-j');
	my @at = map { decode_json($_)->{guest_ns} } grep { /^\{/ } split /\n/, $out;
	is($rc, 0, "step: $n steps") or diag($out);
	my @off = grep { $at[$_] - $base != ($_ + 1) * 10_000_000 } 0 .. $#at;
	ok(@at == $n && !@off, "step: each of $n steps of 10 ms ends to the nanosecond")
		or diag(scalar @at, ' answers; off: ', join ' ', map { "$_: " . ($at[$_] - $base - ($_ + 1) * 10_000_000) } grep { defined } @off[0 .. 9]);
	is(state($pid)->{guest_ns} - $base, $n * 10_000_000, "step: $n steps of 10 ms are @{[ $n / 100 ]} s");
	my $sum = $n * 10_000_000;
	for (1 .. 10) {
		my $ns = int(exp(log(1000) + rand(log(2e8 / 1000))));
		($rc, $out) = twctl('step', '--vm', $g, "${ns}ns");
		$sum += $ns;
		my $off = state($pid)->{guest_ns} - $base - $sum;
		ok(!$rc && !$off, "step: $ns ns") or diag("off by $off; $out");
	}
	($rc, $out) = run('sh', '-c', "printf '1ms\\n2500us\\n' | build/twctl step --vm $g -");
	$sum += 3_500_000;
	ok($rc == 0 && state($pid)->{guest_ns} - $base == $sum, 'step -: spans from standard input') or diag($out);
	($rc, $out) = twctl('set', '--vm', $g, 'budget=1ms');
	is($rc, 5, 'freeze: a budget cannot shrink: status 5') or diag($out);
	my $counters = decode_json((twctl('status', '--vm', $g, '-j'))[1])->{counters};
	is($counters->{late}, '0ns', 'freeze: no step was late');
	detach($f);
	is(state($pid)->{held}, 0, 'freeze: detach lets the guest go');
	($rc, $out) = guest_exec($g, 'echo', 'alive');
	is("$rc $out", "0 alive\n", 'freeze: it is alive');
	# SIGKILL to who holds it
	$f = attach($g, '--policy', 'freeze');
	kill 'KILL', $f->{pid};
	finish($f);
	ok(until_state($pid, 'attached', 0), 'freeze: SIGKILL to twctl lets the guest go');
	($rc, $out) = guest_exec($g, 'echo', 'alive');
	is("$rc $out", "0 alive\n", 'freeze: and it is alive');
	is(guest_says($g), '', 'freeze: no watchdog of the guest spoke');
	($rc, $out) = twctl('step', '--vm', $g, '10ms');
	is($rc, 1, 'step without freeze: status 1') or diag($out);
	my $c = attach($g, '--factor', 2);
	($rc, $out) = twctl('step', '--vm', $g, '10ms');
	ok($rc == 5 && $out =~ /only freeze/, 'step under another policy: status 5') or diag("$rc $out");
	detach($c);
}

# ---- exact, however late the kernel's threads come: the host's CPU is taken from them for up to 20 ms at a time,
# and the guest reads its clocks all the while, by itself in offset mode

for my $tsc ($part{exact} ? qw(auto offset) : ()) {
	my $f = attach($g, '--policy', 'freeze', '--tsc', $tsc);
	my $mono = guest_spawn($g, 'mono', 20000);
	my $hog = spawn('chrt', '-f', 50, 'perl', '-MTime::HiRes=time,sleep', '-e',
		'for (;;) { my $end = time + 0.02 * rand; 1 while time < $end; sleep 0.02 }');
	my ($base, $n) = (state($pid)->{guest_ns}, 30);
	# One at a time, with all the host's time in between
	my @alone = map { twctl('step', '--vm', $g, '10ms'); state($pid)->{guest_ns} - $base - $_ * 10_000_000 } 1 .. 5;
	ok(!grep({ $_ } @alone), "$tsc: each of 5 single steps of a guest that works ends to the nanosecond") or diag("@alone");
	$base += 50_000_000;
	trace_begin();
	my ($rc, $out) = twctl('step', '--vm', $g, '10ms', '--count', $n, '-j');
	my $t = trace_end();
	my @at = map { decode_json($_)->{guest_ns} } grep { /^\{/ } split /\n/, $out;
	my @off = map { $at[$_] - $base - ($_ + 1) * 10_000_000 } 0 .. $#at;
	ok(!$rc && @at == $n && !grep({ $_ } @off), "$tsc: each of $n steps ends to the nanosecond on a host that comes late") or diag("$rc: @off");
	my @seg = grep { $_->{pid} == $pid } @{ $t->{segments} };
	my @late = grep { $seg[$_]{change} eq 'freeze' && $seg[$_ - 1]{change} eq 'rate' &&
		$seg[$_]{host_tsc} - $seg[$_ - 1]{host_tsc} > 12e6 } 1 .. $#seg;
	ok(@late > 3, "$tsc: late it was, by more than 2 ms, in " . @late . ' of them') or diag(explain \@seg);
	my $late = decode_json((twctl('status', '--vm', $g, '-j'))[1])->{counters}{late};
	is($late, '0ns', "$tsc: no step was late to the guest");
	kill 'TERM', $hog->{pid};
	finish($hog);
	detach($f);
	($rc, $out) = finish($mono);
	my %r = $out =~ /(\w+) (\d+)/g;
	ok($r{threads} == 2 && !$r{back_ns} && !$r{back_tsc}, "$tsc: $r{reads} reads in the guest, none goes back (worst $r{worst_ns} ns)") or diag($out);
}

my $frozen = $ENV{TW_FREEZE} // 10;

# Ticks: by LAPIC and PIT, periodic. Neither lost nor doubled over a freeze, and no burst at its end. And the
# RTC, which QEMU keeps: its date, and an alarm of it that lies ahead when guest time comes to stand. With an HPET
# Linux would look for the alarm 64 times a second instead.
# With a TSC deadline Linux would neither use the one periodically nor the other at all.
for my $k ([ 'lapic', 'LOC', '--append', 'nohz=off highres=off hpet=disable' ],
	[ 'pit', '0', '--append', 'nohz=off highres=off nolapic_timer hpet=disable' ]) {
	next if !$part{ticks};
	my ($name, $irq, @opt) = @$k;
	my $tp = guest($name, '--cpu', 'host,-tsc-deadline', @opt);
	my $count = sub {
		my ($rc, $out) = guest_exec($name, 'sh', '-c', "cut -d' ' -f1 /proc/uptime; sed -n 's/^ *$irq: *\\([0-9]*\\).*/\\1/p' /proc/interrupts; cut -d' ' -f1 /proc/uptime");
		my ($a, $n, $b) = split ' ', $out;
		BAIL_OUT("$name: no ticks by interrupt $irq: $out" . (guest_exec($name, 'cat', '/proc/interrupts'))[1]) if !defined $b;
		return (($a + $b) / 2, $n, ($b - $a) / 2);
	};
	my $rtc = '/sys/class/rtc/rtc0';
	my $rings = sub { return (guest_exec($name, 'sed', '-n', 's/^ *8: *\([0-9]*\).*/\1/p', '/proc/interrupts'))[1] + 0 };
	my $apart = sub { my ($rc, $out) = guest_exec($name, 'sh', '-c', "cat $rtc/since_epoch; date +%s"); my ($r, $d) = split ' ', $out; return $r - $d };
	my ($r0, $apart0) = ($rings->(), $apart->());
	my ($rc, $set) = guest_exec($name, 'sh', '-c', "echo 0 >$rtc/wakealarm; cut -d' ' -f1 /proc/uptime; echo +4 >$rtc/wakealarm");
	$rc == 0 or diag($set);
	my ($u0, $n0, $e0) = $count->();
	my $f = attach($name, '--policy', 'freeze');
	sleep $frozen;
	detach($f);
	my ($u1, $n1, $e1) = $count->();
	my $ticks = ($u1 - $u0) * 250;
	my $room = ($e0 + $e1 + 0.02) * 250 + 1;
	ok($u1 - $u0 < 4, sprintf '%s: %.2f s in the guest over a freeze of %d s', $name, $u1 - $u0, $frozen);
	ok($n1 - $n0 > 0 && abs($n1 - $n0 - $ticks) <= $room, sprintf '%s: %d ticks for %.1f periods', $name, $n1 - $n0, $ticks)
		or diag("room $room");
	is($rings->() - $r0, 0, "$name: the RTC's alarm has not come yet") or diag((guest_exec($name, 'cat', '/proc/uptime'))[1], $set);
	ok(abs($apart->() - $apart0) <= 1, "$name: the RTC's date and the guest's are as far apart as before");
	ok(wait_until(20, sub { $rings->() > $r0 }), "$name: it comes");
	my $u = guest_uptime($name) - $set;
	ok($rings->() - $r0 == 1 && $u > 2.9 && $u < 6, sprintf '%s: once, within %.2f s of the guest', $name, $u);
	is(guest_says($name), '', "$name: no watchdog spoke");
	stop_guest($name);
}

# ---- skip-idle

if ($part{skip}) {
	my ($u0, $h0) = (guest_uptime($g), host_s());
	my $span = 100 + int rand 100;
	trace_begin();
	my $p = twctl_spawn('attach', '--vm', $g, '--policy', 'skip-idle', '--param', "until=${span}s", '--exit-when-done');
	my ($rc, $out) = finish($p);
	my $h1 = host_s();
	my $t = trace_end();
	is($rc, 0, "skip-idle until=${span}s: ends") or diag($out);
	my $u1 = guest_uptime($g);
	ok($u1 - $u0 >= $span && $u1 - $u0 < $span + 3, sprintf 'skip-idle: %d s of the guest took %.1f s of the host', $span, $h1 - $h0);
	ok($h1 - $h0 < $span / 2, 'skip-idle: that is less than half');
	my @seg = grep { $_->{pid} == $pid } @{ $t->{segments} };
	my @leaps = grep { $_->{change} eq 'leap' } @seg;
	ok(@leaps > 3, 'skip-idle: ' . @leaps . ' leaps');
	my ($start) = grep { $_->{change} eq 'start' } @seg;
	ok($leaps[-1]{guest_ns} <= $start->{guest_ns} + $span * 1e9, 'skip-idle: none goes beyond the end');
	is(scalar grep({ /clamp.*(leap|factor|answer)/ } @{ $t->{text} }), 0, 'skip-idle: nothing to clamp') or diag(explain $t->{text});
	is(guest_says($g), '', 'skip-idle: no watchdog spoke');

	# a sleep of 100 s ends after 100 s of the guest, not before, and soon for the host
	my $s = attach($g, '--policy', 'skip-idle');
	$h0 = host_s();
	($rc, $out) = guest_exec($g, 'sh', '-c', 'cut -d" " -f1 /proc/uptime; sleep 100; cut -d" " -f1 /proc/uptime');
	my ($a, $b) = split ' ', $out;
	ok($b - $a >= 99.985 && $b - $a < 100.5, sprintf 'skip-idle: sleep 100 took %.2f s of the guest, %.1f of the host', $b - $a, host_s() - $h0);
	detach($s);

	# one vCPU is busy: no skip
	my $busy = guest_spawn($g, 'taskset', 1, 'sh', '-c', 'while :; do :; done');
	sleep 0.3;
	my $l0 = state($pid)->{leaps};
	$s = attach($g, '--policy', 'skip-idle', '--param', 'idle=1ms');
	($u0, $h0) = (guest_uptime($g), host_s());
	sleep 0.7;
	my ($u2, $h2) = (guest_uptime($g), host_s());
	is(state($pid)->{leaps}, $l0, 'skip-idle: two vCPUs, one busy: no leap');
	ok(abs(($u2 - $u0) - ($h2 - $h0)) < 0.3, sprintf 'skip-idle: %.2f s of the guest in %.2f s of the host', $u2 - $u0, $h2 - $h0);
	detach($s);
	kill 'TERM', $busy->{pid};
	finish($busy);
}

# ---- two VMs

if ($part{group}) {
	my $h = 'time2';
	my %pid = ($g => $pid, $h => guest($h, '--smp', 1, '--append', 'tsc=reliable'));
	my $both = sub { my ($key) = @_; return map { state($pid{$_})->{$key} } $g, $h };
	my $apart = sub { my ($a, $b) = $both->('guest_ns'); return sub64($a, $b) };
	# Each has the time that its attachments have left it: what lies between them is to stay
	my ($lead) = map { sub64($_->[0], $_->[1]) } [ map { my $s = state($pid{$_}); sub64($s->{guest_ns}, $s->{host_ns}) } $g, $h ];
	my $f = attach($g, '--vm', $h, '--policy', 'freeze');
	is(join(' ', $both->('held')), '1 1', 'group: both are held');
	my $between = $apart->();
	ok(abs(sub64($between, $lead)) < 1000, 'group: at one moment of both') or diag("$between $lead");
	my ($base, $worst) = (state($pid)->{guest_ns}, 0);
	for my $i (1 .. 20) {
		my ($rc, $out) = twctl('step', '--vm', $i % 2 ? $g : $h, '10ms');
		$rc == 0 or diag($out);
		my ($a, $b) = $both->('guest_ns');
		$worst = max($worst, map { abs($_ - $base - $i * 10_000_000) } $a, add64($b, $between));
	}
	is($worst, 0, 'group: stepped by the name of either, both stand at each of 20 steps, to the nanosecond');
	is(join(' ', $both->('held')), '1 1', 'group: held again');
	detach($f);
	is(join(' ', $both->('held')), '0 0', 'group: detach lets both go');

	my $s = attach($g, '--vm', $h, '--policy', 'skip-idle');
	trace_begin();
	my $h0 = host_s();
	my @sleep = map { guest_spawn($_, 'sh', '-c', 'cut -d" " -f1 /proc/uptime; sleep 60; cut -d" " -f1 /proc/uptime') } $g, $h;
	my @slept = map { my ($a, $b) = split ' ', (finish($_))[1]; $b - $a } @sleep;
	my $took = host_s() - $h0;
	my $t = trace_end();
	# /proc/uptime tells hundredths
	ok(!grep({ $_ < 59.985 || $_ > 60.5 } @slept), sprintf 'group: sleep 60 took %.2f and %.2f s of the guests, %.1f of the host', @slept, $took);
	ok($took < 40, 'group: which is less');
	my ($a, $b) = map { my $p = $pid{$_}; [ grep { $_->{pid} == $p && $_->{change} eq 'leap' } @{ $t->{segments} } ] } $g, $h;
	my @differ = grep { $a->[$_]{host_tsc} != $b->[$_]{host_tsc} || abs($a->[$_]{guest_ns} - $b->[$_]{guest_ns} - $between) > 2 } 0 .. min($#$a, $#$b);
	ok(@$a > 3 && @$a == @$b && !@differ, 'group: ' . @$a . ' leaps, of both at one moment and to one guest time');
	my $busy = guest_spawn($h, 'sh', '-c', 'while :; do :; done');
	sleep 0.3;
	my @l0 = $both->('leaps');
	sleep 0.7;
	is(join(' ', $both->('leaps')), "@l0", 'group: one of them is busy, the other idle: no leap');
	detach($s);
	kill 'TERM', $busy->{pid};
	finish($busy);
	is(guest_says($_), '', "group: no watchdog of $_ spoke") for $g, $h;
	stop_guest($h);
}

my ($rc, $out) = guest_exec($g, 'echo', 'alive');
is("$rc $out", "0 alive\n", 'the guest is alive');
is(state($pid)->{factor_force}, '1/1', 'rate 1 afterwards');
same_as_before($before, 'no link, program or map is left');
stop_guest($g);
done_testing();
