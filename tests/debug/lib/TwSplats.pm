# SPDX-License-Identifier: GPL-2.0
# What a debug host's kernel log complains of, report by report, and which of it is ours.
package TwSplats;
use strict;
use warnings;
use Exporter 'import';
our @EXPORT = qw(splats our_functions is_ours);

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

# our_functions TREE: names of the functions that the files below kernel-patch/common define and of those that
# the hooks of LINE change, by the function that diff names at each hunk.
sub our_functions {
	my ($tree, $line) = @_;
	my %ours;
	my @common = split /\n/, qx(find '$tree/kernel-patch/common' '$tree/kernel-patch/$line' -name '*.[ch]');
	for my $file (@common) {
		open my $f, '<', $file or die "$file: $!";
		while (<$f>) {
			# At a line's start and no declaration: in the kernel's style a definition
			$ours{$1} = 1 if /^[A-Za-z_][^;=]*?\b(\w+)\([^;]*$/ && !/^(?:if|while|for|switch|return)\b/;
		}
	}
	for my $file (glob "$tree/kernel-patch/$line/*.patch $tree/kernel-patch/$line/*/*.patch") {
		open my $f, '<', $file or die "$file: $!";
		while (<$f>) {
			$ours{$1} = 1 if /^\@\@.*\@\@.*?\b(\w+)\(/ || /^\+[A-Za-z_][^;=]*?\b(\w+)\([^;]*$/;
		}
	}
	delete @ours{qw(__printf __must_hold __aligned EXPORT_SYMBOL_GPL module_param)};
	return \%ours;
}

# is_ours SPLAT, OURS: whether it involves code of the series: a race, by either of its two sides; anything
# else, by any function of its text.
sub is_ours {
	my ($s, $ours) = @_;
	for my $frame (frames($s->{text}), map { [$_, ''] } $s->{title} =~ /data-race in ([\w.]+)(?: \[\w+\])?(?: \/ ([\w.]+))?/) {
		my $name = $frame->[0] // next;
		$name =~ s/\.(?:isra|part|constprop|cold).*//;
		return 1 if $ours->{$name} || $name =~ /timeline|timewarp/;
	}
	return 0;
}

1;
