#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
# The Debian of tools/debian-guest comes up whole: booted once, its agent says that the system runs, that no unit has
# failed, and that what it is there for is at work. With plain QEMU, emulated, so that it runs anywhere; TW_ACCEL=kvm
# is faster where there is a KVM. Without a test host, as nothing of timewarp takes part.
#
# tests/age/debian.t [12|13]
use strict;
use warnings;
use Test::More;
use File::Temp 'tempdir';
BEGIN { chdir "$1/../.." if $0 =~ m{^(.*)/[^/]+$} }
use lib 'tests/host/lib';
use TwDebian;
use TwHost;

plan skip_all => 'an image of another system is made as root' if $>;
my $version = shift // 12;
chomp(my $d = `tools/debian-guest $version`);
BAIL_OUT('there is no image') if $? || !-f "$d/disk.img";
my $run = tempdir('debian.XXXXXX', TMPDIR => 1, CLEANUP => 1);
chomp(my $append = slurp("$d/append"));
my $accel = $ENV{TW_ACCEL} // 'tcg';
spawn(debian_words($d, "file=$d/disk.img,format=raw,snapshot=on", $run, '-no-reboot', '-accel', $accel, '-cpu', $accel eq 'kvm' ? 'host' : 'max',
	'-smp', 2, '-m', 1024));
sub give_up { diag((slurp("$run/console") // '') =~ /((?:.*\n){0,30}.*)\z/); BAIL_OUT($_[0]) }

sub in_guest { return debian_asked("$run/agent", @_) }

my $begun = time;
my ($rc, $out) = in_guest('true', 600);
give_up('the agent does not answer within ten minutes') if $rc;
note(sprintf 'the agent answers after %d s', time - $begun);
($rc, $out) = in_guest('systemctl is-system-running --wait 2>/dev/null', 600);
chomp $out;
is($out, 'running', 'the system runs') or diag((in_guest('systemctl --failed --no-legend; systemctl list-jobs --no-legend'))[1]);
note(sprintf 'which it does after %d s', time - $begun);
($rc, $out) = in_guest('systemctl --failed --no-legend --plain');
is($out, '', 'no unit has failed');
is(debian_complaints("$run/agent"), '', 'and its journal complains of nothing');
my @units = qw(cron rsyslog dbus systemd-timesyncd ssh qemu-guest-agent nginx postgresql systemd-networkd
	logrotate.timer apt-daily.timer sysstat-collect.timer man-db.timer);
($rc, $out) = in_guest("systemctl is-active @units");
my @state = split /\n/, $out;
is($state[$_] // '', 'active', "$units[$_] is active") for 0 .. $#units;
($rc, $out) = in_guest("runuser -u postgres -- psql -Atc 'select 6 * 7'");
is($out, "42\n", 'PostgreSQL answers') or diag($out);
($rc, $out) = in_guest("perl -MIO::Socket::INET -e 'my \$s = IO::Socket::INET->new(q(127.0.0.1:80)) or die; print \$s qq(GET / HTTP/1.0\\r\\n\\r\\n); print scalar <\$s>'");
like($out, qr/^HTTP\/1.1 200/, 'nginx answers');
($rc, $out) = in_guest('cat /proc/cmdline; uname -v; sysctl -n kernel.watchdog');
like($out, qr/^\Q$append\E\n.*Debian/, 'its kernel is the distribution\'s, and told nothing but where its disk is');
done_testing();
