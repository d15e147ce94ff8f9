#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
# On a test host, under -icount: an unmodified Debian with nothing to do under skip-idle, exact and with slack. What it
# comes to in guest seconds a host second, how often it leaps, how much of the host each leap takes, and what the
# rest was waited for. It must not be slower than it was found to be.
use strict;
use warnings;
use lib 'tests/host/lib';
use JSON::PP;
use Test::More;
use Time::HiRes qw(sleep);
use TwDebian;
use TwHost;

my $dir = '/tmp/tw-speed';
my $folder = debian_disk($dir);
chomp(my $append = slurp("$folder/append"));

my $vm = spawn('build/twctl', 'run', '--date', '2030-03-04T00:00:00', '--vm-name', 'debian', '--image', "$dir/disk.img", '--snapshot', '--memory', 768,
	'--smp', 1, '--grace', '60s', '--', '-kernel', "$folder/vmlinuz", '-initrd', "$folder/initrd.img", '-append', $append);
sub in_debian { return debian_asked("/run/twctl/$vm->{pid}/agent", shift) }
my ($rc) = in_debian('true');
$rc == 0 or BAIL_OUT('the Debian did not come up: ' . (slurp($vm->{file}) // ''));
my (undef, $system) = in_debian('timeout 600 systemctl is-system-running --wait');
like($system, qr/^running/, 'the Debian runs') or diag((in_debian('systemctl --failed --no-legend'))[1]);
is((twctl('detach', '--vm', 'debian'))[0], 0, 'at the host\'s rate');
my ($pid) = map { /^(\d+)-/ ? $1 : () } map { s{.*/}{}r } glob '/sys/kernel/debug/kvm/*-*';

sub busy_s {
	my @f = (slurp('/proc/stat') // '') =~ /^cpu +(.*)$/m ? split ' ', $1 : ();
	return ($f[0] + $f[1] + $f[2] + $f[5] + $f[6]) / 100;
}

sub look {
	my (undef, $json) = twctl('status', '-j', '--vm', 'debian');
	my $o = decode_json($json);
	my $s = state($pid);
	return { guest_ns => $s->{guest_ns}, host_ns => $s->{host_ns}, leaps => $s->{leaps}, busy_s => busy_s(), counters => $o->{counters} };
}
sub ns { return shift =~ /^(\d+)/ ? $1 : 0 }

# [name, parameters, guest seconds to live, of them a host second at least]. What it does at each five, ten and sixty
# minutes is in each of these spans as often.
for my $case ([ 'exact', [], 1200, 70 ], [ 'slack=1s', ['slack=1s'], 3600, 270 ], [ 'slack=1s idle=1ms', [ 'slack=1s', 'idle=1ms' ], 3600, 400 ]) {
	my ($name, $params, $span_s, $least) = @$case;
	my $p = attach('debian', '--policy', 'skip-idle', map { ('--param', $_) } @$params);
	ok($p, "$name: attached") or next;
	my $a = look();
	# To look costs as much as some leaps: seldom
	my $until = $a->{guest_ns} + $span_s * 1e9;
	for (1 .. 120) {
		sleep 1;
		last if state($pid)->{guest_ns} >= $until;
	}
	my $b = look();
	cmp_ok($b->{guest_ns}, '>=', $until, "$name: $span_s seconds pass within 120");
	detach($p);
	my $host_s = ($b->{host_ns} - $a->{host_ns}) / 1e9;
	my $guest_s = ($b->{guest_ns} - $a->{guest_ns}) / 1e9;
	my $leaps = $b->{leaps} - $a->{leaps} || 1;
	my %waited = map { $_ => (ns($b->{counters}{$_}) - ns($a->{counters}{$_})) / 1e9 } qw(guard_ns vmm_ns);
	diag(sprintf '%s: %.0f guest seconds a host second; %.0f leaps a guest day, %.3f guest s and %.3f host ms each; of the host\'s %.1f s it was busy for %.1f,'
		. ' a device was waited for in %.1f, the VMM in %.1f', $name, $guest_s / $host_s, $leaps / $guest_s * 86400, $guest_s / $leaps, 1000 * $host_s / $leaps,
		$host_s, $b->{busy_s} - $a->{busy_s}, $waited{guard_ns}, $waited{vmm_ns});
	cmp_ok($guest_s / $host_s, '>', $least, "$name: more than $least guest seconds a host second");
}
my (undef, $failed) = in_debian('systemctl --failed --no-legend --plain');
is($failed, '', 'no unit has failed');
kill 'INT', $vm->{pid};
($rc) = finish($vm);
is($rc, 0, 'and it is shut down');
done_testing();
