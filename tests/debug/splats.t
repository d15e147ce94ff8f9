#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
# What check-debug makes of a kernel's log: which reports there are, which are the series', which are the same again.
use strict;
use warnings;
use Cwd 'abs_path';
use File::Basename 'dirname';
use File::Temp 'tempdir';
use Test::More;

my $tree;
BEGIN { $tree = dirname(abs_path($0)) . '/../..'; unshift @INC, "$tree/tests/debug/lib" }
use TwSplats;

my $mark = "[   10.000000] timewarp: command starts\n";

# stamp TEXT: as dmesg shows it
sub stamp { return join '', map { "[   12.345678] $_\n" } split /\n/, $_[0] }

my $assertion = stamp(<<'END');
------------[ cut here ]------------
WARNING: CPU: 1 PID: 17 at arch/x86/kvm/timeline.c:1030 timeline_change_fn+0x1203/0x3840 [kvm]
Modules linked in: kvm_amd kvm
RIP: 0010:timeline_change_fn+0x1203/0x3840 [kvm]
Call Trace:
 <TASK>
 process_one_work+0x8c8/0x1900
 worker_thread+0x5c6/0x1120
 </TASK>
---[ end trace 0000000000000000 ]---
END
my $xen = stamp(<<'END');
=============================
[ BUG: Invalid wait context ]
6.12.117-twdbg-kasan #1 Not tainted
-----------------------------
storm/91 is trying to lock:
ffff88810b420000 (&gpc->lock){....}-{3:3}, at: kvm_xen_set_evtchn_fast+0x208/0xcd0 [kvm]
Call Trace:
 kvm_xen_set_evtchn_fast+0x208/0xcd0 [kvm]
 __hrtimer_run_queues+0x17e/0x9a0
END
my $race = stamp(<<'END');
==================================================================
BUG: KCSAN: data-race in kvm_timeline_read / timeline_install

write to 0xffff888105c1a2b0 of 8 bytes by task 231 on cpu 2:
 timeline_install+0x10/0x40 [kvm]
 kvm_vcpu_ioctl+0x123/0x400 [kvm]

read to 0xffff888105c1a2b0 of 8 bytes by task 232 on cpu 0:
 kvm_timeline_read+0x20/0x60 [kvm]

value changed: 0x0000000000000001 -> 0x0000000000000002
==================================================================
END
my $foreign_race = stamp(<<'END');
==================================================================
BUG: KCSAN: data-race in do_sys_poll / pollwake

write to 0xffffc90000b1fbb0 of 4 bytes by interrupt on cpu 1:
 pollwake+0x10/0x40
read to 0xffffc90000b1fbb0 of 4 bytes by task 232 on cpu 0:
 do_sys_poll+0x20/0x60
value changed: 0x00000000 -> 0x00000001
==================================================================
END
my $uaf = stamp(<<'END');
==================================================================
BUG: KASAN: slab-use-after-free in kvm_gpc_refresh+0x1c/0x90 [kvm]
Write of size 8 at addr ffff88810b420000 by task kworker/1:2/77
CPU: 1 UID: 0 PID: 77 Comm: kworker/1:2
Call Trace:
 kvm_gpc_refresh+0x1c/0x90 [kvm]
==================================================================
Disabling lock debugging due to kernel taint
END
my $leak = stamp('kmemleak: 2 new suspected memory leaks (see /sys/kernel/debug/kmemleak)') . <<'END';
unreferenced object 0xffff888103a7c000 (size 512):
  comm "twctl", pid 301, jiffies 4294951234
  backtrace (crc 1f2e3d4c):
    __kmalloc_cache_noprof+0x2a1/0x330
    timewarp_attach+0x51/0x320 [kvm]
unreferenced object 0xffff888103a7d000 (size 512):
  comm "twctl", pid 302, jiffies 4294951235
  backtrace (crc 1f2e3d4d):
    __kmalloc_cache_noprof+0x2a1/0x330
    timewarp_attach+0x51/0x320 [kvm]
END

my @none = splats(stamp('kvm_amd: Nested Paging enabled') . $assertion . $mark . stamp("kvm: module verification\nsh (12): drop_caches: 3"));
is(scalar @none, 0, 'what the log says before the command starts, and plain lines after it, are no reports');

my %case = (
	'a failed assertion of lockdep' => [$assertion, 'WARNING', 'other'],
	'a lock that lockdep objects to' => [$xen, 'Invalid wait context', 'lockdep'],
	'a race' => [$race, 'KCSAN: data-race in kvm_timeline_read', 'KCSAN'],
	'a use after free' => [$uaf, 'KASAN: slab-use-after-free', 'KASAN'],
	'a freed object that is active' => [stamp("------------[ cut here ]------------\nODEBUG: free active (active state 0) object: 000000006d2a7c28 object type: hrtimer hint: x+0x0/0x10\nWARNING: CPU: 0 PID: 1 at lib/debugobjects.c:514 debug_print_object+0x1/0x2\n---[ end trace 0000000000000000 ]---"), 'ODEBUG', 'ODEBUG'],
	'a sleep where none may be' => [stamp("BUG: sleeping function called from invalid context at kernel/locking/mutex.c:585\nin_atomic(): 1\nCall Trace:\n mutex_lock+0x1/0x2"), 'sleeping function', 'other'],
	'a shift out of range' => [stamp("UBSAN: shift-out-of-bounds in arch/x86/kvm/timeline.c:40:3\nshift exponent 64 is too large\nCall Trace:\n x+0x1/0x2"), 'UBSAN', 'UBSAN'],
	'a task that hangs' => [stamp("INFO: task twctl:88 blocked for more than 120 seconds.\n      Not tainted\nCall Trace:\n x+0x1/0x2"), 'INFO: task', 'other'],
	'lockdep that is off' => ["lockdep has switched itself off: what came after was not looked at\n", 'lockdep has switched', 'lockdep'],
	'a stack that nobody named' => [stamp("Call Trace:\n x+0x1/0x2"), 'stack without', 'other'],
);
for my $what (sort keys %case) {
	my ($log, $title, $kind) = @{$case{$what}};
	my @got = splats($mark . stamp('kvm: a word before') . $log);
	is(scalar @got, 1, "$what is one report");
	like($got[0]{title}, qr/\Q$title\E/, "$what: its title says what it is");
	is($got[0]{kind}, $kind, "$what: its kind is $kind");
}

my @several = splats($mark . $race . $foreign_race . $uaf . $assertion . $xen);
is(scalar @several, 5, 'reports that follow each other are told apart');

my @leaks = splats($mark . $leak);
is(scalar @leaks, 3, 'each lost object is a report, and so is the line that counts them');
is($leaks[1]{signature}, $leaks[2]{signature}, 'two objects lost at one place have one signature');

(my $again = $uaf) =~ s/ffff88810b420000/ffff888102222222/g;
$again =~ s{kworker/1:2/77}{kworker/0:1/5};
$again =~ s/\+0x1c\/0x90/+0x2d\/0xa0/g;
is((splats($mark . $again))[0]{signature}, (splats($mark . $uaf))[0]{signature}, 'another boot, another build: the same fault has the same signature');
isnt((splats($mark . $race))[0]{signature}, (splats($mark . $foreign_race))[0]{signature}, 'two races have two signatures');

my $dir = tempdir(CLEANUP => 1);
mkdir "$dir/kernel-patch";
mkdir "$dir/kernel-patch/$_" for qw(common 6.12);
sub put { open my $f, '>', "$dir/kernel-patch/$_[0]" or die; print $f $_[1] }
put('common/hold.c', "static int vm_hold(struct kvm *kvm,\n\t\tu64 ns)\n{\n\tcall_me(kvm);\n}\nvoid declared_only(void);\n");
put('6.12/0001-xen.patch', "--- a/x.c\n+++ b/x.c\n\@\@ -1,3 +1,4 \@\@ static void hooked_one(struct kvm *kvm)\n \tx();\n+\ty();\n"
	. "\@\@ -9,3 +10,4 \@\@ out:\n-static void longer_now(int a)\n+static void longer_now(int a, int b)\n+static void new_one(int a)\n");
my $ours = our_functions($dir, '6.12');
is_deeply($ours, { hooked_one => 'hooked', vm_hold => 'defined', longer_now => 'hooked', new_one => 'defined' },
	'ours are the functions that common/ and the hooks define; what the hooks change is known as such');

sub report { return (splats($mark . stamp("BUG: KASAN: x in $_[0]\nCall Trace:\n $_[0]+0x1/0x2 [kvm]")))[0] }
ok(is_ours(report('vm_hold'), $ours), 'a report from a function of ours is ours');
ok(is_ours(report('vm_hold.isra.0'), $ours), '... also when the compiler has cut it up');
ok(is_ours(report('hooked_one'), $ours), 'a report from a function with a hook is ours');
ok(!is_ours(report('kvm_gpc_refresh'), $ours), 'a report from any other is not');
ok(is_ours((splats($mark . $race))[0], $ours), 'a race of the timeline is ours');
ok(!is_ours((splats($mark . $foreign_race))[0], $ours), 'a race of poll() is not');

# Two accesses of KVM's, in a function with a hook and below one; the series has line 2 of x.c.
my $upstream = (splats($mark . stamp(<<'END')))[0];
==================================================================
BUG: KCSAN: data-race in hooked_one [kvm] / kvm_make_vcpu_request [kvm]

write to 0xffff888105c1a2b0 of 8 bytes by task 231 on cpu 2:
 hooked_one+0x10/0x40 [kvm]
 kvm_vcpu_ioctl+0x123/0x400 [kvm]

read to 0xffff888105c1a2b0 of 8 bytes by interrupt on cpu 0:
 __list_del_entry_valid+0x20/0x60
 kvm_make_vcpu_request+0x7/0x60 [kvm_amd]
 hooked_one+0x20/0x40 [kvm]

value changed: 0x0000000000000001 -> 0x0000000000000002
==================================================================
END
is_deeply([accesses($upstream)], [{ fn => 'hooked_one', offset => 16, size => 64, module => 'kvm' },
	{ fn => 'kvm_make_vcpu_request', offset => 7, size => 96, module => 'kvm_amd' }], "a race's two accesses are where KVM's code makes them");
is_deeply([accesses((splats($mark . $foreign_race))[0])], [], '... and one between others has none');
mkdir "$dir/$_" for qw(a a/virt b b/virt);
sub source { open my $f, '>', "$dir/$_[0]" or die; print $f $_[1] }
source('a/virt/x.c', "one\nthree\n");
source('b/virt/x.c', "one\ntwo\nthree\n");
source('b/virt/new.h', "one\n");
my $series = series_lines("$dir/a", "$dir/b");
is_deeply($series, { 'virt/x.c' => { 2 => 1 }, 'virt/new.h' => { 1 => 1 } }, "the series' lines are those that the source without it has not");
sub race_at { return is_ours($upstream, $ours, $series, map { [['/build/arch/x86/kvm/../../../virt/x.c', $_]] } @_) }
ok(!race_at(1, 3), "a race in a function with a hook is not ours where both lines are the kernel's");
ok(race_at(1, 2), '... and is where one is ours');
ok(is_ours($upstream, $ours, $series, [['/build/virt/x.c', 1]], []), '... or where nobody knows which line it is');
ok(is_ours($upstream, $ours, $series, [['/build/virt/x.c', 1], ['/build/virt/new.h', 1]]), '... or where a line of ours was inlined there');
ok(keys %{our_functions($tree, '6.12')} >= 20, 'the functions of the series are found in this tree');
done_testing();
