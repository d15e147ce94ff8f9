#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
# What check-debug concludes from what hosts say: a copy of it beside a testhost that boots nothing and says what it is told.
use strict;
use warnings;
use Cwd 'abs_path';
use File::Basename 'dirname';
use File::Path 'make_path';
use File::Temp 'tempdir';
use Test::More;

my $tree = dirname(abs_path($0)) . '/../..';
my $dir = tempdir(CLEANUP => 1);
make_path(map { "$dir/$_" } qw(tools tests/debug build kernel-patch/common kernel-patch/6.12));
system('cp', '-r', "$tree/tests/debug/lib", "$tree/tests/debug/check-debug", "$dir/tests/debug") == 0 or die;
system('cp', "$tree/tools/lib.sh", "$dir/tools") == 0 or die;

sub put {
	my ($name, $text) = @_;
	open my $f, '>', "$dir/$name" or die "$name: $!";
	print $f $text;
	close $f;
	chmod 0755, "$dir/$name";
}
put('tools/build-debug', "#!/bin/sh\nfor f; do echo 6.12.1-twdbg-\$f-0; done\n");
# Its arguments choose what it says: of the distribution's modules, or of the series'.
put('tools/testhost', <<'END');
#!/bin/sh
case " $* " in *' --stock '*) which=stock ;; *) which=series ;; esac
cat "$which.out"; cp "$which.log" build/testhost.log; exit "$(cat "$which.status")"
END
put('tools/build-kvm', "#!/bin/sh\nmkdir -p build/debug/source\n");
put('kernel-patch/common/hold.c', join '', map { "static int vm_hold_$_(struct kvm *kvm)\n{\n}\n" } 1 .. 25);

my $ends = "ok 1 - a case\n1..1\n";
my $rule = '[ 1.000000] ' . '=' x 66 . "\n";
my $uaf = "$rule\[ 1.000000] BUG: KASAN: slab-use-after-free in %s+0x1/0x2 [kvm]\n[ 1.000000] Call Trace:\n[ 1.000000]  %s+0x1/0x2 [kvm]\n$rule";
my $race = "$rule\[ 1.000000] BUG: KCSAN: data-race in %s [kvm] / %s [kvm]\n$rule";
my $off = "lockdep has switched itself off: what came after was not looked at\n";
sub of { my ($text, $fn) = @_; $text =~ s/%s/$fn/g; return $text }

# verdict FLAVOUR, SERIES_LOG, STOCK_LOG[, STATUS, OUTPUT]: check-debug's exit status and words
sub verdict {
	my ($flavour, $log, $stock, $status, $out) = @_;
	my %host = (series => [$log, $status // ($log ? 125 : 0), $out // $ends], stock => [$stock, $stock ? 125 : 0, $ends]);
	for (keys %host) {
		put("$_.log", "[ 0.500000] timewarp: command starts\n$host{$_}[0]");
		put("$_.status", $host{$_}[1]);
		put("$_.out", $host{$_}[2]);
	}
	my $said = qx(cd '$dir' && TIMEWARP_CACHE=$dir/none tests/debug/check-debug $flavour vmm 2>&1);
	return { status => $? >> 8, said => $said };
}

my $v = verdict('kasan', '', '');
is($v->{status}, 0, 'a host that says nothing passes') or diag $v->{said};
unlike($v->{said}, qr/^not ok/m, '... each of its lines');

$v = verdict('kasan', of($uaf, 'vm_hold_1'), '');
is($v->{status}, 1, 'a report that stock modules do not make fails');
like($v->{said}, qr/^# 1 x BUG: KASAN.*vm_hold_1.*\n.*involves the series; with the distribution's modules: not seen/m, '... and is shown with both');

$v = verdict('kasan', of($uaf, 'kvm_gpc_refresh') x 2, of($uaf, 'kvm_gpc_refresh'));
is($v->{status}, 0, 'a report that stock modules make too does not');
like($v->{said}, qr/^# 2 x BUG: KASAN.*\n.*no function of the series in it; with the distribution's modules: yes/m, '... and is shown as such');

$v = verdict('kasan', of($uaf, 'kvm_gpc_refresh'), '');
is($v->{status}, 1, 'a report that stock modules do not make fails wherever it is');

is(verdict('kasan', $off, $off)->{status}, 1, 'lockdep switched off fails whoever did it');

is(verdict('kcsan', of($race, 'vm_hold_2'), '')->{status}, 1, 'a race of the series fails');
is(verdict('kcsan', of($race, 'do_sys_poll'), '')->{status}, 0, 'a race elsewhere does not');

$v = verdict('kcsan', "$rule\[ 1.000000] BUG: KCSAN: data-race in hrtimer_wakeup / vm_hold_2 [kvm]\n$rule", '');
is($v->{status}, 0, "nor does one that is the kernel's own wherever it is");
like($v->{said}, qr/involves the series.*\n# +the kernel's own: each waiter/m, '... which is said with its reason');

is(verdict('kasan', '', '', 124, "testhost: time-out after 9 s\n")->{status}, 1, 'a run that came to no end fails');
is(verdict('kasan', '', '', 125, "ok 1 - a case\ntesthost: the host died while the command ran\n1..1\n")->{status}, 1, 'so does a host that died');

is(verdict('kasan', '', '', 1, "1..1\n# testhost: the host died while the command ran\nnot ok 1 - a case\n")->{status}, 1, '... and one of which a test tells');

$v = verdict('kasan', '', '', 1, "not ok 1 - a limit of time\n1..1\n");
is($v->{status}, 0, "what a test itself does not find to hold is make check's matter");
like($v->{said}, qr/^# 0 hold, 1 do not:\n# +not ok 1 - a limit of time/m, '... and is told');

like(qx(cd '$dir' && TIMEWARP_CACHE=$dir/none tests/debug/check-debug kasan fuzz 2>&1), qr/^ok \d+ - kasan, KVM fuzzer.* # SKIP/m, 'without a fuzzer its run is skipped by name');
is(system("cd '$dir' && tests/debug/check-debug nonsense 2>/dev/null") >> 8, 2, 'an unknown argument is a usage error');
done_testing();
