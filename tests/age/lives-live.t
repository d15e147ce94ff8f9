#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
# On a test host: an unmodified Debian of two vCPUs, with services that systemd watches over and one that fills a table, under
# 50x, stopped, under the highest factor that it bears, saved to a file and restored, and rebooted. What it says of all that itself:
# its journal, its units, its date, its table.
# TW_PARTS="rate max save reboot" takes some of it; TW_MAX_S=n: host seconds under --factor max (60).
use strict;
use warnings;
use lib 'tests/host/lib';
use JSON::PP;
use POSIX qw(strftime);
use Test::More;
use Time::HiRes qw(sleep);
use Time::Local qw(timegm);
use TwDebian;
use TwHost;

my %part = parts('rate max save reboot');
my $dir = '/tmp/tw-lives';
my $folder = debian_disk($dir);
my $before = left_behind();
my $qmp = "$dir/qmp";

# ---- the guest

my $qemu;
sub start {
	unlink "$dir/agent", $qmp;
	$qemu = spawn(debian_words($folder, "file=$dir/disk.img,format=raw", $dir, '-name', 'debian', '-accel', 'kvm', '-cpu', 'host', '-smp', 2, '-m', 768,
		'-qmp', "unix:$qmp,server=on,wait=off", @_));
}
sub quit { kill 'TERM', $qemu->{pid}; return finish($qemu) }
sub in_debian { return debian_asked("$dir/agent", @_) }
# of a command that has to do as it is told
sub said {
	my ($rc, $out) = in_debian(@_);
	$rc == 0 or diag("$_[0]: status $rc: $out");
	return $out;
}
sub give_up { diag((slurp("$dir/console") // '') =~ /((?:.*\n){0,30}.*)\z/, slurp($qemu->{file}) // ''); BAIL_OUT(shift) }

# Services as a package would bring them. One that says that it lives each half of the time that it is given, and no sooner; and rows into
# PostgreSQL, one a second, each of which is written down once it has been answered for.
my $units = <<'EOS';
cat >/usr/local/bin/tw-watched <<'E'
use IO::Socket::UNIX;
my $s = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Peer => $ENV{NOTIFY_SOCKET}) or die;
for ($s->send('READY=1');; select undef, undef, undef, $ENV{WATCHDOG_USEC} / 2e6) { $s->send('WATCHDOG=1') }
E
cat >/usr/local/bin/tw-inserts <<'E'
use IPC::Open2;
use IO::Handle;
open my $kept, '>>', '/var/lib/postgresql/tw-kept' or die;
$kept->autoflush(1);
open2(my $from, my $to, qw(psql -qAt -v ON_ERROR_STOP=1));
print $to "set client_min_messages = error; create table if not exists tw(n bigint primary key); select coalesce(max(n), 0) from tw;\n";
my $n = <$from> // die;
for (;; sleep 1) {
	print $to 'insert into tw values(' . ++$n . ") returning n;\n";
	my $answer = <$from> // die;
	print $kept $answer;
}
E
for s in 4 20; do
	printf '[Service]\nType=notify\nWatchdogSec=%s\nExecStart=/usr/bin/perl /usr/local/bin/tw-watched\n[Install]\nWantedBy=multi-user.target\n' $s \
		>/etc/systemd/system/tw-watched-$s.service
done
printf '[Unit]\nRequires=postgresql.service\nAfter=postgresql.service postgresql@15-main.service\n[Service]\nUser=postgres\nExecStart=/usr/bin/perl /usr/local/bin/tw-inserts\n[Install]\nWantedBy=multi-user.target\n' \
	>/etc/systemd/system/tw-inserts.service
systemctl daemon-reload && systemctl --quiet enable --now tw-watched-4 tw-watched-20 tw-inserts
EOS
my @active = qw(tw-watched-4 tw-watched-20 tw-inserts postgresql nginx cron rsyslog dbus systemd-journald systemd-timesyncd systemd-networkd);

# ---- what must hold

sub rows { return (said(q(runuser -u postgres -- psql -Atc 'select count(*) from tw')) =~ /(\d+)/)[0] // 0 }

sub seconds { my @t = $_[0] =~ /(\d+)-(\d+)-(\d+)T(\d+):(\d+):([\d.]+)/ or return 0; return timegm(0, @t[4, 3, 2], $t[1] - 1, $t[0]) + $t[5] }
sub guest_date { return seconds(decode_json((twctl('status', '-j', '--vm', 'debian'))[1])->{guest_date} // '') }

# Its date is what twctl takes it to be, before and after it was asked
sub is_dated {
	my ($what) = @_;
	my $from = guest_date();
	my ($is) = said('date +%s.%N') =~ /^([\d.]+)/;
	my $to = guest_date();
	ok($is && $is > $from - 1 && $is < $to + 1, "$what: its date is right, " . strftime('%FT%TZ', gmtime($is // 0))) or diag("$is, not of $from to $to");
	return $is;
}

my $complaints = '';
sub is_well {
	my ($what, $least_rows) = @_;
	is(said('systemctl --failed --no-legend --plain'), '', "$what: no unit has failed");
	my $is = debian_complaints("$dir/agent");
	is($is, $complaints, "$what: its journal has no watchdog, no lockup, no unstable clock");
	$complaints = $is;
	my @state = split /\n/, (in_debian("systemctl is-active @active"))[1];
	is_deeply({ map { $active[$_] => $state[$_] // '' } 0 .. $#active }, { map { $_ => 'active' } @active }, "$what: its services are active");
	my $n = rows();
	is(said('cd /var/lib/postgresql; runuser -u postgres -- psql -Atc "select n from tw" | sort >/tmp/rows; sort tw-kept | comm -23 - /tmp/rows'), '',
		"$what: no row that was written is lost");
	cmp_ok($n, '>=', $least_rows, "$what: there are rows") if $least_rows;
	return $n;
}

sub live_for {
	my ($host_s) = @_;
	my $end = host_s() + $host_s;
	sleep 0.2 while host_s() < $end;
}

# ---- it comes up

my $began = host_s();
start();
give_up('the Debian does not come up') if (in_debian('true'))[0];
like((in_debian('timeout 600 systemctl is-system-running --wait'))[1], qr/^running/, 'it runs') or diag((in_debian('systemctl --failed --no-legend'))[1]);
diag(sprintf 'it runs after %.1f host seconds', host_s() - $began);
give_up('the services do not come up') if (in_debian($units))[0];
wait_until(60, sub { my ($rc, $n) = in_debian(q(wc -l </var/lib/postgresql/tw-kept)); !$rc && $n =~ /^(\d+)/ && $1 > 1 })
	or give_up('no row comes: ' . (in_debian('journalctl --no-pager -n 20 -u tw-inserts'))[1]);
my $rows = is_well('booted', 1);

# attached OPTION..., SUB: under a policy, lives; the guest seconds that it was
sub attached {
	my ($what, $options, $sub) = @_;
	my $p = attach('debian', @$options) or give_up("$what: no attach");
	my $a = state($qemu->{pid});
	$sub->();
	my $b = state($qemu->{pid});
	my $counters = decode_json((twctl('status', '-j', '--vm', 'debian'))[1])->{counters};
	my $lived_s = ($b->{guest_ns} - $a->{guest_ns}) / 1e9;
	diag(sprintf '%s: %.1f guest seconds in %.1f, at %s in the end%s', $what, $lived_s, ($b->{host_ns} - $a->{host_ns}) / 1e9, $b->{factor_force},
		join '', map { ", $_ $counters->{$_}" } sort keys %{ $counters // {} });
	is_dated($what);
	is((detach($p))[0], 0, "$what: detached");
	is_dated("$what, detached");
	# each second one, if it has the time; it may have to wait for its turn
	$rows = is_well($what, $rows + $lived_s / 10);
	return $lived_s;
}

if ($part{rate}) {
	my $s = attached('50x', [ '--factor', 50 ], sub { live_for(10) });
	cmp_ok($s, '>=', 490, '50x: it lived 50 seconds in each');
	attached('50x, stopped for 5 s', [ '--factor', 50 ], sub {
		live_for(1);
		my $a = guest_date();
		qmp($qmp, '{"execute":"stop"}');
		sleep 5;
		qmp($qmp, '{"execute":"cont"}');
		cmp_ok(guest_date() - $a, '<', 50 * 4, 'it did not live while it was stopped');
		live_for(1);
	});
}

attached('--factor max', [ '--factor', 'max' ], sub { live_for($ENV{TW_MAX_S} // 60) }) if $part{max};

if ($part{save}) {
	# as doc/clocks-and-limits.md has it: detach first
	my $was = is_dated('before it is saved');
	my $file = "$dir/saved";
	save_to_file($qmp, $file);
	quit();
	start('-incoming', "exec:cat $file");
	give_up('it does not come back') if (in_debian('true'))[0];
	unlink $file;
	cmp_ok(is_dated('restored'), '>=', $was, 'restored: its date is what it was, or later');
	$rows = is_well('restored', $rows);
	attached('50x, restored', [ '--factor', 50 ], sub { live_for(4) });
}

if ($part{reboot}) {
	# A boot is work of 25 s of this host: at a higher factor systemd's time-outs of 90 s come before its end
	my $boot = said('cat /proc/sys/kernel/random/boot_id');
	attached('rebooted at 3x', [ '--factor', 3 ], sub {
		my $was = guest_date();
		said('(sleep 1; systemctl reboot) </dev/null >/dev/null 2>&1 &');
		my $is = $boot;
		wait_until(600, sub { live_for(1); $is = (in_debian('cat /proc/sys/kernel/random/boot_id', 20))[1]; $is =~ /^[0-9a-f-]{36}$/ && $is ne $boot });
		isnt($is, $boot, 'it has booted anew');
		like((in_debian('timeout 600 systemctl is-system-running --wait'))[1], qr/^running/, 'and runs again');
		my ($num, $den) = split m{/}, state($qemu->{pid})->{factor_force};
		cmp_ok($num, '==', 3 * $den, 'at the same factor');
		cmp_ok(guest_date(), '>', $was, 'later than before');
	});
}

qmp($qmp, '{"execute":"system_powerdown"}');
is((finish($qemu))[0], 0, 'it shuts down in order');
same_as_before($before, 'nothing is left');
done_testing();
