#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
# A VM that QEMU stops, saves, loads and moves while a policy is attached, and after one: the guest's date, its RTC and its HPET
# agree afterwards, and twctl knows the date. What does not hold is told in doc/clocks-and-limits.md, and is so.
# TW_PARTS="stop snapshot move" takes some of it.
use strict;
use warnings;
use lib 'tests/host/lib';
use Test::More;
use JSON::PP;
use POSIX qw(strftime);
use Time::Local qw(timegm);
use Time::HiRes qw(time sleep);
use TwHost;

my %part = parts('stop snapshot move');
my $before = left_behind();
my $file = "/tmp/timewarp-saved.$$";

sub iso { return strftime('%Y-%m-%dT%H:%M:%SZ', gmtime $_[0]) }
sub seconds { my @t = $_[0] =~ /(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+)/ or return 0; return timegm(@t[5, 4, 3, 2], $t[1] - 1, $t[0]) }

# In s: the date before and after, the RTC's between them, and the HPET's counter with CLOCK_MONOTONIC_RAW beside it
sub clocks {
	my ($g) = @_;
	my ($rc, $out) = guest_exec($g, 'sh', '-c', 'date +%s; cat /sys/class/rtc/rtc0/since_epoch; date +%s; coherence 20 2000 hpet mono');
	my ($d, $rtc, $d1, @rest) = split /\n/, $out;
	my ($hz) = $out =~ /^unit hpet (\d+)/m;
	my ($hpet) = $out =~ /^hpet \d+ (\d+)/m;
	my ($mono) = $out =~ /^mono \d+ (\d+)/m;
	BAIL_OUT("$g: its clocks cannot be read: $out") if $rc || !$hz || !defined $mono;
	return { date => $d, date_after => $d1, rtc => $rtc, hpet => $hpet / $hz, mono => $mono / 1e9 };
}

# They agree to 2 s, and by as much as before where they began at different times
sub agree {
	my ($g, $what, $was) = @_;
	my $c = clocks($g);
	ok($c->{rtc} >= $c->{date} - 2 && $c->{rtc} <= $c->{date_after} + 2, "$what: date and RTC agree")
		or diag(iso($c->{date}), ' and ', iso($c->{rtc}), ': ', $c->{rtc} - $c->{date}, ' s');
	my $apart = ($c->{hpet} - $was->{hpet}) - ($c->{mono} - $was->{mono});
	ok(abs($apart) <= 2, sprintf '%s: so do its HPET and its kernel\'s clock, to %.3f s', $what, $apart);
	return $c;
}

# twctl takes it to be the date that the guest shows
sub is_known {
	my ($g, $what) = @_;
	my ($text, $c) = ((twctl('status', '--vm', $g))[1], clocks($g));
	my ($dated) = $text =~ /guest's date +(\S+?)(?:\.\d+)?Z/;
	ok($dated && abs(seconds($dated) - $c->{date}) <= 4, "$what: status has the date that it shows")
		or diag("$text\n" . iso($c->{date}));
	unlike($text, qr/behind its RTC/, "$what: ... and says nothing of an RTC that is ahead");
	my $to = $c->{date} + 86400;
	my ($rc, $out) = twctl('jump', '--vm', $g, iso($to));
	my $is = clocks($g);
	ok($rc == 0 && $is->{date} >= $to - 2 && $is->{date} < $to + 60, "$what: a jump to a date arrives there: " . iso($is->{date}))
		or diag(iso($to), ": $rc $out");
	return $is;
}

sub start { return guest($_[0], '--smp', 1, '--memory', 128, '--append', 'iomem=relaxed', @_[1 .. $#_]) }

# A job of QEMU's, which is told to be over
sub job {
	my ($g, $id, $command) = @_;
	my $answer = qmp($g, $command);
	return $answer if $answer =~ /"error"/;
	my $jobs;
	wait_until(120, sub { ($jobs = qmp($g, '{"execute":"query-jobs"}')) =~ /"concluded"/ });
	qmp($g, qq({"execute":"job-dismiss","arguments":{"id":"$id"}}));
	return $jobs;
}

if ($part{stop}) {
	my $g = 'stops';
	my $pid = start($g);
	my $was = clocks($g);
	for my $jump (0, 1) {
		my $what = $jump ? 'after a jump of days' : 'at 50x';
		if ($jump) {
			my ($rc, $out) = twctl('jump', '--vm', $g, '+5d');
			is($rc, 0, 'jump +5d') or diag($out);
		}
		my $p = attach($g, '--factor', 50, '--vmm', 'on');
		sleep 1;
		my $h = agree($g, "$what, attached", $was);
		my $began = host_s();
		qmp($g, '{"execute":"stop"}');
		sleep 5;
		qmp($g, '{"execute":"cont"}');
		my $c = agree($g, "$what, stopped for 5 s", $was);
		my $gone = host_s() - $began;
		cmp_ok($c->{date} - $h->{date}, '<', 50 * ($gone - 4), "$what: it has not lived while it was stopped");
		detach($p);
		agree($g, "$what, stopped for 5 s, detached", $was);
		is_known($g, $what);
	}
	# in the midst of a jump: what it does not live is not leapt, and the jump goes on after that
	my $from = clocks($g);
	my $j = twctl_spawn('jump', '--vm', $g, '+2d');
	ok(wait_until(20, sub { (state($pid)->{leaps} // 0) > 20 }), 'a jump is under way');
	qmp($g, '{"execute":"stop"}');
	sleep 0.5;
	my $stopped_ns = state($pid)->{guest_ns};
	sleep 6;
	my $leapt_s = (state($pid)->{guest_ns} - $stopped_ns) / 1e9;
	ok($leapt_s < 10, sprintf 'stopped in the midst of it for 6 s: %.1f s went by', $leapt_s);
	qmp($g, '{"execute":"cont"}');
	my ($jump_rc, $jump_said) = finish($j);
	is($jump_rc, 0, '... and then it arrives') or diag($jump_said);
	like($jump_said, qr/is at .*; QEMU has stopped it/, '... having told what it waited for');
	cmp_ok(clocks($g)->{date} - $from->{date}, '>=', 2 * 86400 - 2, '... where it was to, by its own clock, which stood');
	agree($g, '... and there', $was);

	# and where it is detached while it is stopped
	my $p = attach($g, '--factor', 50, '--vmm', 'on');
	qmp($g, '{"execute":"stop"}');
	sleep 3;
	detach($p);
	qmp($g, '{"execute":"cont"}');
	agree($g, 'detached while it is stopped', $was);
	stop_guest($g);
}

if ($part{snapshot}) {
	my $g = 'snaps';
	start($g);
	my $was = clocks($g);
	my @made = (job($g, 'f', qq({"execute":"blockdev-create","arguments":{"job-id":"f","options":{"driver":"file","filename":"$file.qcow2","size":0}}})),
		qmp($g, qq({"execute":"blockdev-add","arguments":{"driver":"file","filename":"$file.qcow2","node-name":"file"}})),
		job($g, 'q', q({"execute":"blockdev-create","arguments":{"job-id":"q","options":{"driver":"qcow2","file":"file","size":1048576}}})),
		qmp($g, q({"execute":"blockdev-add","arguments":{"driver":"qcow2","file":"file","node-name":"snap"}})));
	unlike("@made", qr/"error"/, 'a disk for snapshots') or diag("@made");
	my $p = attach($g, '--factor', 50, '--vmm', 'on');
	sleep 1;
	my $at = clocks($g);
	my $began = host_s();
	my $saved = job($g, 's', q({"execute":"snapshot-save","arguments":{"job-id":"s","tag":"one","vmstate":"snap","devices":["snap"]}}));
	unlike($saved, qr/"error"/, 'saved while attached') or diag($saved);
	# QEMU lets kvmclock go on while it saves, without twctl too, and none of its own clocks
	my $most = 50 * (host_s() - $began) + 2;
	my $last = clocks($g);
	my $ahead = ($last->{mono} - $was->{mono}) - ($last->{hpet} - $was->{hpet});
	ok($ahead > -2 && $ahead <= $most, sprintf 'saved while attached: ahead of its HPET by what that took, at the factor: %.3f s', $ahead);
	ok(abs($last->{date} - $last->{rtc} - $ahead) <= 3, '... and of its RTC');
	sleep 3;
	$last = clocks($g);
	my $loaded = job($g, 'l', q({"execute":"snapshot-load","arguments":{"job-id":"l","tag":"one","vmstate":"snap","devices":["snap"]}}));
	unlike($loaded, qr/"error"/, 'loaded while attached') or diag($loaded);
	qmp($g, '{"execute":"cont"}');
	my $c = clocks($g);
	for ([ 'loaded while attached', $c ], [ '... and detached', undef ]) {
		my ($what, $is) = @$_;
		detach($p) if !$is;
		$is //= clocks($g);
		my $apart = ($is->{mono} - $was->{mono}) - ($is->{hpet} - $was->{hpet});
		ok(abs($apart - $ahead) <= 2 && abs($is->{date} - $is->{rtc} - $ahead) <= 3, sprintf '%s: they stand as they were saved: %.3f s', $what, $apart);
	}
	cmp_ok($c->{mono} - $at->{mono}, '<', $last->{mono} - $at->{mono}, '... and it is back where it was saved');
	stop_guest($g);
	unlink "$file.qcow2";
}

# To a file, and from there into another QEMU, some seconds later
sub move {
	my ($g, $seconds, $detach) = @_;
	save_to_file($g, $file);
	detach($detach) if $detach;
	stop_guest($g);
	sleep $seconds;
	start($g, '--qemu', '-incoming', '--qemu', "exec:cat $file");
	unlink $file;
}

if ($part{move}) {
	my $g = 'moves';
	start($g);
	my $was = clocks($g);
	my ($rc, $out) = twctl('jump', '--vm', $g, '+5d');
	is($rc, 0, 'jump +5d') or diag($out);
	my $p = attach($g, '--factor', 50, '--vmm', 'on');
	sleep 1;
	detach($p);
	my $h = agree($g, 'before', $was);
	move($g, 12);
	my $c = clocks($g);
	cmp_ok($c->{date}, '>=', $h->{date}, 'moved: its date is what it was, or later');
	ok(abs(($c->{hpet} - $was->{hpet}) - ($c->{mono} - $was->{mono})) <= 2, 'moved: its HPET and its kernel\'s clock agree');
	# QEMU's RTC goes on while nobody runs, at the host's rate, as it does without twctl
	ok($c->{rtc} >= $c->{date} - 2 && $c->{rtc} < $c->{date} + 60, 'moved: its RTC has what it was ahead by') or diag(iso($c->{date}), ' ', iso($c->{rtc}));

	# and that it is behind by what it was in the file, twctl knows
	my ($behind, $text) = ($c->{rtc} - $c->{date}, (twctl('status', '--vm', $g))[1]);
	cmp_ok($behind, '>=', 11, "kept in a file for 12 s: its date is behind, $behind s");
	my ($m, $s) = $text =~ /guest's date +\S+, (?:(\d+)m )?(\d+)\.\d+s behind its RTC's/;
	ok(defined $s && abs(($m // 0) * 60 + $s - $behind) <= 3, '... and status says so') or diag($text);
	my ($dated) = $text =~ /guest's date +(\S+?)(?:\.\d+)?Z/;
	$c = clocks($g);
	ok($dated && abs(seconds($dated) - $c->{date}) <= 6, '... with the date that it shows') or diag("$text\n", iso($c->{date}));
	($rc, $out) = twctl('doctor', '--vm', $g);
	ok($rc == 10 && $out =~ /^wrong +behind .* behind its RTC's\n.*(\n.*)?catchup/m, '... and doctor, with the cure') or diag("$rc $out");
	my $give_up = $behind > 55 ? 2 * $behind : 60;
	($rc, $out) = twctl_within(300, 'attach', '--vm', $g, '--vmm', 'off', '--policy', 'catchup', '--exit-when-done', '--param', "behind=${behind}s", '--param', "give_up=${give_up}s");
	is($rc, 0, '... which is followed') or diag($out);
	$c = clocks($g);
	ok(abs($c->{rtc} - $c->{date}) <= 2, '... and cures it') or diag(iso($c->{date}), ' ', iso($c->{rtc}));
	unlike((twctl('doctor', '--vm', $g))[1], qr/^wrong +behind/m, '... of which doctor says nothing any more');

	# as doc/clocks-and-limits.md has it: detach first
	my $lead = 50 * 2;
	$p = attach($g, '--factor', 50, '--vmm', 'on');
	sleep 3;
	$c = clocks($g);
	my $rtc_was = $c->{rtc} - $c->{date};
	move($g, 0, $p);
	$c = clocks($g);
	cmp_ok($c->{date} - $c->{rtc} + $rtc_was, '>', $lead, 'moved while attached: its RTC lacks what it was ahead by, which is told before: '
		. ($c->{date} - $c->{rtc}) . ' s');
	stop_guest($g);
}

same_as_before($before, 'no link, program or map is left');
done_testing();
