# SPDX-License-Identifier: GPL-2.0
# What a debug host's kernel log complains of, report by report, and which of it is ours.
package TwSplats;
use strict;
use warnings;
use Exporter 'import';
our @EXPORT = qw(splats our_functions is_ours series_lines accesses source_lines);

# The line that says what a report is about; what a report goes on with (a trace, a cut) is none.
my $TITLE = qr{
	\b(?:WARNING|BUG):\s | ^BUG\s | ^INFO:\s(?:task|lockdep\sis\sturned) | rcu:\sINFO:.*stall
	| ^Oops | general\sprotection\sfault | ^kernel\sBUG\sat | Kernel\spanic
	| ^UBSAN: | ^ODEBUG: | ^kmemleak:\s\d+\snew | ^unreferenced\sobject
	| ^list_(?:add|del)\scorruption | ^refcount_t: | ^clocksource:.*(?:unstable|skewed)
	| ^pagealloc:\smemory\scorruption | unchecked\sMSR | ^lockdep\shas\sswitched
	| ^kmemleak\sdoes\snot | blocked\sfor\smore\sthan
}x;
# A report that comes within another's text belongs to it: lockdep's title under its rule, KASAN's under its own.
my $MAX_LINES = 150;
my $MARK = 'timewarp: command starts';

# splats TEXT: from what a host said since its command began, a list of { title, kind, signature, text }.
# The signature is the same for the same fault on another boot: no address, number or CPU in it.
sub splats {
	my ($log) = @_;
	$log =~ s/^.*\Q$MARK\E[^\n]*\n//s;
	my (@found, $at);
	for my $line (split /\n/, $log) {
		(my $text = $line) =~ s/^(?:<\d+>)?\[\s*\d+\.\d+\](?:\[[^\]]*\])?\s?//;
		if ($at && ($text =~ /^---\[ end trace/ || ($at->{open} && $text =~ /^={60,}$/) || @{$at->{lines}} >= $MAX_LINES)) {
			undef $at;
			next;
		}
		# A panic or oops says its name several times; a leak is one of several in a list.
		if ($text =~ $TITLE && !($at && $at->{title} !~ /^(?:unreferenced|kmemleak)/ && @{$at->{lines}} < 4)) {
			(my $title = $text) =~ s/^.*?(?=\b(?:WARNING|BUG):)//;
			$at = { title => $title, open => scalar $title =~ /^BUG: K[AC]SAN/, lines => [] };
			push @found, $at;
		} elsif (!$at && $text =~ /^\s*Call Trace:/) {
			$at = { title => 'a stack without a title', open => 0, lines => [] };
			push @found, $at;
		}
		push @{$at->{lines}}, $text if $at;
	}
	for my $s (@found) {
		$s->{text} = join("\n", @{$s->{lines}}) . "\n";
		($s->{kind}) = $s->{title} =~ /\b(KASAN|KCSAN|UBSAN|ODEBUG)\b/;
		$s->{kind} //= $s->{title} =~ /^(?:kmemleak|unreferenced)/ ? 'kmemleak'
			: $s->{title} =~ /\b(?:(?:un)?lock|lockdep|recursive|dependency|wait context|RCU usage|MAX_LOCK\w*)\b/i ? 'lockdep' : 'other';
		$s->{signature} = signature($s);
	}
	return @found;
}

# Functions of a stack: "fn+0x12/0x34 [kvm]" is ("fn", "kvm").
sub frames { return map { [$_->[0], $_->[1] // ''] } pairs($_[0]) }
sub pairs {
	my @out;
	push @out, [$1, $2] while $_[0] =~ /([A-Za-z_][\w.]*)\+0x[0-9a-f]+(?:\/0x[0-9a-f]+)?(?:\s+\[(\w+)\])?/g;
	return @out;
}

sub signature {
	my ($s) = @_;
	my $t = $s->{title};
	$t =~ s/CPU: \d+ PID: \d+ //;
	$t =~ s/\+0x[0-9a-f]+\/0x[0-9a-f]+//g;
	$t =~ s/(\.[chS]):\d+/$1/g;
	$t =~ s/\b(?:0x)?[0-9a-f]{8,}\b/ADDR/g;
	$t =~ s/\b\d+\b/N/g;
	my ($kvm) = grep { $_->[1] =~ /^kvm/ } frames($s->{text});
	# Which lock a report of lockdep is about, its title does not say.
	my ($lock) = $s->{text} =~ /(?:trying to (?:acquire )?lock|is trying to release).*?\n[^\n]*?\(([^)]+)\)/s;
	return join ' | ', $t, $kvm ? $kvm->[0] : (), $lock // ();
}

# our_functions TREE, LINE: names of the functions that the series defines ('defined') and of those that its hooks for
# LINE change ('hooked', by the function that diff names at each hunk).
sub our_functions {
	my ($tree, $line) = @_;
	my %ours;
	my @common = split /\n/, qx(find '$tree/kernel-patch/common' '$tree/kernel-patch/$line' -name '*.[ch]');
	for my $file (@common) {
		open my $f, '<', $file or die "$file: $!";
		while (<$f>) {
			# At a line's start and no declaration: in the kernel's style a definition
			$ours{$1} = 'defined' if /^[A-Za-z_][^;=]*?\b(\w+)\([^;]*$/ && !/^(?:if|while|for|switch|return)\b/;
		}
	}
	for my $file (glob "$tree/kernel-patch/$line/*.patch $tree/kernel-patch/$line/*/*.patch") {
		open my $f, '<', $file or die "$file: $!";
		my %was;
		while (<$f>) {
			$ours{$1} //= 'hooked' if /^\@\@.*\@\@.*?\b(\w+)\(/;
			# One whose head was there before is the kernel's
			$was{$1} = 1 if /^-[A-Za-z_][^;=]*?\b(\w+)\(/;
			$ours{$1} = $was{$1} ? 'hooked' : 'defined' if /^\+[A-Za-z_][^;=]*?\b(\w+)\([^;]*$/;
		}
	}
	delete @ours{qw(__printf __must_hold __aligned EXPORT_SYMBOL_GPL module_param)};
	return \%ours;
}

# is_ours SPLAT, OURS, SERIES, LINES...: whether it involves code of the series: by a function of the series' own
# anywhere in it; by one that the series only changes, too, but for a race. There it is the two accesses that race, and
# in a function with a hook most are the kernel's own: LINES are the source_lines() of each, SERIES the series_lines().
sub is_ours {
	my ($s, $ours, $series, @lines) = @_;
	my $race = $s->{kind} eq 'KCSAN';
	for my $frame (frames($s->{text}), map { [$_, ''] } $s->{title} =~ /data-race in ([\w.]+)(?: \[\w+\])?(?: \/ ([\w.]+))?/) {
		my $name = $frame->[0] // next;
		$name =~ s/\.(?:isra|part|constprop|cold).*//;
		my $how = $ours->{$name} // ($name =~ /timeline|timewarp/ ? 'defined' : next);
		return 1 if $how eq 'defined' || !$race;
	}
	return scalar grep { access_is_ours($_, $series) } @lines;
}

# accesses SPLAT: of a race, where KVM's code makes each of the accesses that race, or has another part of the kernel
# make it: a list of { fn, offset, size, module }. One that comes from no code of KVM's is left out.
sub accesses {
	my ($s) = @_;
	my @found;
	my $looking;
	for (@{$s->{lines}}) {
		$looking = 1 if /^(?:read|write|read-write|assert no \w+)\b.* of \d+ bytes by /;
		next if !$looking || !/^ ([A-Za-z_][\w.]*)\+0x([0-9a-f]+)\/0x([0-9a-f]+)\s+\[(kvm\w*)\]/;
		push @found, { fn => $1, offset => hex $2, size => hex $3, module => $4 };
		undef $looking;
	}
	return @found;
}

# source_lines ACCESS, KO, FADDR2LINE: the lines that its instruction is of, in the module KO with its debug info, one
# for each function that was inlined there: a list of [file, line]. The stack has the address behind the instruction.
sub source_lines {
	my ($a, $ko, $faddr2line) = @_;
	my $at = sprintf '%s+0x%x/0x%x', $a->{fn}, $a->{offset} - 1, $a->{size};
	open my $tool, '-|', 'bash', $faddr2line, $ko, $at or die "$faddr2line: $!";
	my @lines = map { m{\bat (\S+):(\d+)} ? [$1, $2] : () } <$tool>;
	close $tool;
	return @lines;
}

# access_is_ours LINES, SERIES: whether one of these source lines is the series'; and where there is none to tell by.
sub access_is_ours {
	my ($lines, $series) = @_;
	return 1 if !@$lines;
	for my $l (@$lines) {
		my ($file) = $l->[0] =~ m{(?:^|/)((?:arch/x86|virt|include)/.*)} or next;
		1 while $file =~ s{[^/]+/\.\./}{};
		return 1 if $series->{$file}{$l->[1]};
	}
	return 0;
}

# series_lines STOCK, PATCHED: the lines that the source tree PATCHED has and STOCK has not: { file => { line => 1 } }.
sub series_lines {
	my ($stock, $patched) = @_;
	my %lines;
	for my $path (split /\n/, qx(cd '$patched' && find . -type f -name '*.[chS]')) {
		$path =~ s{^\./}{};
		for (qx(diff -N -U0 '$stock/$path' '$patched/$path')) {
			next if !/^\@\@ \S+ \+(\d+)(?:,(\d+))? \@\@/;
			$lines{$path}{$_} = 1 for $1 .. $1 + ($2 // 1) - 1;
		}
	}
	return \%lines;
}

1;
