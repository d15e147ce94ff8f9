#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
# What twctl says of a guest is so: dates, one after the other, and where the RTC was given one; guests that read other
# clocks than kvmclock; VMs that QEMU has stopped, or has not started yet; hosts that lack something; QEMU's main loop.
# And who is trusted meanwhile: no program that the VMM was not seen to run.
# TW_PARTS="dates base stop new years stuck unmounted programs slow back probe poll wake" takes some of it.
use strict;
use warnings;
use lib 'tests/host/lib';
use Cwd qw(getcwd);
use Test::More;
use JSON::PP;
use POSIX qw(strftime);
use Time::Local qw(timegm);
use Time::HiRes qw(time sleep);
use TwHost;

my %part = parts('dates base stop new years stuck unmounted programs slow back probe poll wake');
my $before = left_behind();

sub iso { return strftime('%Y-%m-%dT%H:%M:%SZ', gmtime $_[0]) }
sub seconds { my @t = $_[0] =~ /(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+)/ or return 0; return timegm(@t[5, 4, 3, 2], $t[1] - 1, $t[0]) }
sub guest_date { return (guest_exec($_[0], 'date', '+%s'))[1] + 0 }

# The date of the guest's RTC: that of a chip that is read by its ports, and not kvmclock's
sub rtc_date { return (guest_exec($_[0], 'sh', '-c', 'cat /sys/class/rtc/rtc0/since_epoch'))[1] + 0 }
sub uptime { return (guest_exec($_[0], 'cut', '-d ', '-f1', '/proc/uptime'))[1] + 0 }

# The guest is at a date, and so is its RTC, to 2 s, once it was asked at what host time
sub is_at {
	my ($g, $what, $date, $asked_at) = @_;
	my ($is, $rtc, $late) = (guest_date($g), rtc_date($g), host_s() - $asked_at);
	ok($is >= $date - 2 && $is <= $date + $late + 2, "$what: the guest's date is " . iso($is)) or diag('asked for ' . iso($date));
	ok(abs($rtc - $is) <= 2, "$what: and so is its RTC's") or diag(iso($rtc));
}

sub jump_to {
	my ($g, $what, $date) = @_;
	my $h = host_s();
	my ($rc, $out) = twctl('jump', '--vm', $g, iso($date));
	is($rc, 0, "$what: jump " . iso($date)) or return diag($out);
	my ($told) = $out =~ /done \d+, guest at (\S+)Z/;
	is(substr($told // '', 0, 19), substr(iso($date), 0, 19), "$what: it tells that date") or diag($out);
	is_at($g, $what, $date, $h);
	return $out;
}

if ($part{dates}) {
	my $g = 'dates';
	guest($g, '--smp', 1);
	my $day = 86400;
	my $today = int guest_date($g);
	jump_to($g, 'one date', $today + 3 * $day);
	unlike(jump_to($g, 'another after it', $today + 6 * $day), qr/leaps-ms 0/, '... and not from tick to tick, though the guest ticks since the first');
	my $p = attach($g, '--factor', 50);
	sleep 2;
	detach($p);
	jump_to($g, 'after an attachment at 50x', $today + 9 * $day);
	my ($rcs, $text) = twctl('status', '--vm', $g);
	like($text, qr/not attached\n +guest - host +\+9d |not attached\n +guest - host +\+8d 2[34]h/, 'status of a VM that is not attached: what it is ahead by') or diag($text);
	my $st = decode_json((twctl('status', '-j', '--vm', $g))[1]);
	my $shown = guest_date($g);
	ok(abs($st->{guest_minus_host_ns} / 1e9 - 9 * $day) < 600, '... with -j, too') or diag(explain($st));
	like($st->{guest_date} // '', qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, '... with the date of the guest');
	my ($dated) = $text =~ /guest's date +(\S+?)(?:\.\d+)?Z/;
	ok($dated && abs($shown - seconds($dated)) <= 4, '... which is what it shows') or diag("$text\n" . iso($shown));
	my ($told) = grep { /"event":"date"/ } split /\n/, (twctl('jump', '-j', '--vm', $g, iso($today + $day)))[1];
	ok($told && abs(seconds(substr decode_json($told)->{guest_date}, 0, 19) - $shown) <= 10, 'jump -j to a date: it tells what date it takes it to be first') or diag($told);
	my ($rc, $out) = twctl('jump', '--vm', $g, iso($today + $day));
	ok($rc == 5 && $out =~ /past the moment/, 'a date that the guest has behind it, not the host: status 5') or diag("$rc $out");
	$p = attach($g, '--policy', 'until', '--factor', 20, '--param', 'until=' . iso($today + 9 * $day + 60), '--exit-when-done');
	($rc, $out) = finish($p);
	is($rc, 0, 'until a date') or diag($out);
	my $is = guest_date($g);
	ok($is >= $today + 9 * $day + 58 && $is < $today + 9 * $day + 64, 'until a date: it is that in the guest: ' . iso($is));
	stop_guest($g);
}

if ($part{base}) {
	my $g = 'base';
	guest($g, '--smp', 1, '--qemu', '-rtc', '--qemu', 'base=2031-05-06T07:08:09,clock=host');
	my $is = guest_date($g);
	like(iso($is), qr/^2031-05-06T07:/, "-rtc base=: the guest began there: " . iso($is));
	jump_to($g, '-rtc base=', $is + 3 * 86400);
	my ($rc, $out) = twctl('jump', '--vm', $g, iso($is));
	ok($rc == 5 && $out =~ /is taken to be at 2031-05-09T.*RTC was given/, '-rtc base=: it says what date it takes it to be') or diag("$rc $out");
	jump_to($g, '-rtc base=, once more', $is + 6 * 86400);
	stop_guest($g);
}

if ($part{stop}) {
	my $g = 'waits';	# no word that is looked for
	my $pid = guest($g, '--smp', 1);
	qmp($g, '{"execute":"stop"}');
	my $was = state($pid);
	like((twctl('list'))[1], qr/stopped/, 'stopped in QEMU: list says so');
	like((twctl('status', '--vm', $g))[1], qr/stopped/, '... and status');
	my ($rc, $out) = twctl('doctor', '--vm', $g);
	ok($rc == 10 && $out =~ /^wrong +stopped /m, '... and doctor') or diag("$rc $out");
	for my $try ([ 'jump', '--vm', $g, '+1d' ], [ 'attach', '--vm', $g, '--factor', 2 ]) {
		my ($rc, $out) = twctl_within(60, @$try);
		ok($rc == 5 && $out =~ /stopped/, "$try->[0]: refused, with the fact: " . (split /\n/, $out)[0]) or diag("$rc $out");
	}
	is(state($pid)->{seq}, $was->{seq}, '... and nothing was moved');
	qmp($g, '{"execute":"cont"}');
	unlike((twctl('list'))[1], qr/stopped/, 'it goes on: list says nothing of it');
	my $p = attach($g, '--policy', 'freeze', '--vmm', 'off');
	qmp($g, '{"execute":"stop"}');
	$was = state($pid);
	for my $try ([ 'set', '--vm', $g, 'budget=1s' ], [ 'swap', '--vm', $g, '--factor', 2 ], [ 'step', '--vm', $g, '10ms' ]) {
		my ($rc, $out) = twctl_within(60, @$try);
		ok($rc == 5 && $out =~ /QEMU has stopped it; let it go on/, "$try->[0]: refused, with fact and cure: " . (split /\n/, $out)[0]) or diag("$rc $out");
	}
	is(state($pid)->{seq}, $was->{seq}, '... and nothing was moved');
	qmp($g, '{"execute":"cont"}');
	detach($p);
	stop_guest($g);

	# What it lives while it is stopped is its RTC's alone; not while it is attached: saved.t
	guest($g, '--smp', 1);
	unlike((twctl('status', '--vm', $g))[1], qr/behind/, 'not stopped: status says nothing of it');
	qmp($g, '{"execute":"stop"}');
	sleep 20;
	qmp($g, '{"execute":"cont"}');
	my ($date, $rtc, $text) = (guest_date($g), rtc_date($g), (twctl('status', '--vm', $g))[1]);
	cmp_ok($rtc - $date, '>=', 19, 'stopped for 20 s: its RTC goes on, ' . ($rtc - $date) . ' s');
	my ($m, $s) = $text =~ /guest's date +\S+, (?:(\d+)m )?(\d+)\.\d+s behind the host's/;
	ok(defined $s && abs(($m // 0) * 60 + $s - ($rtc - $date)) <= 4, '... and status says so') or diag($text);
	my ($dated) = $text =~ /guest's date +(\S+?)(?:\.\d+)?Z/;
	ok($dated && abs(seconds($dated) - $date) <= 4, "... with the date that it shows") or diag("$text\n" . iso($date));
	($rc, $out) = twctl('doctor', '--vm', $g);
	ok($rc == 10 && $out =~ /^wrong +behind .*\n.*(\n.*)?catchup/m, '... and doctor, with the cure') or diag("$rc $out");
	stop_guest($g);
}

# libvirt starts QEMU with -S, and lets it go once it has told others of it: whoever attaches then is there before the
# guest's first instruction. A VM that waits for another's state is no such
if ($part{new}) {
	my $g = 'fresh';
	my $p = spawn('tools/guest', 'start', '--name', $g, '--smp', 2, '--qemu', '-S');
	ok(wait_until(60, sub { (twctl('list'))[1] =~ /fresh/ }), 'started with -S: list has it');
	sleep 1;
	my ($rc, $out) = twctl('list', '-j');
	is(decode_json($out)->{vms}[0]{stopped}, JSON::PP::false, '... and not as one that has lost time');
	my $held = attach($g, '--factor', 20);
	ok($held, '... and it is attached before its first instruction') or kill 'TERM', $p->{pid};
	if ($held) {
		my $began = host_s();
		qmp($g, '{"execute":"cont"}');
		($rc, $out) = finish($p);
		is($rc, 0, '... it comes up') or diag($out);
		my $h = host_s();
		my $up = uptime($g);
		my $lived = host_s() - $began;
		# uptime has nothing of what came before the kernel
		ok($up > 5 * ($h - $began) && $up <= 20 * $lived + 1, sprintf '... at 20x from the first on: up for %.0f s after %.1f s', $up, $lived);
		my $off = guest_date($g) - rtc_date($g);
		ok(abs($off) <= 20, "... date and RTC agree, but for what it takes to read them: $off s");
		detach($held);
		$off = guest_date($g) - rtc_date($g);
		ok(abs($off) <= 2, "... and when it is detached: $off s");
		jump_to($g, '... and it is known to twctl', int(guest_date($g)) + 86400);
		stop_guest($g);
	} else {
		finish($p);
		run('tools/guest', 'stop', $g);
	}

	$g = 'comes';
	$p = spawn('tools/guest', 'start', '--name', $g, '--smp', 1, '--qemu', '-incoming', '--qemu', 'defer');
	ok(wait_until(60, sub { (twctl('list'))[1] =~ /comes/ }), 'started with -incoming: list has it');
	sleep 1;
	($rc, $out) = twctl_within(60, 'attach', '--vm', $g, '--factor', 2);
	ok($rc == 5 && $out =~ /stopped/, '... and it is refused: ' . (split /\n/, $out)[0]) or diag("$rc $out");
	kill 'TERM', $p->{pid};
	finish($p);
	stop_guest($g);
}

# A guest that is ahead by more than any that has lived so far: its RTC is found again where that was put into it
if ($part{years}) {
	my $g = 'years';
	my $began = spawn('tools/guest', 'start', '--name', $g, '--smp', 1, '--qemu', '-S');
	wait_until(60, sub { (twctl('list'))[1] =~ /years/ });
	sleep 1;
	my $p = attach($g, '--policy', 'start', '--vmm', 'on');
	ok($p, 'a guest that has not run yet stands') or kill 'TERM', $began->{pid};
	if ($p) {
		# While QEMU has it stopped its RTC stands, whatever its timeline does
		qmp($g, '{"execute":"cont"}');
		is((twctl('swap', '--vm', $g, '--policy', policy('ahead'), 'by=4200d'))[0], 0, '... and goes on eleven years later');
		my ($rc, $out) = finish($began);
		is($rc, 0, '... it comes up') or diag($out);
		cmp_ok(guest_date($g) - time, '>', 4199 * 86400, '... with that date');
		detach($p);
		ok(abs(guest_date($g) - rtc_date($g)) <= 2, '... detached: its RTC has them') or diag(iso(guest_date($g)), ' ', iso(rtc_date($g)));
		for my $what ('attached again', 'and once more') {
			$p = attach($g, '--factor', 20, '--vmm', 'on');
			unlike($p ? slurp($p->{file}) : 'no', qr/on host time/, "... $what: its RTC follows");
			my $was = rtc_date($g);
			sleep 2;
			my ($date, $rtc) = (guest_date($g), rtc_date($g));
			# each reading takes some of the host's time
			ok(abs($date - $rtc) <= 20 && $rtc - $was >= 38, "... $what: at its factor, " . ($rtc - $was) . ' s');
			detach($p);
			ok(abs(guest_date($g) - rtc_date($g)) <= 2, "... $what, and detached: it has the guest's date") or diag(iso(guest_date($g)), ' ', iso(rtc_date($g)));
		}
		jump_to($g, '... and it is known to twctl', int(guest_date($g)) + 86400);
		stop_guest($g);
	} else {
		finish($began);
		run('tools/guest', 'stop', $g);
	}
}

# QEMU is held by a debugger when its clocks are to be put back: a process stays and tries, which is told until it can
if ($part{stuck}) {
	my $g = 'held';
	my $pid = guest($g, '--smp', 1);
	my ($rc, $out, $tracer);
	my $trace = sub {
		$tracer = spawn('perl', '-e', 'syscall(101, 0x4206, $ARGV[0] + 0, 0, 0) < 0 and die $!; print "up\n"; $| = 1; print ""; sleep 1000', $pid);
		ok(wait_until(10, sub { (slurp($tracer->{file}) // '') =~ /up/ }), 'QEMU is traced by another process') or diag(slurp($tracer->{file}));
	};
	my $let_go = sub {
		kill 'KILL', $tracer->{pid};
		finish($tracer);
		ok(wait_until(20, sub { !@{[ glob '/run/timewarp/*.keeper' ]} }), '... and once it can, it does, and ends');
		my ($date, $rtc) = (guest_date($g), rtc_date($g));
		ok(abs($date - $rtc) <= 2, '... the RTC has the date of the guest then') or diag(iso($date), ' ', iso($rtc));
	};
	# Whoever is asked to end it says who goes on trying, and ends with 1
	my $told = sub {
		my ($what, $rc, $out) = @_;
		my ($keeper) = $out =~ /cannot put QEMU's clocks of VM \Q$pid\E-\d+ back yet: .*; process (\d+) goes on trying$/m;
		ok($rc == 1 && $keeper, "$what: status 1, and it is told who goes on trying") or diag("$rc $out");
		ok($keeper && kill(0, $keeper) && (slurp("/proc/$keeper/comm") // '') =~ /^twctl/, '... which is a process of twctl that is there');
	};
	my $p = attach($g, '--factor', 20, '--vmm', 'on');
	$trace->();
	kill 'INT', $p->{pid};
	$told->('Ctrl-C', finish($p));
	$told->('detach after it', twctl('detach', '--vm', $g));
	$let_go->();
	is((twctl('attach', '--vm', $g, '--factor', 20, '--vmm', 'on', '--pin'))[0], 0, 'attached once more');
	$trace->();
	$told->('detach', twctl('detach', '--vm', $g));
	is(state($pid)->{attached}, 0, '... and the policy has gone');
	$let_go->();

	$p = attach($g, '--factor', 20, '--vmm', 'on');
	$trace->();
	kill 'KILL', $p->{pid};
	finish($p);
	ok(wait_until(30, sub { ($rc, $out) = twctl('status', '--vm', $g); $out =~ /^ +left over +process \d+ cannot put/m }),
		'... the keeper cannot put its clocks back: status says so') or diag($out);
	ok(length(decode_json((twctl('status', '-j', '--vm', $g))[1])->{left_over} // ''), '... with -j, too');
	($rc, $out) = twctl('doctor', '--vm', $g);
	ok($rc == 10 && $out =~ /^wrong +left-over /m, '... and doctor') or diag("$rc $out");
	like((twctl('probe'))[1], qr/^left +limited +process/m, '... and probe');
	$let_go->();
	ok(wait_until(10, sub { (twctl('status', '--vm', $g))[1] !~ /left over/ }), '... and nothing is said of it any more');
	stop_guest($g);
}

# debugfs goes while a policy is attached, and with it what the kernel says of the VM: that it has gone is no reason to leave
# QEMU's clocks alone, whoever has to put them back
if ($part{unmounted}) {
	my $g = 'hidden';
	my $pid = guest($g, '--smp', 1);
	my $debugfs = '/sys/kernel/debug';
	for my $how ('INT', 'KILL') {
		my $what = $how eq 'INT' ? 'debugfs unmounted, then Ctrl-C' : 'debugfs unmounted, then SIGKILL: its keeper';
		my $p = attach($g, '--factor', 50, '--vmm', 'on');
		sleep 2;
		is((run('umount', '-R', '-l', $debugfs))[0], 0, "$what: it is unmounted");
		kill $how, $p->{pid};
		my ($rc, $out) = finish($p);
		is($rc, $how eq 'INT' ? 0 : 137, "$what: ended") or diag($out);
		ok(wait_until(20, sub { !@{[ glob '/run/timewarp/*.keeper' ]} }), "$what: no process is left that goes on trying");
		run('mount', '-t', 'debugfs', 'debugfs', $debugfs);
		is(state($pid)->{attached}, 0, "$what: detached");
		my ($date, $rtc) = (guest_date($g), rtc_date($g));
		cmp_ok($date - time, '>', 90, "$what: the guest keeps its date");
		ok(abs($date - $rtc) <= 2, "$what: and so does its RTC") or diag(iso($date), ' ', iso($rtc));
	}
	my ($rc, $out) = twctl('doctor', '--vm', $g);
	unlike($out, qr/left-over/, 'debugfs unmounted: nothing is left over');
	stop_guest($g);
}

# Bytes of a program's code that are not as in its file: where there are probes
sub probed_bytes {
	my ($pid) = @_;
	no warnings 'portable';		# of addresses of 64 bits
	my $exe = readlink "/proc/$pid/exe";
	open my $mem, '<:raw', "/proc/$pid/mem" or return -1;
	open my $file, '<:raw', "/proc/$pid/exe" or return -1;
	my $differ = 0;
	for (split /\n/, slurp("/proc/$pid/maps") // '') {
		my ($from, $to, $offset) = /^([0-9a-f]+)-([0-9a-f]+) r-xp ([0-9a-f]+) .*\Q$exe\E/ or next;
		my ($a, $b);
		sysseek $mem, hex $from, 0;
		sysseek $file, hex $offset, 0;
		my $size = hex($to) - hex $from;
		sysread($mem, $a, $size) == $size or return -1;
		# the last page of it is filled up
		my $n = sysread $file, $b, $size;
		$differ += ((substr($a, 0, $n) ^ $b) =~ tr/\0//c);
	}
	return $differ;
}

# By the program that was looked at, which is root's alone: a VMM that is a tenant's may become another one meanwhile
if ($part{programs}) {
	my $dir = '/tmp/timewarp-programs';
	my $qemu = (run('sh', '-c', 'realpath $(command -v qemu-system-x86_64)'))[1] =~ s/\n//r;
	# QEMU looks for its files beside itself
	run('sh', '-c', "mkdir -p $dir/bin $dir/other && ln -s /usr/share /usr/lib $dir && cp $qemu $dir/bin/qemu-system-x86_64 && cp $qemu $dir/other/qemu-system-x86_64");
	my $start = sub {
		local $ENV{PATH} = "$dir/bin:$ENV{PATH}";
		return guest($_[0], '--smp', 1);
	};

	chown 65534, 65534, "$dir/bin/qemu-system-x86_64";
	my $g = 'anyones';
	my $pid = $start->($g);
	my $p = attach($g, '--factor', 2);
	like($p ? slurp($p->{file}) : '', qr/clocks of the VMM on host time \(its program is not root's alone; --vmm on takes it nevertheless\)/,
		'a program that is not root\'s: its clocks stay, and it is told why');
	is(probed_bytes($pid), 0, '... and there is no probe in it');
	detach($p);
	$p = attach($g, '--factor', 2, '--vmm', 'on');
	like($p ? slurp($p->{file}) : '', qr/^twctl: the program of VM \Q$pid\E-\d+ is not root's alone; --vmm on trusts it$/m, '... --vmm on takes it, and says what that means');
	cmp_ok(probed_bytes($pid), '>', 5, '... there are probes in it then');
	detach($p);
	ok(wait_until(10, sub { probed_bytes($pid) == 0 }), '... and none once it is detached');
	stop_guest($g);
	chown 0, 0, "$dir/bin/qemu-system-x86_64";
	# What it becomes has the same code at the same places, and is none that may be probed
	chown 65534, 65534, "$dir/other/qemu-system-x86_64";

	$g = 'becomes';
	my %seen;
	for my $n (1 .. 4) {
		my %attack = (LD_PRELOAD => getcwd() . "/build/tests/host/becomes.so", BECOMES_FROM => "$dir/bin/qemu-system-x86_64",
			BECOMES_TO => "$dir/other/qemu-system-x86_64", BECOMES_AT => "$dir/at");
		@ENV{keys %attack} = values %attack;
		$pid = $start->($g);
		delete @ENV{keys %attack};
		TwHost::put("$dir/at.new", "$n\n");
		rename "$dir/at.new", "$dir/at";
		ok(wait_until(10, sub { !-e "$dir/at" }), "it becomes another program once it was looked at, $n") or next;
		my $q = twctl_spawn('attach', '--vm', $g, '--factor', 2);
		my $ended = wait_until(20, sub { (slurp($q->{file}) // '') =~ /^attached /m || waitpid($q->{pid}, 1) });
		my $became = wait_until(5, sub { (readlink("/proc/$pid/exe") // '') =~ m{/other/} });
		sleep 0.5;
		my $bytes = $became ? probed_bytes($pid) : 0;
		is($bytes, 0, "... $n: there is no probe in what it has become" . ($became ? '' : ', as it has not'));
		kill 'INT', $q->{pid};
		my ($rc, $out) = finish($q);
		is($rc, 0, "... $n: it is detached in order");
		note("$n: became " . ($became ? 'another' : 'none') . ", status $rc: $out");
		$seen{became} += $became;
		# Which check finds it depends on the moment, and none one that becomes another once it is attached
		$seen{told} += $became && $out =~ /clocks of the VMM on host time \(/;
		kill 'KILL', $pid;
		wait_until(10, sub { !kill 0, $pid });
		run('tools/guest', 'stop', $g);
	}
	ok($seen{became}, 'it did become another, ' . ($seen{became} // 0) . ' times');
	ok($seen{told}, 'it is told that its clocks stay on host time, and why, ' . ($seen{told} // 0) . ' times');

	# Its own program anew, with QEMU's clocks on guest time: the same file, and nothing of it is where it was
	$g = 'anew';
	my %anew = (LD_PRELOAD => getcwd() . "/build/tests/host/becomes.so", BECOMES_FROM => "$dir/bin/qemu-system-x86_64",
		BECOMES_TO => "$dir/bin/qemu-system-x86_64", BECOMES_AT => "$dir/at");
	@ENV{keys %anew} = values %anew;
	$pid = $start->($g);
	delete @ENV{keys %anew};
	my $q = attach($g, '--factor', 50, '--vmm', 'on');
	sleep 1;
	# Its program was closed often enough by now
	TwHost::put("$dir/at.new", "1\n");
	rename "$dir/at.new", "$dir/at";
	ok(wait_until(10, sub { (slurp("/proc/$pid/cmdline") // '') =~ /\0-machine\0none\0/ }), 'it executes its own program anew while its clocks follow');
	note('probes in it: ' . probed_bytes($pid) . ' bytes');
	sleep 1;
	my ($rc, $out) = detach($q);
	is($rc, 0, '... it is detached in order: the clocks that would be put back are gone') or diag($out);
	ok(wait_until(10, sub { probed_bytes($pid) == 0 }) && !glob('/run/timewarp/*.keeper'), '... there are no probes in it then, and no process that goes on trying');
	ok(kill(0, $pid), '... and it lives');
	kill 'KILL', $pid;
	wait_until(10, sub { !kill 0, $pid });
	run('tools/guest', 'stop', $g);
	run('rm', '-rf', $dir);
}

# No leap is longer than the clock bears that the guest goes by, whichever verb makes it
sub leaps_right {
	my ($g, $what, $span, $how) = @_;
	my ($u, $d, $r, $h) = (uptime($g), guest_date($g), rtc_date($g), host_s());
	my ($rc, $out) = $how->();
	is($rc, 0, "$what: it comes to its end") or diag($out);
	my ($u1, $d1, $r1, $took) = (uptime($g), guest_date($g), rtc_date($g), host_s() - $h);
	ok($u1 - $u >= $span - 1 && $u1 - $u < $span + 2 + $took, sprintf '%s: it is up for %.1f s more, in %.1f s of the host', $what, $u1 - $u, $took);
	ok($d1 - $d >= $span - 1 && $d1 - $d < $span + 2 + $took, sprintf '%s: its date is %d s further', $what, $d1 - $d);
	ok(abs(($r1 - $d1) - ($r - $d)) <= 2, "$what: and its RTC's agrees") or diag("$r $d, $r1 $d1");
	return $out;
}

if ($part{slow}) {
	for my $c ('hpet', 'acpi_pm', 'jiffies') {
		my $g = $c =~ s/_//r;
		guest($g, '--smp', 1, '--clocksource', $c);
		like((guest_exec($g, 'cat', '/sys/devices/system/clocksource/clocksource0/current_clocksource'))[1], qr/^$c$/, "$c: it is the guest's");
		my ($rc, $out) = twctl('doctor', '--vm', $g, '-d', '1s');
		my $reads = { hpet => qr/^clocks read: .*HPET/m, acpi_pm => qr/^clocks read: .*ACPI PM timer/m }->{$c};
		like($out, $reads, "$c: doctor -d names the clock that it reads") or diag($out) if $reads;
		# one that counts its ticks lives through each of them
		my $span = $c eq 'jiffies' ? 20 : 600;
		my $tells = { hpet => 10000, acpi_pm => 1000, jiffies => 0 }->{$c};
		$out = leaps_right($g, "$c, jump", $span, sub { twctl_within(300, 'jump', '--vm', $g, "+${span}s") });
		like($out, qr/tells: leaps-ms $tells,/, "$c: it tells how far it leaps") or diag($out);
		leaps_right($g, "$c, attach --policy jump", $span,
			sub { twctl_within(300, 'attach', '--vm', $g, '--policy', 'jump', '--param', "to=${span}s", '--exit-when-done') });
		my $p = attach($g, '--factor', 1);
		leaps_right($g, "$c, swap", $span, sub {
			twctl('swap', '--vm', $g, '--policy', 'jump', '--param', "to=${span}s");
			return twctl_within(300, 'wait', '--vm', $g, '--done');
		});
		detach($p);
		stop_guest($g);
	}
}

if ($part{back}) {
	my $g = 'back';
	my $pid = guest($g, '--smp', 1);
	my ($rc, $out) = twctl('jump', '--vm', $g, '+2h');
	is($rc, 0, 'jump +2h') or diag($out);
	my $d = guest_date($g);
	($rc, $out) = twctl('jump', '--vm', $g, '--allow-backward', '--', '-1h');
	is($rc, 0, '--allow-backward -- -1h after it') or diag($out);
	like($out, qr/its clocks stand, and who sleeps in it sleeps, 1h 0m 0s longer/, '... it says what that does to a guest');
	my $d1 = guest_date($g);
	ok($d1 - $d >= 0 && $d1 - $d < 10, "... and so it is: its date is @{[ $d1 - $d ]} s further");
	($rc, $out) = twctl('jump', '--vm', $g, '+1h');
	is($rc, 0, '+1h again') or diag($out);
	sleep 3;
	my $d2 = guest_date($g);
	cmp_ok($d2, '>', $d1 + 1, '... and its clocks go on');
	($rc, $out) = twctl('jump', '--vm', $g, '--allow-backward', '--', '-100d');
	ok($rc == 5 && $out !~ /name, mode or flags/ && $out =~ /time begins|began|before/, '-100d: refused, with its reason: ' . (split /\n/, $out)[0]) or diag("$rc $out");
	stop_guest($g);
}

# A sysctl or mount that is not as it is to be: probe has a row and a cure; attach says the same
sub lacks {
	my ($what, $row, $set, $reset, $status) = @_;
	is((run('sh', '-c', $set))[0], 0, "$what: set");
	my ($rc, $out) = twctl('probe');
	ok($out =~ /^$row\n +-> \S/m, "$what: probe has a row and a cure") or diag($out);
	if ($status) {
		($rc, $out) = twctl_within(60, 'attach', '--vm', 'probed', '--factor', 2, $status == 1 ? '--pin' : ());
		ok($rc == $status && $out !~ /-524/, "$what: attach is refused with $status: " . (split /\n/, $out)[0]) or diag("$rc $out");
	} else {
		my $p = attach('probed', '--factor', 2);
		ok($p, "$what: attach works") and detach($p);
	}
	run('sh', '-c', $reset);
}

if ($part{probe}) {
	my $jit = '/proc/sys/net/core/bpf_jit_';
	guest('probed', '--smp', 1);
	lacks('BPF JIT off', 'bpf-jit +missing .*', "echo 0 >${jit}enable", "echo 1 >${jit}enable", 3);
	my $harden = slurp("${jit}harden");
	lacks('bpf_jit_harden=2', 'bpf-jit +limited .*', "echo 2 >${jit}harden", "echo $harden >${jit}harden", 0);
	my $kptr = slurp('/proc/sys/kernel/kptr_restrict');
	lacks('kptr_restrict=2', 'kptr +limited .*', 'echo 2 >/proc/sys/kernel/kptr_restrict', "echo $kptr >/proc/sys/kernel/kptr_restrict", 0);
	lacks('no bpffs', 'bpffs +missing .*', 'mount -t tmpfs none /sys/fs/bpf', 'umount /sys/fs/bpf', 1);
	stop_guest('probed');
}

# A guest that waits without leaving KVM, as with idle=poll: to the host its vCPU never halts. By cpu-pm=on, as a guest with
# idle=poll does nothing but PAUSE, and a second of that on the emulated host takes this machine minutes
if ($part{poll}) {
	my $g = 'awake';
	my $pid = guest($g, '--smp', 1, '--qemu', '-overcommit', '--qemu', 'cpu-pm=on');
	my $p = attach($g, '--policy', 'skip-idle');
	ok($p && wait_until(40, sub { (slurp($p->{file}) // '') =~ /vCPU 0 .*exits\/s/ }), 'skip-idle on a guest that never halts: says what keeps it awake, and how often it exits')
		or diag($p ? slurp($p->{file}) : '');
	like($p ? slurp($p->{file}) : '', qr/nothing was skipped for \d+ s: vCPU 0 does not halt \(.*cpu-pm=on\)/, '... by which option of QEMU\'s that may be');
	like((twctl('status', '--vm', $g))[1], qr/^ +rate +\S+ guest seconds a host second .*, bounded by the guest/m, '... and status what bounds its rate');
	is(state($pid)->{leaps}, 0, '... and it does not leap');
	detach($p);
	$p = attach($g, '--factor', 50);
	my ($h, $up) = (host_s(), uptime($g));
	sleep 4;
	my $up1 = uptime($g);
	my $took = host_s() - $h;
	# reading it takes some of the host's time, at either end
	ok($up1 - $up > 50 * 4 && $up1 - $up <= 50 * $took + 1, sprintf '... and a factor of 50 holds: up for %.1f s more in %.2f s of the host', $up1 - $up, $took);
	detach($p);
	stop_guest($g);
}

# With a user network QEMU's main loop sleeps a second at a time. A change that a policy makes by itself wakes it where a timer
# in guest time may be due sooner now: an alarm of the RTC is not a second of the host, many of the guest, late
if ($part{wake}) {
	my $g = 'wake';
	my $pid = guest($g, '--smp', 1, '--qemu', '-nic', '--qemu', 'user,model=virtio-net-pci');
	my $p = attach($g, '--policy', policy('random'), '--param', 'seed=3', '--param', 'changes=1000000', '--param', 'shortest=50ms', '--param', 'longest=100ms', '--vmm', 'on');
	sleep 1;
	my $n = state($pid)->{changes};
	my ($rc, $out) = guest_exec($g, 'sh', '-c', 'cd /sys/class/rtc/rtc0; for i in 1 2 3; do at=$(($(cat since_epoch) + 40)); echo 0 >wakealarm; echo $at >wakealarm; '
		. 'while [ -n "$(cat wakealarm)" ]; do sleep 0.2; done; echo $(($(cat since_epoch) - at)); done');
	my @late = split ' ', $out;
	cmp_ok(state($pid)->{changes} - $n, '>', 20, 'a policy makes changes by itself: ' . (state($pid)->{changes} - $n));
	ok(@late == 3 && !grep({ $_ < 0 || $_ > 2 } @late), "... and alarms of the RTC come in time, with a user network, too: @late s late") or diag("$rc $out");
	detach($p);
	stop_guest($g);
}

same_as_before($before, 'no link, program or map is left');
done_testing();
