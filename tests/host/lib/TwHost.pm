# SPDX-License-Identifier: GPL-2.0
# What the tests that run on a test host share: guests, twctl, the kernel's trace, the model.
#
# The tests run as root from the project's root. A guest that one of them starts stays up for
# the next; what a test attaches it detaches again.
package TwHost;
use strict;
use warnings;
no warnings 'portable';
use Exporter 'import';
use IPC::Open2;
use IPC::Open3;
use Symbol 'gensym';
use Test::More;
use Time::HiRes qw(sleep clock_gettime CLOCK_MONOTONIC_RAW);

our @EXPORT = qw(
	guest guest_exec guest_spawn finish stop_guest host_s
	spawn twctl twctl_within twctl_spawn attach detach state until_state policy
	trace_begin trace_end segments marks
	model_tsc model_ns segment_of pv_scale sub64 add64
	samples_of page_steps steps continuous
	rtc_guest rtc_ticks
	left_behind same_as_before wait_until run slurp qmp save_to_file
	chosen parts @guests
);

my $twctl = $ENV{TWCTL} // 'build/twctl';
my $tracing = '/sys/kernel/tracing';
my $instance = "$tracing/instances/timewarp-test";

# The matrix: one and two vCPUs, both clocksources. TW_GUESTS="k1 t2" takes some of them.
my %kinds = (
	k1 => [ '--smp', 1, '--clocksource', 'kvm-clock' ],
	k2 => [ '--smp', 2, '--clocksource', 'kvm-clock' ],
	t1 => [ '--smp', 1, '--clocksource', 'tsc' ],
	t2 => [ '--smp', 2, '--clocksource', 'tsc' ],
);
our @guests = chosen('TW_GUESTS', 'k1 k2 t1 t2');

# chosen(VARIABLE, ALL): the words of that variable of the environment; of one without any, those of ALL. A test of nothing
# would pass.
sub chosen {
	my ($variable, $all) = @_;
	my @words = split ' ', $ENV{$variable} // '';
	return @words ? @words : split ' ', $all;
}

# parts(ALL): those of a test that are to run, as keys: all of them, or those in TW_PARTS. One that the test does not have
# is an error.
sub parts {
	my ($all) = @_;
	my %all = map { $_ => 1 } split ' ', $all;
	my @wanted = chosen('TW_PARTS', $all);
	my @no = grep { !$all{$_} } @wanted;
	die "TW_PARTS: no part of this test: @no; it has: @{[sort keys %all]}\n" if @no;
	return map { $_ => 1 } @wanted;
}

sub slurp {
	my ($file) = @_;
	open my $f, '<', $file or return undef;
	local $/;
	return scalar <$f>;
}

# ---- processes

# What runs in the background ends with the test that started it, however that ends.
my %live;
my $me = $$;

END {
	if ($$ == $me && %live) {
		my $status = $?;
		kill 'TERM', keys %live;
		waitpid $_, 0 for keys %live;
		$? = $status;
	}
}

# spawn(COMMAND...): a process, its output collected in a file.
sub spawn {
	my @cmd = @_;
	printf STDERR "# %.3f %s\n", host_s(), join " ", map { length > 60 ? substr($_, 0, 60) : $_ } @cmd if $ENV{TW_DEBUG};
	my $file = sprintf '/tmp/tw-%d-%d', $$, ++our $spawned;
	my $pid = fork // die "fork: $!";
	if (!$pid) {
		open STDIN, '<', '/dev/null';
		open STDOUT, '>', $file or die "$file: $!";
		open STDERR, '>&', \*STDOUT;
		exec @cmd or die "$cmd[0]: $!";
	}
	$live{$pid} = 1;
	return { pid => $pid, file => $file, cmd => "@cmd" };
}

# finish(PROCESS): wait for it; returns (status, output). A signal's status is 128 + its number.
sub finish {
	my ($p) = @_;
	if (defined $p->{pid}) {
		waitpid $p->{pid}, 0;
		delete $live{ $p->{pid} };
		$p->{status} = $? & 127 ? 128 + ($? & 127) : $? >> 8;
		$p->{out} = slurp($p->{file});
		unlink $p->{file};
		delete $p->{pid};
	}
	return ($p->{status}, $p->{out});
}

sub run { return finish(spawn(@_)) }

# wait_until(SECONDS, SUB): whether SUB came true in that time.
sub wait_until {
	my ($seconds, $sub) = @_;
	my $end = host_s() + $seconds;
	until ($sub->()) {
		return 0 if host_s() > $end;
		sleep 0.02;
	}
	return 1;
}

sub host_s { return clock_gettime(CLOCK_MONOTONIC_RAW) }

# ---- guests

# guest(NAME[, OPTION...]): its PID; started if it does not run yet.
sub guest {
	my ($name, @opt) = @_;
	my ($rc, $list) = run('tools/guest', 'list');
	return $1 if $list =~ /^\Q$name\E\t(\d+)$/m;
	@opt = @{ $kinds{$name} } if !@opt && $kinds{$name};
	my ($status, $out) = run('tools/guest', 'start', '--name', $name, @opt);
	if ($status) {
		diag($out);
		BAIL_OUT("guest $name did not start");
	}
	guest_exec($name, 'sh', '-c', 'insmod /lib/modules/msr.ko; echo 2 >/proc/sys/kernel/printk');
	return $out =~ /(\d+)\s*$/ ? $1 : die $out;
}

sub guest_exec { return run('tools/guest', 'exec', shift, '--', @_) }
sub guest_spawn { return spawn('tools/guest', 'exec', shift, '--', @_) }
sub stop_guest { return run('tools/guest', 'stop', shift) }

# rtc_guest(NAME, DRIFTFIX[, OPTION of QEMU...]): { pid, in, out, up } of a QEMU that runs tests/trace/rtc-guest.S, which
# takes ticks of the RTC, once rtc_ticks() asks it to. Not one of tools/guest's: the caller kills it.
# QEMU's main loop, whose timer the RTC is, runs before any vCPU: a tick that it comes too late for is not raised at all,
# and that is one more which the guest lacks and KVM has never seen.
# From here on khugepaged rests: it copies 2 MB at a time, on Debian's kernel without a point at which it can be preempted,
# and two ticks of each three are lost for as long as it goes on.
sub rtc_guest {
	my ($name, $fix, @opt) = @_;
	put('/sys/kernel/mm/transparent_hugepage/enabled', "never\n");
	my %p = (up => '');
	@opt = qw(-cpu host -machine pc) if !@opt;
	$p{pid} = open2($p{out}, $p{in}, qw(qemu-system-x86_64 -accel kvm -m 16 -nodefaults -display none -serial stdio), @opt,
		'-name', $name, '-rtc', "base=utc,driftfix=$fix", '-drive', 'format=raw,if=ide,snapshot=on,file=build/tests/trace/rtc-guest.img');
	$p{in}->autoflush(1);
	read $p{out}, $p{up}, 1;
	run('chrt', '--fifo', '--pid', 1, $p{pid});	# of that one thread
	return \%p;
}

# rtc_ticks(GUEST[, HZ]), of 1024 a second or another power of 2: ticks taken in all; in the part in which 20 fall due
# with interrupts off; TSC ticks of that part; TSC ticks of 64 periods
sub rtc_ticks {
	my ($p, $hz) = @_;
	my $rate = 16;
	$rate-- while 1 << 16 - $rate < ($hz // 1024);
	print { $p->{in} } chr(0x40 | $rate);
	return map { hex } split ' ', readline($p->{out}) // '';
}

# qmp(NAME, COMMAND...): QEMU's answer to the last command, a line of JSON. NAME is a guest of tools/guest, or the path of a socket.
sub qmp {
	my ($name, @commands) = @_;
	require IO::Socket::UNIX;
	my $socket = $name =~ m{/} ? $name : (run('tools/guest', 'dir', $name))[1] =~ s/\n//r . '/qmp';
	my $s = IO::Socket::UNIX->new(Peer => $socket) or die "$socket: $!";
	my $answer = <$s>;
	for my $c ('{"execute":"qmp_capabilities"}', @commands) {
		print $s "$c\n";
		do { $answer = <$s> // die "QMP: no answer to $c" } until $answer =~ /"(return|error)"/;
	}
	return $answer;
}

# save_to_file(NAME as of qmp, FILE): the guest, which stands from then on
sub save_to_file {
	my ($name, $file) = @_;
	qmp($name, qq({"execute":"migrate","arguments":{"uri":"exec:cat >$file"}}));
	my $done = wait_until(120, sub { qmp($name, '{"execute":"query-migrate"}') =~ /"status": ?"completed"/ });
	return ok($done, 'it is in a file') || diag(qmp($name, '{"execute":"query-migrate"}'));
}

# ---- twctl and the state file

sub twctl { return run($twctl, @_) }
sub twctl_within { return run('timeout', shift, $twctl, @_) }
sub twctl_spawn { return spawn($twctl, @_) }
sub policy { return "build/tests/policies/$_[0].bpf.o" }

# attach(VM, OPTION...): attaches in the background; returns once the kernel says so, or it failed.
sub attach {
	my ($vm, @opt) = @_;
	my $p = twctl_spawn('attach', '--vm', $vm, @opt);
	my $up = wait_until(20, sub {
		return 1 if (slurp($p->{file}) // '') =~ /^attached /m;
		return waitpid($p->{pid}, 1) != 0;
	});
	return $p if $up && (slurp($p->{file}) // '') =~ /^attached /m;
	diag("twctl attach --vm $vm @opt: " . (slurp($p->{file}) // ''));
	return undef;
}

# detach(PROCESS of attach): as Ctrl-C would.
sub detach {
	my ($p) = @_;
	return (-1, '') if !$p;
	kill 'INT', $p->{pid};
	return finish($p);
}

# state(PID): the VM's state file as a hash.
sub state {
	my ($pid) = @_;
	my ($file) = glob "/sys/kernel/debug/kvm/$pid-*/timewarp";
	my $text = $file ? slurp($file) : undef;
	return undef if !defined $text;
	return { map { /^(\S+) (.*)$/ ? ($1 => $2) : () } split /\n/, $text };
}

sub until_state {
	my ($pid, $key, $value, $seconds) = @_;
	return wait_until($seconds // 10, sub { my $s = state($pid); $s && $s->{$key} eq $value });
}

# ---- the kernel's trace: guests' marks and timewarp's segments, dated by the host's TSC

sub put {
	my ($file, $text) = @_;
	open my $f, '>', $file or die "$file: $!";
	print $f $text;
	close $f or die "$file: $!";
}

sub trace_begin {
	mkdir $instance if !-d $instance;
	put("$instance/tracing_on", 0);
	put("$instance/trace_clock", 'x86-tsc');
	put("$instance/buffer_size_kb", 16384);
	put("$instance/trace", '');
	put("$instance/events/kvm/kvm_hypercall/filter", 'nr == 0x7477');
	put("$instance/events/kvm/kvm_hypercall/enable", 1);
	for my $e (qw(segment clamp exit)) {
		put("$instance/events/kvm/kvm_timewarp_$e/enable", 1) if -d "$instance/events/kvm/kvm_timewarp_$e";
	}
	put("$instance/tracing_on", 1);
}

# trace_end(): { marks => { number => host TSC }, segments => [ {...} ] }, and the trace is gone.
sub trace_end {
	my %t = (marks => {}, segments => [], lost => 0, text => []);
	put("$instance/tracing_on", 0);
	open my $f, '<', "$instance/trace" or die "$instance/trace: $!";
	while (<$f>) {
		if (/\s(\d+): kvm_hypercall: nr 0x7477 a0 (0x[0-9a-f]+)/) {
			$t{marks}{ hex $2 } = $1;
		} elsif (/: kvm_timewarp_segment: pid (\d+) seq (\d+) (\w+) (\w+) (.*)/) {
			my %s = (pid => $1, seq => $2, change => $3, mode => $4);
			my @rest = split ' ', $5;
			while (my ($k, $v) = splice @rest, 0, 2) { $s{$k} = $v }
			push @{ $t{segments} }, \%s;
		} elsif (/: kvm_timewarp_/) {
			push @{ $t{text} }, $_;
		} elsif (/LOST (\d+) EVENTS/) {
			$t{lost} += $1;
		}
	}
	close $f;
	rmdir $instance;
	return \%t;
}

# ---- the model: written from the state file's description, in 64 x 64 -> 128 bits

my $M = 0xffffffff;

# mul_shr(A, B, S): (A * B) >> S, modulo 2^64
sub mul_shr {
	my ($a, $b, $s) = @_;
	my ($a1, $a0, $b1, $b0) = ($a >> 32, $a & $M, $b >> 32, $b & $M);
	my ($p00, $p01, $p10) = ($a0 * $b0, $a0 * $b1, $a1 * $b0);
	my $mid = ($p00 >> 32) + ($p01 & $M) + ($p10 & $M);
	my $lo = ($mid & $M) << 32 | ($p00 & $M);
	my $hi = add64($a1 * $b1, ($p01 >> 32) + ($p10 >> 32) + ($mid >> 32));
	return $s == 0 ? $lo : $s >= 64 ? $hi >> ($s - 64) : $hi << (64 - $s) | $lo >> $s;
}

sub add64 { my ($a, $b) = @_; my $r; { use integer; $r = $a + $b } return $r & ~0 }

# The signed difference of two numbers that wrap
sub sub64 { my ($a, $b) = @_; use integer; return $a - $b }

sub pv_scale {
	my ($delta, $mul, $shift) = @_;
	$delta = $shift < 0 ? $delta >> -$shift : $delta << $shift;
	return mul_shr($delta, $mul, 32);
}

# model_tsc(SEGMENT, HOST TSC): the guest's TSC then
sub model_tsc {
	my ($s, $host_tsc) = @_;
	return add64(mul_shr($host_tsc, $s->{tsc_ratio}, $s->{frac_bits}), $s->{tsc_offset});
}

# model_ns(SEGMENT, GUEST TSC): guest time there
sub model_ns {
	my ($s, $tsc) = @_;
	return add64($s->{pv_ns}, pv_scale(sub64($tsc, $s->{pv_tsc}) & ~0, $s->{pv_mul}, $s->{pv_shift}));
}

# segment_of(SEGMENTS, GUEST TSC): the one that the guest was in when its TSC showed that, or undef.
sub segment_of {
	my ($segments, $tsc) = @_;
	my $found;
	for my $s (@$segments) {
		$s->{from_tsc} //= model_tsc($s, $s->{host_tsc});
		last if sub64($tsc, $s->{from_tsc}) < 0;
		$found = $s;
	}
	return $found;
}

# ---- kvmclock's pages

# samples_of(OUTPUT of the guest's agree): a hash each, which does for model_ns() too
sub samples_of {
	my ($out) = @_;
	my @keys = qw(cpu mark before tsc ns pv_tsc pv_ns pv_mul pv_shift flags);
	my @s;
	for (split /\n/, $out) {
		my @f = split ' ';
		my %s;
		next if @f != @keys;
		@s{@keys} = @f;
		push @s, \%s;
	}
	return @s;
}

# page_steps(SEGMENT, kvmclock_offset, SAMPLES of unattached pages): by how many ns the segment's start,
# an attach or a detach, moves kvmclock. Unattached, kvmclock is what the page says.
sub page_steps {
	my ($seg, $offset, @s) = @_;
	my $at = model_tsc($seg, $seg->{host_tsc});
	my $here = add64($seg->{guest_ns}, $offset);
	my @off = map { sub64(model_ns($_, $at), $here) } @s;
	return map { $seg->{change} eq 'stop' ? $_ : -$_ } @off;
}

# steps(SEGMENTS, kvmclock_offset before, after): by how much each change moves the TSC, and by how many
# ns kvmclock: two lists. A detach hands the guest's lead over to kvmclock_offset, which the trace does
# not show: where there are several, all of them together have moved it by what the last number says.
sub steps {
	my ($segments, $offset0, $offset1) = @_;
	my (@tsc, @ns, $stops);
	my $handed = $offset1 - $offset0;
	for my $i (1 .. $#$segments) {
		my ($a, $b) = @$segments[$i - 1, $i];
		my $at = model_tsc($a, $b->{host_tsc});
		my $ns = sub64($b->{guest_ns}, model_ns($a, $at));
		# Between a detach and the next attach nothing is warped, and nothing here to compare.
		next if $b->{change} eq 'start';
		push @tsc, sub64(model_tsc($b, $b->{host_tsc}), $at);
		if ($b->{change} eq 'stop') {
			$handed += $ns;
			$stops++;
		} else {
			push @ns, $ns;
		}
	}
	# Each of them may take 2 ns
	push @ns, $stops && $handed >= 0 && $handed <= 2 * $stops ? $handed / $stops : $handed if $stops;
	return (\@tsc, \@ns);
}

# What a sub does to a guest that is not attached, and not attached when it returns, moves kvmclock by
# 0 to 2 ns at each change, and the TSC by nothing.
sub continuous {
	my ($g, $pid, $what, $sub) = @_;
	trace_begin();
	my @before = samples_of((guest_exec($g, 'agree', 8))[1]);
	my $offset = state($pid)->{kvmclock_offset};
	$sub->();
	my $s = state($pid);
	my @after = samples_of((guest_exec($g, 'agree', 8))[1]);
	my $t = trace_end();
	my @segments = grep { $_->{pid} == $pid } @{ $t->{segments} };
	return ok(0, "$g: $what: continuous (no segments seen)") if @segments < 2;
	my ($tsc, $ns) = steps(\@segments, $offset, $s->{kvmclock_offset});
	push @$ns, page_steps($segments[0], $offset, @before), page_steps($segments[-1], $s->{kvmclock_offset}, @after);
	my @bad = grep { $_ < 0 || $_ > 2 } @$ns;
	ok(@before && @after && !@bad && !grep({ $_ } @$tsc), "$g: $what: continuous to 2 ns, " . @segments . ' segments')
		or diag("kvmclock: @bad; TSC: @$tsc; samples " . @before . ' ' . @after);
	is($s->{attached} . ' ' . $s->{factor_force}, '0 1/1', "$g: $what: rate 1 afterwards");
	return $s;
}

# ---- what must not be left behind

# bpf(2): how many objects of a kind the kernel holds. bpftool would take a second for each.
my %next_id = (prog => 11, map => 12, link => 31);

sub count_bpf {
	my ($what) = @_;
	my ($id, $n) = (0, 0);
	for (;;) {
		my $attr = pack 'L3 x116', $id, 0, 0;
		return $n if syscall(321, $next_id{$what}, $attr, length $attr) < 0;
		$id = (unpack 'L3', $attr)[1];
		$n++;
	}
}

sub left_behind {
	my %n = map { $_ => count_bpf($_) } qw(link prog map);
	$n{pins} = () = glob '/sys/fs/bpf/timewarp/*';
	$n{kvm} = slurp('/sys/module/kvm/parameters/timewarp');
	chomp $n{kvm};
	return \%n;
}

# The kernel frees programs and maps a grace period after their last user.
sub same_as_before {
	my ($before, $name) = @_;
	my $now;
	wait_until(5, sub {
		$now = left_behind();
		return "@$now{sort keys %$now}" eq "@$before{sort keys %$before}";
	});
	return is_deeply($now, $before, $name);
}

1;
