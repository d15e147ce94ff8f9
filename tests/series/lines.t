#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
# What patch(1) and the compiler let pass, and is wrong: on the patched source of each line of kernels, read as
# text, and nothing is built. A line whose source is not in the cache is skipped.
#
# What a line is held to goes by what its source has, not by its number.
use strict;
use warnings;
use Cwd 'abs_path';
use File::Basename 'dirname';
use File::Temp 'tempdir';

chdir dirname(abs_path($0)) . '/../..' or die;
my $tmp = tempdir(CLEANUP => 1);
my ($n, $failed, $line) = (0, 0);
$| = 1;

# Prototyped: a match that fails is false, not nothing
sub ok($$@) {
	my ($good, $name, @why) = @_;
	$n++;
	$failed++ if !$good;
	print $good ? '' : 'not ', "ok $n - $line: $name\n";
	print "# $_\n" for $good ? () : map { split /\n/ } @why;
	return $good;
}

sub text {
	my ($file) = @_;
	open my $f, '<', "$tmp/$line/$file" or return '';
	local $/;
	return scalar <$f>;
}

# What is left of a source when nobody comments on it
sub code {
	my $t = join '', map { text($_) } @_;
	$t =~ s{/\*.*?\*/}{}gs;
	return $t;
}

# The body of a function: kernel style, so it begins and ends in the first column. Empty if there is none.
sub body {
	my ($t, $name) = @_;
	return $t =~ /^[a-z][^\n;{}]*\b\Q$name\E\([^;{}]*\)\n\{\n(.*?)^\}/ms ? $1 : '';
}

# Names of the functions whose bodies match
sub functions_with {
	my ($t, $re) = @_;
	my @found;
	push @found, $1 while $t =~ /^[a-z][^\n;{}=]*?\b(\w+)\([^;{}]*\)\n\{\n((?:(?!^\}).)*?$re(?:(?!^\}).)*)^\}/msg;
	return @found;
}

# In this order, in one text
sub in_order {
	my ($t, @what) = @_;
	my $at = 0;
	for my $w (@what) {
		pos $t = $at;
		$t =~ /$w/g or return 0;
		$at = pos $t;
	}
	return 1;
}

sub sources { return map { s{^\Q$tmp/$line/\E}{}r } map { glob "$tmp/$line/$_" } @_ }

my $kvm = 'arch/x86/kvm';

# 1. vcpu->pid: RCU protects it, or a lock of its own does and RCU does not.
sub trap_pid {
	my $own = code("$kvm/timeline_line.h");
	my $task = body($own, 'timeline_vcpu_task');
	if (code('include/linux/kvm_host.h') =~ /^\s+rwlock_t pid_lock;/m) {
		ok(in_order($task, 'read_lock\(&vcpu->pid_lock\)', 'pid_task\(vcpu->pid\b', 'read_unlock\(&vcpu->pid_lock\)') &&
			$task !~ /rcu_dereference\(vcpu->pid/, "a vCPU's pid is read under its lock", $task);
	} else {
		ok($task =~ /pid_task\(rcu_dereference\(vcpu->pid\)/, "a vCPU's pid is read by RCU", $task);
	}
	my @other = grep { code($_) =~ /\bv(?:cpu)?->pid\b/ } grep { !m{/timeline_line\.h$} } sources("$kvm/timeline*", "$kvm/timewarp*");
	ok(!@other, 'no other file of the timeline looks at it', @other);
	my $starved = body(code("$kvm/timeline_load.c"), 'timeline_starved_ns');
	ok(in_order($starved, 'guard\(rcu\)\(\);', 'timeline_vcpu_task\(', 'task->'),
		'the task that it names is looked at under RCU', $starved);
}

# 2. VMX: who sets the intercept of the TSC's MSR asks the timeline.
sub trap_msr {
	my $vmx = code("$kvm/vmx/vmx.c");
	my @set = functions_with($vmx, qr/_intercept_for_msr\([^;]*\bMSR_IA32_TSC\b/);
	for my $f (@set) {
		my $b = body($vmx, $f);
		# When it is created a vCPU knows no timeline; what it gets then is looked at below.
		next if $f eq 'vmx_vcpu_create';
		ok($b =~ /kvm_timeline_tsc_trapped\(vcpu->kvm\)/ && $b !~ /_(?:dis|en)able_intercept_for_msr\(vcpu, MSR_IA32_TSC\b/,
			"$f() leaves RDMSR of the TSC to the timeline", $b);
	}
	ok((grep { $_ eq 'vmx_update_tsc_exiting' } @set), 'a change of the timeline sets it');
	if ((my $b = body($vmx, 'vmx_recalc_msr_intercepts')) ne '') {
		ok((grep { $_ eq 'vmx_recalc_msr_intercepts' } @set), 'so does what follows KVM_SET_CPUID2 and the filter of MSRs', $b);
	} else {
		# Each change of the filter sets what is asked for again: it has to be noted.
		ok($vmx =~ /vmx_possible_passthrough_msrs\[[^]]*\] = \{[^}]*\bMSR_IA32_TSC\b/ &&
			body($vmx, 'vmx_msr_filter_changed') !~ /MSR_IA32_TSC\b/, 'the filter of MSRs sets it as it was asked for');
	}
	my $svm = code(sources("$kvm/svm/*.c"));
	ok($svm !~ /(?:_intercept(?:_for_msr)?\([^;]*|\.index = )MSR_IA32_TSC\b/, 'SVM always exits at it');
	my $get = body(code("$kvm/x86.c", "$kvm/msrs.c"), 'kvm_get_msr_common');
	ok($get =~ /case MSR_IA32_TSC:.*?kvm_timeline_host_tsc\(vcpu->kvm, rdtsc\(\)\)/s, 'and who exits there reads guest time');
}

# 3. A TD's vCPU has no VMCS that KVM could write.
sub trap_td {
	my $main = code("$kvm/vmx/main.c");
	if ($main =~ /#define vt_op\(/) {
		my $b = body($main, 'vt_update_tsc_exiting');
		ok($main =~ /\.update_tsc_exiting = vt_op\(update_tsc_exiting\)/, "the op is wrapped as VMX's others are");
		ok(in_order($b, 'if \(is_td_vcpu\(vcpu\)\)\s+return;', 'vmx_update_tsc_exiting\(vcpu\)'), "a TD's vCPU has no VMCS to write", $b);
	} else {
		ok($main =~ /\.update_tsc_exiting = vmx_update_tsc_exiting,/ && $main !~ /is_td/, 'the op is VMX\'s; there are no TDs');
	}
	ok(code("$kvm/svm/svm.c") =~ /\.update_tsc_exiting = svm_update_tsc_exiting,/, "SVM's op is its own");
	ok(text('arch/x86/include/asm/kvm-x86-ops.h') =~ /^KVM_X86_OP_OPTIONAL\(update_tsc_exiting\)/m, 'it may be called where nobody has it');
}

# 4. The timeline looks after itself: kvmclock's periodic work can be off, or be gone.
sub trap_upkeep {
	my $tw = code("$kvm/timewarp.c");
	my $fn = body($tw, 'timewarp_upkeep_fn');
	my @own = sources("$kvm/timeline*", "$kvm/timewarp*");
	ok($tw =~ /INIT_DELAYED_WORK\(&tw->upkeep, timewarp_upkeep_fn\)/, 'the timeline has periodic work of its own');
	ok(in_order($fn, 'timeline_far\(', 'kvm_timeline_set\(', 'timewarp_upkeep_soon\(tw, TIMEWARP_UPKEEP_MS\)'),
		'it moves an anchor that is far, and goes on', $fn);
	ok(body(code("$kvm/timewarp_bpf.c"), 'timewarp_attach') =~ /mod_delayed_work\(timewarp_wq, &tw->upkeep,/, 'it begins at attach');
	ok(in_order(body(code("$kvm/timewarp_bpf.c"), 'timewarp_attach'), 'r = timewarp_decide\(', '&tw->upkeep, 0\)', 'if \(r\)\s+return r;',
		'timewarp_set_ops\('), 'it takes leave of one whose attach failed after it had begun');
	ok(body($tw, 'timewarp_shutdown') =~ /cancel_delayed_work_sync\(&tw->upkeep\)/, 'it ends before the VM does');
	my $x86 = code("$kvm/x86.c");
	my @sync = grep { body($x86, $_) =~ /kvm_time(?:line|warp)/ } qw(kvmclock_sync_fn kvmclock_update_fn);
	ok(!@sync && code(@own) !~ /kvmclock_(?:sync|update)_work|kvmclock_periodic_sync/, "nothing of it hangs on kvmclock's work", @sync);
}

# 5. Who looks at the Hyper-V state of a vCPU that it has not locked takes it as it was published.
sub trap_hyperv {
	my $c = code("$kvm/hyperv.c");
	my @mine = grep { /^kvm_hv_stimers_(?:pause|resume|target_ns)$/ } functions_with($c, qr/hv_vcpu/);
	ok(@mine == 3, 'there are three that do', @mine);
	my $checked = body(code("$kvm/hyperv.h"), 'to_hv_vcpu') =~ /lockdep_assert/;
	for my $f (@mine) {
		my $b = body($c, $f);
		ok($checked ? $b =~ /\bto_hv_vcpu_safe\(vcpu\)/ && $b !~ /\bto_hv_vcpu\(/ : $b =~ /\bto_hv_vcpu(?:_safe)?\(vcpu\)/,
			"$f() " . ($checked ? 'asks for no lock' : 'may be called by anybody'), $b);
		ok(in_order($b, 'if \(!hv_vcpu\)\s+return', 'hv_vcpu->stimer'), "$f() bears that there is none", $b);
	}
	my $init = body($c, 'kvm_hv_vcpu_init');
	ok($init !~ /vcpu->arch\.hyperv = / && in_order($init, 'stimer_init\(', 'smp_store_release\(&vcpu->arch\.hyperv, hv_vcpu\)'),
		'the state is published when its timers are set up', $init);
}

# A worker has vCPUs that do not run take over the timeline's end. It has not the memory that KVM looks up pages in.
sub trap_memory {
	my $start = body(code("$kvm/xen.c"), 'kvm_xen_start_timer');
	ok($start ne '' && ($start !~ /guest_pvclock\(/ || in_order($start, 'current->mm != vcpu->kvm->mm', 'xen_get_guest_pvclock\(')),
		'who has not the guest\'s memory arms a Xen timer without its page', $start);
}

# 6. Exports: to KVM's modules alone, where the Makefile wants that; and it is our copy that it looks into.
sub trap_exports {
	my @own = map { split ' ' } qx(cd kernel-patch && find common/$kvm -name '*.[ch]');
	my @plain = grep { code($_ =~ s{^common/}{}r) =~ /\bEXPORT_SYMBOL(?:_GPL)?\(/ } @own;
	ok(@own > 10 && !@plain, 'no shared file says EXPORT_SYMBOL_GPL', @plain);
	my $make = text("$kvm/Makefile");
	my $added = join '', map { qx(cat kernel-patch/$line/'$_') } grep { !/fixes/ } map { s/#.*//r =~ /(\S+)/ ? $1 : () } qx(cat kernel-patch/$line/series);
	if ($make =~ /EXPORT_SYMBOL_FOR_KVM_INTERNAL/) {
		my @lines = grep { /^\+.*\bEXPORT_SYMBOL(?:_GPL)?\(/ } split /^/, $added;
		ok(!@lines, 'nor does a patch', @lines);
		ok(code("$kvm/timeline_line.h") !~ /EXPORT_SYMBOL/, 'the macro is the kernel\'s own');
	} else {
		ok(text("$kvm/timeline_line.h") =~ /^#define EXPORT_SYMBOL_FOR_KVM_INTERNAL\(sym\)\s+EXPORT_SYMBOL_GPL\(sym\)$/m,
			'the macro is what the line has');
	}
	open my $f, '<', 'tools/build-kvm' or die;
	my ($sed) = map { /sed "(s#\\\$\(srctree\).*?)" "\$from/ ? $1 : () } <$f>;
	ok(defined $sed, "build-kvm turns the Makefile's paths") or return;
	$sed =~ s/\\\$/\$/g;
	$sed =~ s/\$to/OURS/g;
	# What sed gets, as the shell would give it
	open my $p, '-|', 'sed', $sed, "$tmp/$line/$kvm/Makefile" or die;
	my $turned = join '', <$p>;
	my @left = grep { m{\$\(srctree\)/(?:arch/x86/kvm|virt/kvm)} } split /\n/, $turned;
	ok($turned =~ m{OURS/arch/x86/kvm} && !@left, 'each of them, so that exports are looked for in the copy', @left);
}

# 7. SVM: one function has the intercepts of RDTSC and RDTSCP, and CPUID calls it too.
sub trap_svm {
	my $svm = code("$kvm/svm/svm.c");
	my $b = body($svm, 'svm_recalc_instruction_intercepts');
	ok(in_order($b, 'if \(kvm_timeline_tsc_trapped\(vcpu->kvm\)\)\s+svm_set_intercept\(svm, INTERCEPT_RDTSC\);',
		'else\s+svm_clr_intercept\(svm, INTERCEPT_RDTSC\);'), 'RDTSC exits if the timeline wants it', $b);
	ok($b =~ /has\(vcpu, X86_FEATURE_RDTSCP\) &&\s+!kvm_timeline_tsc_trapped\(vcpu->kvm\)\)\s+svm_clr_intercept\(svm, INTERCEPT_RDTSCP\);\s+else\s+svm_set_intercept\(svm, INTERCEPT_RDTSCP\);/,
		'RDTSCP too', $b);
	my @who = functions_with(code(sources("$kvm/svm/*.c")), qr/svm_(?:set|clr)_intercept\([^;]*INTERCEPT_RDTSCP?\)/);
	ok("@who" eq 'svm_recalc_instruction_intercepts', 'no other function says so', @who);
	ok(body($svm, 'svm_update_tsc_exiting') =~ /svm_recalc_instruction_intercepts\(vcpu\b/, 'a change of the timeline calls it');
	ok(functions_with($svm, qr/svm_recalc_instruction_intercepts\(vcpu\b/) > 1, 'so does CPUID');
	ok($svm =~ /\[SVM_EXIT_RDTSC\]\s*=\s*kvm_emulate_rdtsc,/ && $svm =~ /\[SVM_EXIT_RDTSCP\]\s*=\s*kvm_emulate_rdtscp,/, 'both exits are answered');
}

# 8. A VM's end: nothing of the timeline runs once vCPUs go, and it goes after them.
sub trap_end {
	my $x86 = code("$kvm/x86.c");
	my @who = functions_with($x86, qr/\bkvm_timewarp_destroy_vm\(kvm\)/);
	ok(@who == 1 && code('virt/kvm/kvm_main.c') =~ /^\t\Q$who[0]\E\(kvm\);.*?^\tkvm_arch_destroy_vm\(kvm\);/ms,
		'what ends the timeline is called, and before vCPUs go', @who);
	ok(in_order(body($x86, 'kvm_arch_destroy_vm'), 'kvm_destroy_vcpus\(kvm\);', 'kvm_timewarp_free_vm\(kvm\);'),
		"its memory goes after them");
}

# 9. Fixes that KVM should have whoever warps; newer lines have some of them.
sub trap_fixes {
	my $x86 = code("$kvm/x86.c");
	ok(body($x86, 'kvm_guest_time_update') =~ /tgt_tsc_khz\s*=.*?\?\s*:\s*1\b|max[^;]*tgt_tsc_khz|tgt_tsc_khz[^;]*max/s,
		'a guest TSC of less than 1 kHz is one of 1 kHz', body($x86, 'kvm_guest_time_update'));
	my $end = body(code('virt/kvm/kvm_main.c'), 'kvm_mmu_notifier_release');
	ok($end =~ /gfn_to_pfn_cache_invalidate/, 'no page of guest memory stays cached when it goes', $end);
	my $start = body(code("$kvm/lapic.c"), 'start_sw_tscdeadline');
	ok($start =~ /tsc_cycles_to_ns\(/ && $start !~ /\* 1000000ULL/, 'far TSC deadlines do not wrap', $start);
}

my @lines = sort map { m{/([^/]+)/series$} ? $1 : () } glob 'kernel-patch/*/series';
for (@lines) {
	$line = $_;
	my $has = qx(bash -c '. tools/lib.sh; tw_kernel_env "\$1" && [ -z "\$TW_STOCK_ONLY" ] && echo "\$TW_KVER"' sh $line);
	if (!$has) {
		$n++;
		print "ok $n # skip the source of $line is not in the cache; tools/setup --kernel $line fetches it\n";
		next;
	}
	chomp $has;
	print "# $has\n";
	my $said = qx(tools/build-kvm --quiet --kernel $has --source $tmp/$line 2>&1);
	if ($?) {
		ok(0, 'the series applies', $said);
		next;
	}
	trap_pid();
	trap_msr();
	trap_td();
	trap_upkeep();
	trap_hyperv();
	trap_memory();
	trap_exports();
	trap_svm();
	trap_end();
	trap_fixes();
}
print "1..$n\n";
exit($failed ? 1 : 0);
