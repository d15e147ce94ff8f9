#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
# Each finding of the reviews has a program here that shows it, and holds once it is mended.
#
#   tests/directed/directed.t [NAME...]	e.g. A1 A2 F1; all of them by default
#
# They run on one test host. One that takes the host along, or leaves something in its kernel log, fails
# and hides no other: the rest goes on on a fresh host. Its log is left in build/directed/NAME.log.
# TW_TESTHOST_ARGS adds options of tools/testhost; TW_DIRECTED_S is how long one may take of this machine's time.
use strict;
use warnings;
use Cwd 'abs_path';
use File::Basename 'dirname';
use IO::Select;

chdir dirname(abs_path($0)) . '/../..' or die;
my $limit = $ENV{TW_DIRECTED_S} // 900;
my $args = $ENV{TW_TESTHOST_ARGS} // '';
my %file = map { m{/([afp]\d+[a-z]?)-[^/]*\.c$} ? (uc $1 => $_) : () } glob 'tests/directed/[afp][0-9]*-*.c';
my $order = sub { $_[0] =~ /^([AFP])(\d+)(\w?)/ ? $1 . sprintf('%03d', $2) . $3 : die };
# What cannot be undone comes last: the TSC stays unstable.
my %last = (A11 => 1);
my @todo = @ARGV ? map { uc } @ARGV : sort { $order->($a) cmp $order->($b) } keys %file;
for (@todo) { $file{$_} or die "directed.t: no test '$_'; there are: @{[sort keys %file]}\n" }
@todo = ((grep { !$last{$_} } @todo), grep { $last{$_} } @todo);
chomp($ENV{TW_BAD_LOG} = qx(bash -c '. tools/lib.sh; printf %s "\$TW_BAD_LOG"'));
mkdir 'build/directed';
if (grep { /^(A11|P4)$/ } @todo) {
	chomp($ENV{TW_DIRECTED_MODULES} = qx(tests/directed/modules $args));
	$? and die "directed.t: no modules\n";
}

my ($n, $failed) = (0, 0);
$| = 1;
print '1..' . @todo . "\n";

# What the program says of itself stands at the head of its source.
sub title {
	open my $f, '<', $file{$_[0]} or die;
	my $text = join '', <$f>;
	my ($t) = $text =~ m{^ \* [AFP]\d+[^:\n]*: (.*?)\n \*(?:\n|/)}ms or return '';
	$t =~ s/\n \* / /g;
	$t =~ s/[;.](?: .*|$)//;
	return $t;
}

sub verdict {
	my ($name, $good, $why) = @_;
	$n++;
	$failed++ if !$good;
	printf "%sok %d - %s %s%s\n", $good ? '' : 'not ', $n, $name, title($name), $why ? " ($why)" : '';
}

# One host, from $todo[0] on; returns when it has ended
sub one_host {
	my @cmd = ('tools/testhost', '--timeout', $limit * @todo, '--append', 'page_poison=1 slub_debug=FZPU preempt=full hung_task_panic=0',
		split(' ', $args), '--', 'tests/directed/in-host', map { "$_=$file{$_}" } @todo);
	my ($running, $buf, @tail) = (undef, '');
	my $pid = open my $out, '-|' or do { open STDERR, '>&', \*STDOUT; exec @cmd or die "$cmd[0]: $!" };
	my $select = IO::Select->new($out);
	my $since = time;
	my ($hung, $told) = (0, 0);
	while (1) {
		if ($running && time - $since > $limit) {
			$hung = 1;
			kill 'TERM', $pid;
		}
		next if !$select->can_read(5) && !$hung;
		my $got = $hung ? 0 : sysread $out, $buf, 65536, length $buf;
		last if !$got;
		while ($buf =~ s/^(.*)\n//) {
			my $line = $1;
			if ($line =~ /^begin (\w+)$/) {
				($running, $since, @tail) = ($1, time);
				print "# Subtest: $file{$running}\n";
			} elsif ($line =~ /^verdict (\w+) (pass|fail) ?(.*)$/) {
				verdict($1, $2 eq 'pass', $3);
				shift @todo;
				undef $running;
			} elsif ($line =~ /^testhost: the host's kernel log has something new/ && !$running) {
				# It has been shown with the test that it came from.
				$told = 1;
			} elsif (!$told) {
				push @tail, $line;
				print $running ? '    ' : '# ', $line, "\n";
			}
		}
	}
	close $out;
	if ($running || ($hung && @todo)) {
		my $name = $running // $todo[0];
		system "cp build/testhost.log build/directed/$name.log 2>/dev/null";
		verdict($name, 0, $hung ? "the host hangs" : 'it takes the host along; build/directed/' . "$name.log");
		@todo = grep { $_ ne $name } @todo;
		return 1;
	}
	return scalar @tail < 1 || !@todo ? 1 : 0;
}

while (@todo) {
	my $left = @todo;
	one_host();
	# A host that does not even begin will not do so next time.
	if (@todo == $left) {
		verdict(shift @todo, 0, 'no test host') while @todo;
	}
}
exit($failed ? 1 : 0);
