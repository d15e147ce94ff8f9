#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
# twctl age on a guest that runs, without an agent: it lives the span that was asked for, is sampled by its own
# time, and whatever ends it leaves a report.
use strict;
use warnings;
use lib 'tests/host/lib';
use Test::More;
use JSON::PP;
use Time::HiRes qw(sleep);
use TwHost;

my $dir = '/tmp/tw-age';
mkdir $dir;
# As tools/demo/year has it: a kernel that is told nothing is awake so often that three days take an hour
my $pid = guest('age', '--smp', 1, '--clocksource', 'kvm-clock', '--qemu', '-device', '--qemu', 'virtio-balloon-pci,id=balloon',
	'--append', 'tsc=reliable nowatchdog mce=ignore_ce transparent_hugepage=never ipv6.disable=1 psi=0 cgroup_disable=memory ' .
	'cpuidle_haltpoll.force=1 haltpoll.guest_halt_poll_ns=0');
guest_exec('age', 'sh', '-c', 'echo 0 >/proc/sys/vm/compaction_proactiveness; echo 0 >/proc/sys/vm/dirty_writeback_centisecs;' .
	'echo 3600 >/proc/sys/kernel/hung_task_timeout_secs; echo 3600 >/proc/sys/vm/stat_interval;' .
	'for f in /sys/kernel/debug/sched/fair_server/cpu*/runtime; do [ ! -e $f ] || echo 0 >$f; done');
my $before = left_behind();
my $day = 86400;

sub lines { return map { decode_json($_) } split /\n/, slurp("$dir/$_[0]/samples.ndjson") // '' }
sub samples { return grep { $_->{type} eq 'sample' } lines(@_) }
sub ended { my ($end) = grep { $_->{type} eq 'end' } lines(@_); return $end && $end->{reason} }
sub policy_of { my ($run) = grep { $_->{type} eq 'run' } lines(@_); return $run && $run->{policy} }
sub report { return decode_json(slurp("$dir/$_[0]/report.json") // '{}') }

# A span of three days, each six hours
my $s0 = state($pid);
my ($rc, $out) = twctl_within(300, 'age', '--vm', 'age', '--span', '3d', '--report', "$dir/days");
my $s1 = state($pid);
ok($rc == 0 || $rc == 10, 'three days are lived and judged') or diag($rc, $out);
my @s = samples('days');
is(scalar @s, 13, 'there is a sample each six hours') or diag(slurp("$dir/days/samples.ndjson"));
my @off = map { abs($s[$_]{t} - $s[0]{t} - $_ * 6 * 3600) } 0 .. $#s;
is(scalar(grep { $_ > 60 } @off), 0, 'each within a minute of its time') or diag("@off");
is(policy_of('days'), 'skip-idle slack=1s', 'the recording says that timers may have been late by a second');
is(ended('days'), 'span', 'the recording says that the span was lived');
my $lived = ($s1->{guest_ns} - $s0->{guest_ns}) / 1e9;
cmp_ok(abs($lived - 3 * $day), '<', 600, 'the guest itself lived three days') or diag($lived);
is($s1->{attached}, 0, 'nothing is attached afterwards');
my ($rc2, $date) = guest_exec('age', 'date', '+%s');
cmp_ok(abs($date - $s[-1]{t}), '<', 60, "the samples' times are the guest's own date") or diag($date, $s[-1]{t});
for my $name (qw(qemu.rss qemu.fds kvm.exits timewarp.leaps)) {
	is(scalar(grep { defined $_->{v}{$name} } @s), 13, "$name is in each sample");
}
my %missing = map { $_->{source} => $_->{why} } @{ report('days')->{missing} };
like($missing{'guest agent'}, qr/virtserialport/, 'the agent that is not there is named');
like($missing{balloon}, qr/virtio_balloon, is not loaded/, 'so is a balloon that the guest has no driver for');
is($missing{"QEMU's monitor"}, undef, "QEMU's monitor is there");
note(sprintf '%d guest seconds a host second', $lived / ($s[-1]{host_s} || 1));

# Interrupted, and gone on with
my $p = twctl_spawn('age', '--vm', 'age', '--span', '400d', '--report', "$dir/cut");
ok(wait_until(120, sub { (slurp("$dir/cut/samples.ndjson") // '') =~ /(.*"sample".*\n){5}/ }), 'a long life is being recorded');
kill 'INT', $p->{pid};
($rc, $out) = finish($p);
ok($rc == 0 || $rc == 10, 'Ctrl-C ends it with a report') or diag($rc, $out);
is(ended('cut'), 'interrupted', 'which says so');
is(state($pid)->{attached}, 0, 'and nothing is attached');
my ($first) = samples('cut');
($rc, $out) = twctl_within(300, 'age', '--vm', 'age', '--span', '4d', '--report', "$dir/cut");
is($rc, 1, 'a recording that is there is not written over');
like($out, qr/--resume/, 'and the cure is named');
($rc, $out) = twctl_within(300, 'age', '--vm', 'age', '--span', '4d', '--report', "$dir/cut", '--resume');
ok($rc == 0 || $rc == 10, '--resume goes on') or diag($rc, $out);
@s = samples('cut');
cmp_ok(abs($s[-1]{t} - $first->{t} - 4 * $day), '<', 120, 'to where the span ends, from where it began');

# Ctrl-C at a terminal reaches all that is in the foreground: what is attached stays until the sample is taken, a workload
# ends, and neither is a fault
my $tty = spawn('setsid', '-w', 'build/twctl', 'age', '--vm', 'age', '--span', '400d', '--report', "$dir/tty", '--workload',
	"[ ! -e $dir/tty/samples.ndjson ] || [ \$(grep -c '\"sample\"' $dir/tty/samples.ndjson) -lt 3 ] || { touch $dir/tty/works; sleep 1000; }");
ok(wait_until(120, sub { -e "$dir/tty/works" }), 'a workload that does not end');
kill 'INT', -$tty->{pid};
($rc, $out) = finish($tty);
ok($rc == 0 || $rc == 10, 'Ctrl-C in the midst of it ends age with a report') or diag($rc, $out);
is(ended('tty'), 'interrupted', '... as interrupted');
is(scalar(grep { $_->{subject} eq 'workload' } @{ report('tty')->{verdicts} }), 0, '... and the workload is no fault');
is(state($pid)->{attached}, 0, '... and nothing is attached');

# Killed, as by the end of its host: nothing is left attached, and it is gone on with
$p = twctl_spawn('age', '--vm', 'age', '--span', '400d', '--report', "$dir/killed");
wait_until(120, sub { (slurp("$dir/killed/samples.ndjson") // '') =~ /(.*"sample".*\n){3}/ });
kill 'KILL', $p->{pid};
finish($p);
ok(until_state($pid, 'attached', 0), 'SIGKILL to age: what it had attached is detached');
is(ended('killed'), undef, '... its recording has no end');
($rc, $out) = twctl_within(300, 'age', '--vm', 'age', '--span', '2d', '--report', "$dir/killed", '--resume');
ok($rc == 0 || $rc == 10, '... and --resume goes on') or diag($rc, $out);
is(ended('killed'), 'span', '... to the end of the span');

# Refused, and nothing changed
($rc, $out) = twctl_within(60, 'age', '--vm', 'age', '--until', '2001-01-01', '--report', "$dir/past");
is($rc, 5, 'a date that has passed is refused');
like($out, qr/the guest is at 20\d\d-/, 'with the date at which the guest is');
ok(!-e "$dir/past/samples.ndjson", 'and no recording of nothing is left');
my $a = attach('age', '--factor', 2);
($rc, $out) = twctl_within(60, 'age', '--vm', 'age', '--span', '1d', '--policy', 'skip-idle', '--report', "$dir/held");
is($rc, 5, 'a policy beside another is refused') or diag($out);
is(state($pid)->{policy}, 'constant', 'and the other stays');
($rc, $out) = twctl_within(60, 'age', '--vm', 'age', '--span', '20s', '--every', '5s', '--report', "$dir/along");
ok($rc == 0 || $rc == 10, 'without --policy it is aged with what is attached') or diag($rc, $out);
is(scalar samples('along'), 5, 'and sampled by its own time');
is(policy_of('along'), 'constant', 'and the recording says with what');
is(state($pid)->{policy}, 'constant', 'which stays attached');
detach($a);
($rc, $out) = twctl_within(60, 'age', '--vm', 'age', '--span', '1d', '--policy', 'freeze', '--report', "$dir/stands");
is($rc, 5, 'a policy under which time stands still is refused');
like($out, qr/\Atwctl: [^\n]*under policy freeze its time stands still[^\n]*\n\z/, 'in one line') or diag($out);
is(state($pid)->{attached}, 0, 'and is not left attached');
($rc, $out) = twctl_within(60, 'age', '--vm', 'nosuch', '--span', '1d', '--report', "$dir/none");
is($rc, 4, 'no such VM');
same_as_before($before, 'no link, program or map is left');

# What lived less than was asked for is told, and what there is of it is judged
sub early {
	my ($name, $how, @opt) = @_;
	my $p = twctl_spawn('age', '--vm', 'age', '--span', '400d', '--report', "$dir/$name", @opt);
	wait_until(120, sub { (slurp("$dir/$name/samples.ndjson") // '') =~ /(.*"sample".*\n){3}/ });
	$how->();
	my ($rc, $out) = finish($p);
	my @said = grep { /^twctl: / } split /\n/, $out;
	return ($rc, $out, @said);
}
($rc, $out, my @said) = early('away', sub { twctl('detach', '--vm', 'age') });
ok($rc == 1 && @said == 1 && $said[0] =~ /cannot age \S+ to the end: at 20\d\d-\S+ \S+ of the guest's, the policy was detached/,
	'who detaches the policy ends it: status 1, and one line says so') or diag($rc, $out);
like(ended('away'), qr/the policy was detached/, '... the recording, too');
cmp_ok(report('away')->{end}, '>', report('away')->{start}, '... and there is a report of what was lived');
mkdir "$dir/full";
run('mount', '-t', 'tmpfs', '-o', 'size=16k', 'none', "$dir/full");
($rc, $out, @said) = early('full', sub { }, '--every', '30m');
ok($rc == 1 && grep({ /cannot write recording.*No space left on device/ } @said), 'no room for the recording: status 1, and a line says so') or diag($rc, $out);
like($out, qr/^age lived .* from 20\d\d-/m, '... and what there is of it is judged');
is(state($pid)->{attached}, 0, '... and nothing is attached');
run('umount', "$dir/full");
same_as_before($before, 'no link, program or map is left');

# A workload, and the guest's end
$p = twctl_spawn('age', '--vm', 'age', '--span', '400d', '--report', "$dir/dead", '--workload', 'echo "$TWCTL_GUEST_TIME" >>' . "$dir/work; exit 3");
wait_until(120, sub { (slurp("$dir/dead/samples.ndjson") // '') =~ /(.*"sample".*\n){3}/ });
kill 'KILL', $pid;
($rc, $out) = finish($p);
is($rc, 10, 'the end of the guest is a fault') or diag($out);
is(ended('dead'), 'the guest ended', 'and the recording says so');
my @faults = map { $_->{subject} } grep { $_->{mark} eq 'fault' } @{ report('dead')->{verdicts} };
is(scalar(grep { $_ eq 'guest' } @faults), 1, 'the report has it among its faults') or diag("@faults");
is(scalar(grep { $_ eq 'workload' } @faults), 1, 'and the workload that failed');
cmp_ok(scalar(split /\n/, slurp("$dir/work")), '>=', 3, 'which ran before each sample');
stop_guest('age');
done_testing();
