#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
# Groups: several VMs under one policy. They stop at one guest time and go on at one moment with one factor, by
# the kernel's trace, so that the difference of their clocks is the same whenever they run; changes are for all or
# for none; a member's end leaves the others where they are, the first one's too.
use strict;
use warnings;
use lib 'tests/host/lib';
use Test::More;
use List::Util qw(max min);
use Time::HiRes qw(sleep);
use TwHost;

# Two of those that the other tests use, and the guide's. They do not outlive this.
my ($ga, $gb, $gc) = my @g = ($guests[0], $guests[1] // 'another', 'my-guest');
my %pid = map { $_ => guest($_) } @g;
my $before = left_behind();

sub counter { my ($g, $key) = @_; return state($pid{$g})->{$key} }

# Those at which a VM goes on at a factor; what it does to come to stand lies between
sub starts { my ($s, $name) = @_; return grep { $_->{change} =~ /^(?:rate|leap)$/ && !seen_before($s->{$name}, $_) } @{ $s->{$name} } }
# A segment that only says where the one before it is to end: on the same line
sub seen_before {
	my ($all, $x) = @_;
	my ($before) = grep { $all->[$_ + 1] == $x } 0 .. $#$all - 1;
	return defined $before && $all->[$before]{change} !~ /freeze|stop/ && $all->[$before]{factor} eq $x->{factor}
		&& abs(sub64($x->{guest_ns}, model_ns($all->[$before], model_tsc($all->[$before], $x->{host_tsc})))) <= 2;
}

# The difference of two guests' kvmclocks at the start of each of their segments; what a stop leaves is looked
# at by the guests' pages
sub differences {
	my ($s, $offset, $a, $b) = @_;
	my @a = starts($s, $a);
	my @b = starts($s, $b);
	return map { sub64(add64($a[$_]{guest_ns}, $offset->{$a}), add64($b[$_]{guest_ns}, $offset->{$b})) } 0 .. min($#a, $#b);
}

# How many VMs "twctl status" shows in a group with this one; 0 if it is alone
sub members { my ($out) = (twctl('status', '--vm', shift))[1] =~ /group +of (\d+) VMs/; return $out // 0 }

sub segments_by_guest {
	my %s = map { $_ => [] } @g;
	my %name = reverse %pid;
	push @{ $s{ $name{ $_->{pid} } // 'other' } }, $_ for @{ trace_end()->{segments} };
	return \%s;
}

# A start that comes too late for its moment begins at once, and makes up for the time since: then it is no
# moment that two have in common, but one line. The host's TSC counts nanoseconds here.
sub on_one_line {
	my ($a, $b, $apart) = @_;
	return 0 if !$a || !$b || $a->{factor} ne $b->{factor} || $a->{mode} ne $b->{mode};
	return 1 if $a->{host_tsc} eq $b->{host_tsc};
	return 0 if !defined $apart;
	my ($num, $den) = split m{/}, $a->{factor};
	return abs(sub64(apart($a, $b), $apart) - ($b->{host_tsc} - $a->{host_tsc}) * $num / $den) <= 2;
}
sub apart { my ($a, $b) = @_; return sub64(add64($b->{guest_ns}, $b->{kvmclock_offset}), add64($a->{guest_ns}, $a->{kvmclock_offset})) }

sub same_moments {
	my ($s, $what, @names) = @_;
	my ($first, @rest) = @names;
	my @first = starts($s, $first);
	for my $other (@rest) {
		my @other = starts($s, $other);
		my ($ref) = grep { $first[$_]{host_tsc} eq $other[$_]{host_tsc} } 0 .. min($#first, $#other);
		my $apart = defined $ref ? apart($first[$ref], $other[$ref]) : undef;
		my @bad = grep { !on_one_line($first[$_], $other[$_], $apart) } 0 .. max($#first, $#other);
		my $late = grep { $first[$_] && $other[$_] && $first[$_]{host_tsc} ne $other[$_]{host_tsc} } 0 .. $#first;
		ok(@first && !@bad, "$what: $first and $other: " . @first . " starts, of one moment and factor each, $late of them late")
			or diag("differ: @bad", explain [ map { $_->[$bad[0]] } \@first, \@other ]);
	}
}

# kvmclock of a VM that is not attached, at a host TSC: what its page says, through its TSC
sub page_ns {
	my ($g, $host_tsc) = @_;
	my ($sample) = samples_of((guest_exec($g, 'agree', 2))[1]);
	my $s = state($pid{$g});
	my $tsc = model_tsc({ tsc_ratio => $s->{tsc_ratio}, frac_bits => $s->{tsc_frac_bits}, tsc_offset => $s->{tsc_offset} }, $host_tsc);
	return model_ns($sample, $tsc);
}

# ---- through changes, and after

for my $tsc ('auto', 'offset') {
	trace_begin();
	my $p = attach($ga, '--vm', $gb, '--policy', 'ramp', '--tsc', $tsc, '--param', 'from=3', '--param', 'to=40', '--param', 'span=1s',
		'--param', 'steps=40') or BAIL_OUT('no group');
	my %offset = map { $_ => counter($_, 'kvmclock_offset') } @g;
	is(join(' ', map { counter($_, 'attached') . members($_) } @g), '12 12 00', "$tsc: two are attached, the third is not");
	my ($rc, $out) = twctl('status', '--vm', $gb);
	like($out, qr/policy +ramp.*group +of 2 VMs/s, "$tsc: status of the second tells the policy and the group") or diag($out);
	wait_until(20, sub { counter($gb, 'factor_asked') eq '40/1' });
	($rc, $out) = twctl('set', '--vm', $gb, 'to=1/2', 'span=100ms');
	is($rc, 0, "$tsc: set by the second's name") or diag($out);
	wait_until(20, sub { counter($ga, 'factor_asked') eq '1/2' });
	my @samples = map { [ samples_of((guest_exec($_, 'agree', 4))[1]) ] } $ga, $gb;
	my ($status, $told) = detach($p);
	is($status, 0, "$tsc: detach") or diag($told);
	my $s = segments_by_guest();
	same_moments($s, $tsc, $ga, $gb);
	ok(@{ $s->{$ga} } > 40, "$tsc: many changes");
	is(scalar @{ $s->{$gc} }, 0, "$tsc: nothing happened to the third");
	my @d = differences($s, \%offset, $ga, $gb);
	# In offset mode each change may round each clock up by less than a ns
	my $allowed = $tsc eq 'offset' ? scalar @d : 2;
	ok(max(@d) - min(@d) <= $allowed, sprintf '%s: the difference of their clocks moves by %d ns (allowed: %d)', $tsc, max(@d) - min(@d), $allowed);
	# And that is what the guests see
	for my $i (0, 1) {
		my $g = $g[$i];
		my @off;
		for my $x (@{ $samples[$i] }) {
			my $seg = segment_of($s->{$g}, $x->{tsc});
			push @off, sub64($x->{ns}, add64(model_ns($seg, $x->{tsc}), $offset{$g})) if $seg;
		}
		ok(@off && !grep({ abs($_) > 2 } @off), "$tsc: $g reads that clock") or diag("@off");
	}
	# The pages are from the detach on
	my $now = state($pid{$ga})->{host_tsc};
	my $after = sub64(page_ns($ga, $now), page_ns($gb, $now));
	ok(abs(sub64($after, $d[-1])) <= 6, sprintf '%s: after the detach it is %d ns off what it was', $tsc, sub64($after, $d[-1]));
}

# ---- all or none

{
	my $p = attach($gb, '--factor', 2);
	my %seq = map { $_ => counter($_, 'seq') } @g;
	my ($rc, $out) = twctl('attach', '--vm', $ga, '--vm', $gb, '--vm', $gc, '--factor', 5);
	is($rc, 5, 'one of the group is taken: status 5') or diag($out);
	is(join(' ', map { counter($_, 'seq') - $seq{$_} } @g), '0 0 0', 'and nothing changed');
	is(join(' ', map { counter($_, 'attached') } @g), '0 1 0', 'nobody else is attached');
	detach($p);
	($rc, $out) = twctl('attach', '--vm', $ga, '--vm', $gb, '--vm', $ga, '--factor', 5);
	ok($rc == 2 && $out =~ /named twice/, 'a VM that is named twice: status 2') or diag("$rc $out");
	($rc, $out) = twctl('attach', '--vm', $ga, '--vm', 'nobody', '--factor', 5);
	is($rc, 4, 'a VM that is none: status 4') or diag($out);
	($rc, $out) = twctl('attach', '--vm', $ga, '--vm', $gc, '--factor', 20000);
	is($rc, 2, 'a factor out of range: status 2') or diag($out);
	is(join(' ', map { counter($_, 'attached') } @g), '0 0 0', 'nobody is attached');
}

# ---- what it takes: two programs for the verifier, whose ways are not to multiply

for my $policy ([ 'constant', '--factor', 2 ], [ 'freeze' ], [ 'skip-idle' ], [ 'ramp' ], [ 'backoff' ], [ 'chaos', '--chaos' ],
	[ 'jump', '--param', 'to=30d' ], [ 'until', '--param', 'until=30d' ], [ 'catchup', '--param', 'behind=1s' ],
	[ 'schedule', '--param', 'plan=2 for 1h, 1' ]) {
	my ($name, @options) = @$policy;
	my $cpu_s = sub { my (undef, undef, $user, $system) = times; return $user + $system };
	my $s = $cpu_s->();
	my ($rc, $out) = twctl('attach', '--vm', $ga, '--vm', $gb, '--vmm', 'off', '--policy', $name, @options, '--pin');
	$s = $cpu_s->() - $s;
	is($rc, 0, "$name: attached to two") or diag($out);
	cmp_ok($s, '<', 0.6, sprintf '%s: that takes %d ms of the processor', $name, 1000 * $s);
	($rc, $out) = twctl('detach', '--vm', $ga);
	is($rc, 0, "$name: detached") or diag($out);
}

# ---- pinned, and detached by another one's name

{
	my ($rc, $out) = twctl('attach', '--vm', $ga, '--vm', $gb, '--factor', 7, '--pin');
	is($rc, 0, 'a group, pinned') or diag($out);
	($rc, $out) = twctl('swap', '--vm', $gb, '--policy', 'ramp', '--param', 'to=9', '--param', 'span=100ms');
	is($rc, 0, 'swapped by the second\'s name') or diag($out);
	ok(wait_until(10, sub { counter($ga, 'factor_asked') eq '9/1' && counter($gb, 'factor_asked') eq '9/1' }), 'both follow');
	($rc, $out) = twctl('detach', '--vm', $gb);
	is($rc, 0, 'detached by the second\'s name') or diag($out);
	is(join(' ', map { counter($_, 'factor_force') } $ga, $gb), '1/1 1/1', 'both are at rate 1');
	same_as_before($before, 'no pin is left');
}

# ---- a member ends, then the first one

{
	my $p = attach($ga, '--vm', $gb, '--vm', $gc, '--policy', 'build/tests/policies/random.bpf.o', '--param', 'changes=100000',
		'--param', 'shortest=20ms', '--param', 'longest=50ms') or BAIL_OUT('no group of three');
	is(members($gc), 3, 'three of them');
	stop_guest($gb);
	my $changes = counter($ga, 'changes');
	is(members($ga), 2, 'one has ended: two of them');
	ok(wait_until(10, sub { counter($ga, 'changes') > $changes + 3 }), 'they go on');
	trace_begin();
	sleep 0.3;
	same_moments(segments_by_guest(), 'two of three', $ga, $gc);
	stop_guest($ga);
	is(counter($gc, 'attached') . members($gc), '11', 'the first has ended: one is left, and attached');
	my ($n, $decisions) = (counter($gc, 'changes'), counter($gc, 'decisions'));
	ok(wait_until(10, sub { counter($gc, 'changes') > $n + 3 && counter($gc, 'decisions') > $decisions + 3 }), 'its policy goes on')
		or diag(explain state($pid{$gc}));
	my ($status, $out) = detach($p);
	is($status, 0, 'and can be detached') or diag($out);
	is(counter($gc, 'attached') . ' ' . counter($gc, 'factor_force'), '0 1/1', 'rate 1 afterwards');
	my ($rc, $alive) = guest_exec($gc, 'echo', 'alive');
	is("$rc $alive", "0 alive\n", 'the guest is alive');
	$p = attach($gc, '--factor', 3);
	stop_guest($gc);
	($status, $out) = finish($p);
	like($out, qr/the VM is gone/, 'alone again, its end is its policy\'s');
}

same_as_before($before, 'no link, program or map is left');
done_testing();
