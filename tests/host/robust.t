#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
# Whatever happens to the loader, to the VM or inside the policy: the guest ends at rate 1, its clocks
# continuous, the owner is told why, and nothing is left behind.
use strict;
use warnings;
use lib 'tests/host/lib';
use JSON::PP;
use Test::More;
use TwHost;

my $rounds = $ENV{TW_ROUNDS} // 20;
# Of an attach: when it is killed
my $moments = $ENV{TW_MOMENTS} // 21;
# Of the guest that is plugged a vCPU and reset: at 50 its boot takes long. 0: it is not reset
my $factor = $ENV{TW_RESET_FACTOR} // 50;
my $g = $ENV{TW_ROBUST_GUEST} // (grep({ $_ eq 'k2' } @guests) ? 'k2' : $guests[0]);
my $pid = guest($g);
my $before = left_behind();
my $switch = '/sys/module/kvm/parameters/timewarp';

sub put { my ($f, $v) = @_; open my $h, '>', $f or return 0; print $h $v; return close $h }
sub alive { my ($what) = @_; my ($rc, $out) = guest_exec($g, 'echo', 'alive'); is("$rc $out", "0 alive\n", "$what: the guest is alive") }

# Ended as a policy that was ejected, refused ...: status, a word of its text, the kernel's record
sub ended {
	my ($what, $p, $status, $text, %record) = @_;
	my ($rc, $out) = finish($p);
	ok($rc == $status && $out =~ $text, "$what: twctl ends with $status and says why: " . (split /\n/, $out)[-1])
		or diag("status $rc: $out");
	my $s = state($pid) or return;
	for my $k (sort keys %record) { is($s->{$k}, $record{$k}, "$what: $k $record{$k}") }
}

# ---- the loader

continuous($g, $pid, 'SIGKILL to twctl', sub {
	my $p = attach($g, '--factor', 50);
	kill 'KILL', $p->{pid};
	finish($p);
	ok(until_state($pid, 'attached', 0), 'SIGKILL to twctl: detached');
});
is(state($pid)->{exit_reason}, 'detached', 'SIGKILL to twctl: the state file says why');
same_as_before($before, 'SIGKILL to twctl: nothing is left');

# At every step: from 0 to 400 ms after its start
for my $ms (map { int $_ * 400 / ($moments - 1) } 0 .. $moments - 1) {
	my $p = twctl_spawn('attach', '--vm', $g, '--factor', 50);
	select undef, undef, undef, $ms / 1000;
	kill 'KILL', $p->{pid};
	finish($p);
}
ok(until_state($pid, 'attached', 0), "SIGKILL to twctl at $moments moments of its start: detached");
is(state($pid)->{factor_force}, '1/1', "SIGKILL to twctl at $moments moments of its start: rate 1");
same_as_before($before, "SIGKILL to twctl at $moments moments of its start: nothing is left");

continuous($g, $pid, 'detach', sub { my $p = attach($g, '--factor', 50); twctl('detach', '--vm', $g);
	ended('detach from elsewhere', $p, 0, qr/detached by another/, exit_kind => 1) });
continuous($g, $pid, 'pin, detach', sub {
	my ($rc, $out) = twctl('attach', '--vm', $g, '--factor', '1/3', '--pin');
	ok($rc == 0 && state($pid)->{attached}, 'pin: attached, and twctl has gone') or diag($out);
	($rc, $out) = twctl('set', '--vm', $g, '--factor', 10);
	is($rc, 0, 'pin: set works') or diag($out);
	($rc, $out) = twctl('detach', '--vm', $g);
	is($rc, 0, 'pin: detach works') or diag($out);
	($rc, $out) = twctl('detach', '--vm', $g);
	is($rc, 1, 'detach twice: the second says that nothing is attached');
});
same_as_before($before, 'pin, detach: nothing is left');

{
	my $p = attach($g, '--factor', 2);
	my ($rc, $out) = twctl('attach', '--vm', $g, '--factor', 3);
	ok($rc == 5 && $out =~ /already|busy/i, 'a second attach: status 5, the VM has a policy: ' . (split /\n/, $out)[-1]) or diag("$rc: $out");
	is(state($pid)->{factor_force} =~ m{^(\d+)/(\d+)$} ? $1 / $2 : 0, 2, 'a second attach: the first stays');
	detach($p);
}

# ---- swap

{
	my $mono = guest_spawn($g, 'mono', 200000);
	my $p = attach($g, '--factor', 2);
	my $bad = 0;
	my $swaps = $rounds < 10 ? $rounds : 10;
	for my $i (1 .. $swaps) {
		my ($rc, $out) = $i % 2 ? twctl('swap', '--vm', $g, '--policy', policy('random'), '--param', "seed=$i", '--param', 'changes=1000000') :
			twctl('swap', '--vm', $g, '--factor', $i);
		$bad++, diag("$rc: $out") if $rc;
	}
	is($bad, 0, "$swaps swaps under load");
	my $old = state($pid)->{policy};
	my ($rc, $out) = twctl('swap', '--vm', $g, '--policy', policy('refuse'));
	is($rc, 5, 'a swap to a policy that refuses: status 5') or diag($out);
	is(state($pid)->{policy}, $old, 'a swap to a policy that refuses: the old one stays');
	($rc, $out) = finish($mono);
	ok($rc == 0, 'swap under load: no clock went back') or diag($out);
	is((detach($p))[0], 0, 'swap under load: detached');
	same_as_before($before, 'swap: nothing is left');
}

# ---- policies that answer nonsense

my %kind = (zero => 0, 'all ones' => 1, alternating => 2, huge => 3, tiny => 4, '8 million iterations' => 5, 'at once' => 6, past => 7,
	errno => 8, positive => 9);

for my $k ("zero", "huge", "tiny", "errno", "positive") {
	my ($rc, $out) = twctl('attach', '--vm', $g, '--policy', policy('nonsense'), '--param', "kind=$kind{$k}", '--param', 'early=1');
	ok($rc == 5, "$k at the attach: refused: " . (split /\n/, $out)[-1]) or diag("$rc: $out");
	is(state($pid)->{attached}, 0, "$k at the attach: nothing is attached");
	like($out, qr/what it was given .*: kind=$kind{$k} early=1/, "$k at the attach: it says what the policy was given") if $k eq 'errno';
}

# What the kernel puts right is told as it happens, too, and of which VM: it is counted once, seen twice
my $traced = twctl_spawn('trace', '-j', '--vm', $g, 'timeline');
wait_until(60, sub { (slurp($traced->{file}) // '') =~ /^twctl: watching /m }) or die slurp($traced->{file});
my ($clamped, @ended) = (0);
my $traced_before = left_behind();

for my $k ('zero', 'huge', 'tiny', 'past', '8 million iterations') {
	my $s0 = state($pid);
	continuous($g, $pid, $k, sub {
		my $p = attach($g, '--policy', policy('nonsense'), '--param', "kind=$kind{$k}");
		ended($k, $p, 6, qr/ejected/, exit_kind => 3, exit_reason => $k =~ /million/ ? 'slow' : 'answer',
			exit_code => $k =~ /million/ ? -62 : -34);
	});
	my $s1 = state($pid);
	cmp_ok($s1->{clamps} - $s0->{clamps}, '>=', 16, "$k: " . ($s1->{clamps} - $s0->{clamps}) . ' clamps are counted');
	$clamped += $s1->{clamps} - $s0->{clamps};
	push @ended, $s1->{exit_reason};
	same_as_before($traced_before, "$k: nothing is left");
}
kill 'INT', $traced->{pid};
{
	my (undef, $out) = finish($traced);
	my @e = map { eval { decode_json($_) } // () } grep { /^\{/ } split /\n/, $out;
	my @clamps = grep { $_->{event} eq 'clamp' } @e;
	is(scalar(@clamps), $clamped, "nonsense: trace shows each clamp, $clamped") or diag(substr $out, -1000);
	is(scalar(grep { ($_->{vm} // q()) !~ m{^$pid-\d+$} } @clamps), 0, "... as the VM's");
	is(join(' ', map { $_->{reason} } grep { $_->{event} eq 'exit' } @e), "@ended", '... and how each policy ended');
}
same_as_before($before, 'nonsense: nothing is left');

for my $k ('alternating', 'at once', 'errno', 'positive', 'all ones') {
	my $s0 = state($pid);
	continuous($g, $pid, $k, sub {
		my $p = attach($g, '--policy', policy('nonsense'), '--param', "kind=$kind{$k}");
		select undef, undef, undef, 0.3;
		my $s1 = state($pid);
		my $n = $s1->{decisions} - $s0->{decisions};
		if ($s1->{attached}) {
			cmp_ok($n, '<=', 400, "$k: is called at most once a millisecond ($n times in 300 ms), factor $s1->{factor_force}, "
				. ($s1->{clamps} - $s0->{clamps}) . ' clamps');
			is((detach($p))[0], 0, "$k: harmless; detached");
		} else {
			ended($k, $p, 6, qr/ejected/, exit_kind => 3);
		}
	});
	alive($k);
	same_as_before($before, "$k: nothing is left");
}

# ---- the switch

continuous($g, $pid, 'kvm.timewarp=0', sub {
	my $p = attach($g, '--factor', 50);
	ok(put($switch, 0), 'kvm.timewarp=0: written');
	ended('kvm.timewarp=0', $p, 3, qr/switched off|disabled/, exit_kind => 4);
	my ($rc, $out) = twctl('attach', '--vm', $g, '--factor', 2);
	is($rc, 3, 'kvm.timewarp=0: an attach is refused with 3: ' . (split /\n/, $out)[-1]) or diag($out);
	ok(put($switch, 1), 'kvm.timewarp=1: written');
});
same_as_before($before, 'kvm.timewarp=0: nothing is left');

# ---- often

continuous($g, $pid, "$rounds attach and detach", sub {
	my $failed = 0;
	for (1 .. $rounds) {
		my $p = attach($g, '--factor', (0.1, 2, 10, 50, 100)[$_ % 5], '--tsc', $_ % 2 ? 'trapped' : 'offset') or $failed++, next;
		$failed++ if (detach($p))[0];
	}
	is($failed, 0, "$rounds attach and detach: each worked");
});
alive("$rounds attach and detach");
same_as_before($before, "$rounds attach and detach: nothing is left");

# ---- the VMM

{
	my $mono = guest_spawn($g, 'mono', 300000);
	my $p = attach($g, '--factor', 10);
	for (1 .. 3) {
		kill 'STOP', $pid;
		select undef, undef, undef, 0.1;
		my ($rc, $out) = twctl('set', '--vm', $g, '--factor', 10 * $_);
		is($rc, 0, 'SIGSTOP to QEMU: set works meanwhile') or diag($out);
		kill 'CONT', $pid;
		select undef, undef, undef, 0.1;
	}
	for (1 .. 3) {
		like(qmp($g, '{"execute":"stop"}'), qr/return/, 'stop');
		twctl('set', '--vm', $g, '--factor', 5 * $_);
		select undef, undef, undef, 0.1;
		like(qmp($g, '{"execute":"cont"}'), qr/return/, 'cont');
	}
	my ($rc, $out) = finish($mono);
	ok($rc == 0, 'SIGSTOP, SIGCONT, stop and cont of QEMU while warped: no clock went back') or diag($out);
	my @a = samples_of((guest_exec($g, 'agree', 16))[1]);
	my $s = state($pid);
	is($s->{attached}, 1, 'stop and cont: still attached');
	detach($p);
	alive('stop and cont');
}

# A guest of its own for what does not survive
sub victim { return guest('victim', '--smp', 1, '--qemu', '-smp', '--qemu', '1,maxcpus=2', '--qemu', '-action', '--qemu', 'reboot=reset') }

sub reset_while_warped {
	my ($vpid) = @_;
	like(qmp('victim', '{"execute":"system_reset"}'), qr/return/, 'reset while warped: QEMU did it');
	my $s0 = state($vpid);
	my ($rc, $out) = run('timeout', 100, 'tools/guest', 'exec', 'victim', '--', 'echo', 'alive');
	is($out, "alive\n", 'reset while warped: the guest is up again') or diag($rc, $out);
	my $s1 = state($vpid);
	is("$s1->{attached} $s1->{factor_force}", "1 $s0->{factor_force}", 'reset while warped: still at its factor');
}

{
	my $vpid = victim();
	my $p = attach('victim', '--factor', $factor || 3);
	# Hotplug
	my $answer = qmp('victim', '{"execute":"device_add","arguments":{"driver":"host-x86_64-cpu","id":"c1","socket-id":1,"core-id":0,"thread-id":0}}');
	$answer = qmp('victim', '{"execute":"device_add","arguments":{"driver":"host-x86_64-cpu","id":"c1","socket-id":0,"core-id":1,"thread-id":0}}')
		if $answer =~ /error/;
	SKIP: {
		skip "QEMU plugs no vCPU here: $answer", 3 if $answer =~ /error/;
		my ($rc, $out) = run('timeout', 20, 'tools/guest', 'exec', 'victim', '--', 'sh', '-c',
			'for i in 1 2 3 4 5 6 7 8 9 10; do [ -d /sys/devices/system/cpu/cpu1 ] && break; sleep 1; done; echo 1 >/sys/devices/system/cpu/cpu1/online; cat /sys/devices/system/cpu/online');
		is($out, "0-1\n", 'hotplug while warped: the second vCPU is online') or diag("$rc $out");
		my $s = state($vpid);
		my %seg = (%$s, frac_bits => $s->{tsc_frac_bits});
		my @a = samples_of((guest_exec('victim', 'agree', 20))[1]);
		my %cpus = map { $_->{cpu} => 1 } @a;
		is(join(' ', sort keys %cpus), '0 1', 'hotplug while warped: both vCPUs have a page');
		my ($worst) = sort { $b <=> $a } map { abs sub64($_->{ns}, add64(model_ns(\%seg, $_->{tsc}), $s->{kvmclock_offset})) } @a;
		cmp_ok($worst // 99, '<=', 2, 'hotplug while warped: both follow the timeline to 2 ns');
		my ($mrc, $mout) = guest_exec('victim', 'mono', 50000);
		is($mrc, 0, 'hotplug while warped: no clock goes back between the two') or diag($mout);
	}
	SKIP: {
		skip 'the reset takes a boot: make check-all', 3 if !$factor;
		reset_while_warped($vpid);
	}
	# SIGKILL
	kill 'KILL', $vpid;
	my ($rc, $out) = finish($p);
	ok($rc == 0 && $out =~ /the VM is gone/, 'SIGKILL to QEMU: twctl ends with 0 and says that the VM is gone') or diag("$rc: $out");
	stop_guest('victim');
	same_as_before($before, 'SIGKILL to QEMU: nothing is left');
}
alive('at the end');
done_testing();
