#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
# skip-idle beside a disk and a network: its guard ("idle") holds for what is on its way, what happens
# without, and that it is not asked where nothing is; how late "slack" makes timers. Two guests on a virtual network exchange timestamps at 50x and under skip-idle, in a group. And
# a guest in which a program of 32-bit time_t meets 2038-01-19T03:14:08.
# TW_PARTS="guard throttle timers pace group cron 2038" takes some of it; TW_CRON=n: guest seconds of cron's (86400).
use strict;
use warnings;
use lib 'tests/host/lib';
use Test::More;
use List::Util qw(max min);
use IO::Socket::UNIX;
use Socket qw(SOCK_DGRAM);
use Time::HiRes qw(sleep);
use TwHost;

my %part = parts('guard throttle timers pace group cron 2038');
my $delay_s = 0.03;	# host time, of the network's other end
my $dir = '/tmp/tw-idle';
mkdir $dir;

# ---- what the guest talks to: a disk that takes 25 ms a request, a host that answers after 30, a guest

# The other end of a wire: answers ARP for any address, and turns pings and UDP around. Frames come and go as datagrams
sub slow_host {
	my ($me, $guest) = @_;
	my $s = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $me) or die "$me: $!";
	my $pid = fork // die "fork: $!";
	return $pid if $pid;
	while (defined $s->recv(my $f, 2048)) {
		my ($to, $from, $type) = unpack 'a6 a6 n', $f;
		my $my_mac = pack 'C6', 2, 0, 0, 0, 0, 1;
		if ($type == 0x806) {
			my ($head, $op, $smac, $sip, undef, $tip) = unpack 'a6 n a6 a4 a6 a4', substr $f, 14;
			next if $op != 1;
			$f = pack 'a6 a6 n a6 n a6 a4 a6 a4', $from, $my_mac, $type, $head, 2, $my_mac, $tip, $smac, $sip;
		} elsif ($type == 0x800) {
			my $proto = unpack 'C', substr $f, 23, 1;
			substr($f, 0, 12) = $from . $my_mac;
			substr($f, 26, 8) = substr($f, 30, 4) . substr($f, 26, 4);
			if ($proto == 17) {
				substr($f, 34, 4) = substr($f, 36, 2) . substr($f, 34, 2);
			} elsif ($proto == 1 && substr($f, 34, 1) eq "\x08") {
				# Eight less in the first byte is that much more in the checksum, with the carry round
				my $sum = unpack('n', substr $f, 36, 2) + 0x800;
				substr($f, 34, 4) = pack 'C C n', 0, 0, ($sum & 0xffff) + ($sum >> 16);
			} else {
				next;
			}
		} else {
			next;
		}
		sleep $delay_s;
		$s->send($f, 0, pack_sockaddr_un_of($guest));
	}
	exit 0;
}
sub pack_sockaddr_un_of { return Socket::pack_sockaddr_un(shift) }

sub nic {
	my ($id, $local, $remote, $mac) = @_;
	return ('--qemu', '-netdev', '--qemu', "dgram,id=$id,local.type=unix,local.path=$dir/$local,remote.type=unix,remote.path=$dir/$remote",
		'--qemu', '-device', '--qemu', "virtio-net-pci,netdev=$id,mac=52:54:00:00:00:$mac");
}

my $echo = slow_host("$dir/host", "$dir/io-host");
END { kill 'KILL', $echo if $echo }
my $before = left_behind();
{
	open my $f, '>', "$dir/disk" or die "$dir/disk: $!";
	srand 5;
	print $f pack 'N*', map { int rand 2**32 } 1 .. 65536;
}
my ($sum) = (run('sha256sum', "$dir/disk"))[1] =~ /^(\w+)/;
my %pid;
$pid{io} = guest('io', '--qemu', '-drive', '--qemu', "file=$dir/disk,format=raw,if=none,id=d,throttling.iops-total=40",
	'--qemu', '-device', '--qemu', 'virtio-blk-pci,drive=d', nic('n0', 'io-host', 'host', '01'), nic('n1', 'io-peer', 'peer-io', '02'));
$pid{peer} = guest('peer', nic('n0', 'peer-io', 'io-peer', '03')) if $part{group};

sub in_guest {
	my ($g, $script) = @_;
	my ($rc, $out) = guest_exec($g, 'sh', '-c', $script);
	return ($rc, $out);
}
my $load = 'for m in $(cat /lib/modules/list); do insmod /lib/modules/$m.ko 2>/dev/null; done; ';
my ($rc, $out) = in_guest('io', $load . 'ip addr add 10.0.0.1/24 dev eth0; ip link set eth0 up; ip addr add 10.0.1.1/24 dev eth1; ip link set eth1 up;'
	. ' ip addr; ls /lib/modules /dev/vd*');
ok($out =~ m{/dev/vda} && $out =~ /eth1/, 'the guest has a disk and two networks') or diag($out);
in_guest('peer', $load . 'ip addr add 10.0.1.2/24 dev eth0; ip link set eth0 up') if $part{group};

# ---- the guard

# What the guest sees of disk and network while it is skipped: (what the disk gave, seconds it took, the pings' times)
sub io {
	my (undef, $out) = in_guest('io', 'read a x </proc/uptime; dd if=/dev/vda bs=16k iflag=direct 2>/dev/null | sha256sum; read b x </proc/uptime;'
		. ' echo from $a to $b; ping -c 4 10.0.0.2; owd ask 10.0.0.2 9 4 200');
	my ($got) = $out =~ /^([0-9a-f]{64})/m;
	my ($from, $to) = $out =~ /^from ([\d.]+) to ([\d.]+)/m;
	my @ping_ms = $out =~ /time=([\d.]+) ms/g;
	my $lost = () = $out =~ /^lost/mg;
	my $asked = () = $out =~ /^\d+ \d+ \d+ \d+$/mg;
	diag($out) if !defined $to;
	return { sum => $got // '', disk_s => ($to // 0) - ($from // 0), pings => \@ping_ms, lost => $lost, answered => $asked };
}

if ($part{guard}) {
	my %saw;
	for my $idle (qw(60ms 1ms)) {
		# The disk's throttle is to take host time
		my $p = attach('io', '--policy', 'skip-idle', '--vmm', 'off', '--param', "idle=$idle") or BAIL_OUT('skip-idle did not attach');
		my $s0 = state($pid{io});
		my $r = $saw{$idle} = io();
		my $s1 = state($pid{io});
		$r->{leaps} = $s1->{leaps} - $s0->{leaps};
		detach($p);
		note(sprintf '%s: disk %.2f s, pings of %s ms, %d lost, %d answered, %d leaps', $idle, $r->{disk_s}, join(' ', @{ $r->{pings} }),
			@$r{qw(lost answered leaps)});
	}
	my ($on, $off) = @saw{qw(60ms 1ms)};
	is($on->{sum}, $sum, 'guard on: every byte of the disk');
	cmp_ok($on->{disk_s}, '<', 2, 'guard on: in the time that the disk takes');
	ok(@{ $on->{pings} } == 4 && max(@{ $on->{pings} }) < 100, 'guard on: every ping is answered, in 100 ms') or diag(explain $on);
	is("$on->{lost} $on->{answered}", '0 4', 'guard on: no time-out');
	cmp_ok($on->{leaps}, '>', 3, 'guard on: and it did skip, between them');
	is($off->{sum}, $sum, 'guard off: every byte of the disk');
	cmp_ok($off->{disk_s}, '>', 2 * $on->{disk_s}, 'guard off: the disk seems to take longer');
	ok($off->{lost} > 0 || max(@{ $off->{pings} }, 0) > 1000, 'guard off: what waits for an answer gives up, or waits for more than a second')
		or diag(explain $off);
}

# The same throttle in guest time: KVM does not know of it, QEMU does. A guard of 5 ms, which is shorter than a request
if ($part{throttle}) {
	my %disk_s;
	for my $vmm (qw(on off)) {
		my $p = attach('io', '--policy', 'skip-idle', '--vmm', $vmm, '--param', 'idle=5ms') or BAIL_OUT('skip-idle did not attach');
		my $s0 = state($pid{io});
		my (undef, $out) = in_guest('io', 'read a x </proc/uptime; dd if=/dev/vda bs=16k iflag=direct 2>/dev/null | sha256sum; read b x </proc/uptime; echo $a $b;'
			. ($vmm eq 'on' ? ' wakes rtc 3; sleep 20' : ''));
		my $s1 = state($pid{io});
		my (undef, $told) = twctl('status', '-j', '--vm', 'io');
		detach($p);
		my ($got) = $out =~ /^([0-9a-f]{64})/m;
		my ($from, $to) = $out =~ /^([\d.]+) ([\d.]+)$/m;
		my @late = map { /^rtc (\d+) (\d+)$/ ? $2 - $1 : () } split /\n/, $out;
		my ($waited) = $told =~ /"waited": *"?(\d+)/;
		my $leaps = $s1->{leaps} - $s0->{leaps};
		$disk_s{$vmm} = $to - $from;
		note(sprintf 'VMM %s: disk %.2f s, RTC late by %s ms, %d leaps, waited %s', $vmm, $disk_s{$vmm}, join(' ', map { int $_ / 1e6 } @late), $leaps, $waited // '?');
		is($got, $sum, "--vmm $vmm: every byte of the disk");
		if ($vmm eq 'off') {
			is($waited, 0, '--vmm off: nothing is known of the VMM');
			next;
		}
		ok(@late == 3 && min(@late) >= 0 && max(@late) < 1e9, "--vmm on: the RTC's alarm comes in its second") or diag($out);
		ok($waited && $leaps > 20, '--vmm on: leaps waited for the VMM, and others took place') or diag($told);
	}
	cmp_ok($disk_s{on}, '<', 1, "--vmm on: no leap goes past the timer of the disk's throttle");
	cmp_ok($disk_s{off}, '>', 2 * $disk_s{on}, '--vmm off: leaps do');
}

# ---- many timers, and no device

# What a guest that only sleeps, by timers that do not fall together, sees of skip-idle: how late they are, in s,
# how many leaps there were, how often the guard was waited for, and host seconds
sub timers {
	my @opt = @_;
	my $p = attach('io', '--policy', 'skip-idle', @opt) or BAIL_OUT('skip-idle did not attach');
	my $s0 = state($pid{io});
	my $h0 = host_s();
	my (undef, $out) = in_guest('io', 'wakes timer 60 300000000 >/tmp/a & wakes timer 40 470000000 >/tmp/b & wakes timer 20 910000000 >/tmp/c & wait;'
		. ' cat /tmp/a /tmp/b /tmp/c');
	my $h1 = host_s();
	my $s1 = state($pid{io});
	my (undef, $told) = twctl('status', '-j', '--vm', 'io');
	detach($p);
	my @late = map { /^timer (\d+) (\d+)$/ ? ($2 - $1) / 1e9 : () } split /\n/, $out;
	my ($guarded) = $told =~ /"guarded": *"?(\d+)/;
	my $r = { n => scalar @late, least => min(@late), most => max(@late), leaps => $s1->{leaps} - $s0->{leaps},
		guarded => $guarded // -1, host_s => $h1 - $h0, lost => $s1->{lost_ticks} - $s0->{lost_ticks} };
	note(sprintf '%s: %d timers, %.6f to %.6f s late; %d leaps, %d times guarded, %.2f host s', "@opt", @$r{qw(n least most leaps guarded host_s)});
	return $r;
}

if ($part{timers}) {
	my $exact = timers();
	is($exact->{n}, 120, 'no slack: all timers fire');
	cmp_ok($exact->{most}, '<', 0.1, 'no slack: in time');
	my $slack = timers('--param', 'slack=1s');
	is($slack->{n}, 120, 'a slack of 1 s: all timers fire');
	cmp_ok($slack->{least}, '>=', 0, 'a slack of 1 s: none early');
	cmp_ok($slack->{most}, '>', 0.3, 'a slack of 1 s: timers are late');
	cmp_ok($slack->{most}, '<', 1.1, 'a slack of 1 s: by no more than that');
	cmp_ok($slack->{leaps}, '<', $exact->{leaps} / 2, 'a slack of 1 s: which saves half of the leaps');
	is($slack->{lost}, 0, 'a slack of 1 s: no tick is lost');
	my $free = timers('--param', 'idle=60ms');
	cmp_ok($free->{guarded}, '<', $free->{leaps} / 4, 'a guest that uses no device leaps without waiting for the guard');
	my $waits = timers('--param', 'idle=60ms', '--vmm', 'off');
	cmp_ok($waits->{host_s}, '>', 0.05 * $waits->{leaps}, '--vmm off: the guard is waited for each time, as nothing is known of devices');
	cmp_ok($free->{host_s}, '<', $waits->{host_s} / 2, 'which takes the host more than twice as long');
}

# ---- how soon it leaps

# A guest with no device: what a leap takes is the call, the change, and what the guest does at its timer
if ($part{pace}) {
	my $pid = guest('k1');
	my $p = attach('k1', '--policy', 'skip-idle') or BAIL_OUT('skip-idle did not attach');
	sleep 1;
	my ($from, $h0) = (state($pid), host_s());
	sleep 1;
	my ($to, $h1) = (state($pid), host_s());
	detach($p);
	my $leaps = ($to->{leaps} - $from->{leaps}) || 1;
	my $leap_us = ($h1 - $h0) * 1e6 / $leaps;
	# With a tenth of a millisecond before each it was 209
	cmp_ok($leap_us, '<', 150, sprintf('a guest with nothing to do leaps at once: %d leaps, one each %.0f us of the host', $leaps, $leap_us));
}

# ---- a group's clocks

# The least delay there and back, ns; and how many were lost
sub delays {
	my ($count, $gap_ms) = @_;
	my ($rc, $out) = in_guest('io', "owd ask 10.0.1.2 7 $count $gap_ms");
	my (@there, @back);
	for (split /\n/, $out) {
		my ($asked, $came, $answered, $here) = /^(\d+) (\d+) (\d+) (\d+)$/ or next;
		push @there, $came - $asked;
		push @back, $here - $answered;
	}
	my $lost = $count - @there;
	diag("$rc $out") if !@there;
	return { there => min(@there), back => min(@back), worst => max(@there, @back), lost => $lost };
}

if ($part{group}) {
	my $serve = guest_spawn('peer', 'owd', 'serve', 7);
	in_guest('io', 'owd ask 10.0.1.2 7 3 1');

	my $base = delays(20, 2);
	# Their wall clocks may differ by what their boots read
	my $ahead = ($base->{there} - $base->{back}) / 2;
	note(sprintf 'at factor 1: %d ns there, %d ns back: the peer seems ahead by %d ns', @$base{qw(there back)}, $ahead);
	for my $how ([ '50x', '--factor', 50 ], [ 'skip-idle', '--policy', 'skip-idle', '--param', 'idle=5ms' ]) {
		my ($name, @opt) = @$how;
		my $p = attach('io', '--vm', 'peer', @opt) or next;
		my $s0 = state($pid{io});
		my $d = delays($name eq '50x' ? 40 : 10, $name eq '50x' ? 20 : 1000);
		my $s1 = state($pid{io});
		detach($p);
		note(sprintf '%s: least %d ns there, %d ns back, most %d, %d lost, %d leaps', $name, @$d{qw(there back worst lost)}, $s1->{leaps} - $s0->{leaps});
		is($d->{lost}, 0, "group, $name: nothing is lost");
		cmp_ok(min($d->{there} - $ahead, $d->{back} + $ahead), '>=', 0, "group, $name: no message arrives before it was sent");
		cmp_ok($s1->{leaps} - $s0->{leaps}, '>', 3, "group, $name: it did skip") if $name ne '50x';
	}
	detach($serve);
	stop_guest('peer');
}

# ---- a day of cron's, whose jobs are due each minute

if ($part{cron}) {
	my $day_s = $ENV{TW_CRON} // 86400;
	in_guest('io', 'mkdir -p /etc /tmp/cron; echo root:x:0:0:root:/:/bin/sh >/etc/passwd; echo "date +%s >>/tmp/jobs" >/tmp/job;'
		. ' echo "* * * * * sh /tmp/job" >/tmp/cron/root');
	my $cron = guest_spawn('io', 'crond', '-f', '-c', '/tmp/cron', '-L', '/dev/null');
	sleep 1;
	my (undef, $began) = in_guest('io', 'date +%s');
	my $day = twctl_spawn('attach', '--vm', 'io', '--policy', 'skip-idle', '--param', "until=${day_s}s", '--exit-when-done');
	my ($day_rc, $day_said) = finish($day);
	is($day_rc, 0, 'cron: the day has passed') or diag($day_said);
	my (undef, $jobs) = in_guest('io', 'date +%s; cat /tmp/jobs');
	my ($over, @job_at) = split ' ', $jobs;
	my @due = (int($began / 60) + 1 .. int($over / 60));
	my %did;
	$did{ int $_ / 60 }++ for @job_at;
	# the job of a minute that has just begun may not have run by then
	my @missing = grep { !$did{$_} } @due[0 .. $#due - 1];
	my @twice = grep { $did{$_} > 1 } keys %did;
	cmp_ok(scalar @due, '>=', $day_s / 60, 'cron: ' . @due . ' minutes');
	ok(@job_at >= $day_s / 60 - 1 && !@missing && !@twice, 'cron: each of them has its job, once: ' . @job_at)
		or diag('missing: ', join(' ', map { $_ * 60 - $began } @missing[0 .. 9]), '; twice: ', join ' ', map { $_ * 60 - $began } @twice);
	my $latest = max(map { $_ % 60 } @job_at);
	cmp_ok($latest, '<=', 5, "cron: at most $latest s late");
	detach($cron);
}

# ---- 2038

if ($part{2038}) {
	in_guest('io', 'date -u -s "2038-01-19 03:13:40" >/dev/null');
	my %old = (old32 => guest_spawn('io', 'old32', 5, 30), old64 => guest_spawn('io', 'old64', 5, 9));
	my $p = twctl_spawn('attach', '--vm', 'io', '--policy', 'skip-idle', '--param', 'until=70s', '--exit-when-done');
	my ($status, $said) = finish($p);
	my (%said, %ended);
	($ended{$_}, $said{$_}) = finish($old{$_}) for keys %old;
	my $limit = 2**31 - 1;
	my %after = map { my $n = $_; $n => scalar grep { $_ > $limit } $said{$n} =~ /ran at (\d+)/g } keys %said;
	is(scalar(() = $said{old64} =~ /ran at/g), 9, '2038: a program of 64-bit time_t does all its jobs') or diag($status, $said, $said{old64});
	cmp_ok($after{old64}, '>', 2, '2038: some of them after 03:14:07');
	my @ran = $said{old32} =~ /ran at (-?\d+)/g;
	my @again = grep { $ran[$_] - $ran[$_ - 1] < 5 } 1 .. $#ran;
	ok(@again && $again[0] > 3, '2038: one of 32 bits does so until the next date does not fit, then does the job over and over')
		or diag($said{old32});
	ok($ended{old32} == 1 && $said{old32} =~ /the time has gone back to -2147483\d\d\d\n\z/,
		'2038: and at 03:14:08 its time goes back to 1901, and it does nothing any more') or diag($ended{old32}, $said{old32});
	($rc, $out) = in_guest('io', 'date -u +%Y-%m-%dT%H:%M');
	like($out, qr/^2038-01-19T03:1[4-9]/, '2038: the guest itself goes on');
}

stop_guest('io');
same_as_before($before, 'no link, program or map is left');
done_testing();
