#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
# What the documents name exists: links and anchors, files, goals of make, verbs of twctl and their options. And
# they fit their readers: README is short, and none holds a path of somebody's machine.
use strict;
use warnings;
use Test::More;
use File::Basename 'dirname';
use File::Spec;
use JSON::PP;
use Cwd 'abs_path';

chdir dirname(abs_path($0)) . '/../..' or BAIL_OUT('no project');
my @docs = grep { -f } split /\n/, `git ls-files --cached --others --exclude-standard '*.md' 2>/dev/null || find . -name '*.md' ! -path './build/*' -printf '%P\\n'`;
my %text;
for my $d (@docs) {
	open my $f, '<:encoding(UTF-8)', $d or BAIL_OUT("$d: $!");
	local $/;
	$text{$d} = <$f>;
}
sub slurp { my ($file) = @_; open my $f, '<', $file or return ''; local $/; return scalar <$f> }
# without_blocks TEXT: the prose
sub without_blocks { my ($t) = @_; $t =~ s/^```.*?^```$//gms; $t =~ s/^(?: {4}|\t).*$//gm; return $t }
# What a command line begins with, from blocks and from `...`
sub commands {
	my ($t) = @_;
	my @c;
	push @c, split /\n/, $1 while $t =~ /^```[^\n]*\n(.*?)^```$/gms;
	(my $rest = $t) =~ s/^```.*?^```$//gms;
	push @c, $1 while $rest =~ /^(?: {4}|\t)(.*)$/gm;
	push @c, without_blocks($t) =~ /`([^`]+)`/g;
	return @c;
}
# none NAME LIST: nothing is wrong
sub none { my ($name, @bad) = @_; is(join("\n", @bad), '', $name) }

# As a forge makes it of a heading
sub anchors {
	my ($t) = @_;
	$t =~ s/^```.*?^```$//gms;
	my (%a, %n);
	while ($t =~ /^#+ +(.*?)\s*$/gm) {
		my $h = lc $1;
		$h =~ s/\[([^\]]*)\]\([^)]*\)/$1/g;
		$h =~ s/[^\w\- ]//g;
		$h =~ s/ /-/g;
		$a{ $n{$h}++ ? "$h-" . ($n{$h} - 1) : $h } = 1;
	}
	return \%a;
}
sub bad_links {
	my ($d) = @_;
	my @bad;
	my $prose = without_blocks($text{$d});
	while ($prose =~ /\]\(([^)\s]+)\)/g) {
		my ($file, $anchor) = split /#/, my $link = $1, 2;
		next if $link =~ m{^https?://};
		my $to = $file eq '' ? $d : File::Spec->canonpath(dirname($d) . "/$file");
		1 while $to =~ s{[^/]+/\.\./}{};
		$to =~ s{^\./}{};
		if (!-e $to && !$text{$to}) { push @bad, "$link: there is no $to" }
		elsif (defined $anchor && !anchors($text{$to} // slurp($to))->{$anchor}) { push @bad, "$link: no such heading" }
	}
	return @bad;
}

# What there is
my %goal = map { $_ => 1 } map { /^([a-z][a-z-]*):(?!=)/gm } map { slurp($_) } 'Makefile', glob('*/Makefile.inc tests/*/Makefile.inc');
my $twctl = 'build/twctl';
my %options;
if (-x $twctl) {
	for my $v (@{ decode_json(`$twctl help -j`)->{verbs} }) {
		$options{ $v->{name} } = { map { $_ => 1 } qw(h j v help json verbose), map { $_->{name} } @{ $v->{options} } };
		$options{ $v->{name} }{$_} = 1 for `$twctl help $v->{name}` =~ /^  -(\w),/gm;
	}
}

sub bad_goals {
	my ($d) = @_;
	my @bad;
	for my $c (commands($text{$d})) {
		while ($c =~ /(?:^|&& |; |sudo )\s*\$? ?make((?: +[A-Za-z][\w.\/-]*(?:=\S*)?)*)/g) {
			push @bad, "make $_: no such goal" for grep { !/=/ && !$goal{$_} } split ' ', $1 // '';
		}
	}
	return @bad;
}
# Files of the project that are named: those below its folders. DIR/ is one, and so is what a pattern finds.
sub bad_files {
	my ($d) = @_;
	my @bad;
	for my $c (commands($text{$d})) {
		while ($c =~ m{(?:^|[\s=])((?:tools|tests|user|bpf|doc|debian|kernel-patch)/[\w./*+-]*)}g) {
			(my $f = $1) =~ s/[.,]$//;
			next if $f =~ m{\b(?:VERB|X\.Y)\b|^tools/testing/};	# to be filled in; the kernel's own
			push @bad, "$f: no such file" if !(() = glob $f) || !-e((glob $f)[0]);
		}
	}
	return @bad;
}
sub bad_verbs {
	my ($d) = @_;
	my @bad;
	for my $c (commands($text{$d})) {
		$c =~ s/(^|\s)#.*//;
		while ($c =~ m{(?:^|[\s;|/'])twctl +([^;|]*)}g) {
			my @w = split ' ', $1;
			my $verb = shift @w // next;
			next if $verb !~ /^[a-z]+$/;	# a synopsis
			if (!$options{$verb}) { push @bad, "twctl $verb: no such verb"; next }
			for my $o (@w) {
				last if $o eq '--';
				next if $o !~ /^-(?:-([a-z][a-z-]*)|([a-z]))(?:=|$)/;
				my $name = $1 // $2;
				push @bad, "twctl $verb $o: no such option" if !$options{$verb}{$name};
			}
		}
	}
	return @bad;
}

# A machine's own: homes, mount points, names of registries and mirrors
my $machine = qr{(?<![\w.~\$\}])/(?:home|root|work|mnt|srv|Users|tmp/[a-z]+-)/?[\w.-]+|\b(?:deb|security|snapshot)\.debian\.org|\bregistry\.npmjs|\bpypi\.org|\bproxy\.golang};

for my $d (sort @docs) {
	none("$d: links and anchors lead somewhere", bad_links($d));
	none("$d: what make is told to make, it can", bad_goals($d));
	none("$d: the files that it names are there", bad_files($d));
	SKIP: {
		skip 'build/twctl is not built', 1 if !%options;
		none("$d: verbs and options of twctl are such", bad_verbs($d));
	}
	none("$d: no path or registry of one machine", $text{$d} =~ /($machine)/g);
}
cmp_ok(-s 'README.md', '<=', 6144, 'README is read in four minutes');
cmp_ok(scalar(() = $text{'README.md'} =~ m{^!\[.+\]\([\w/-]+\.svg\)$}gm), '==', 2, 'README has a picture of a warp, and one of a report on aging');
my %linked = map { $_ => 1 } $text{'README.md'} =~ m{\]\((doc/[\w-]+\.md)}g;
none('README leads to each document', grep { m{^doc/} && !$linked{$_} } @docs);
cmp_ok(scalar keys %goal, '>', 15, 'goals of make are found: ' . keys %goal);

# The checker itself sees what is wrong
$text{'x.md'} = <<'END';
# One head
[a](nowhere.md) [b](README.md#nothing) [c](#one-head) `make nonsense` `make demo` `tools/nothing.sh` `twctl nonsense`
`twctl list --nosuch` and `twctl list --ids`

    cd /home/somebody/x; make nothing-either
END
is(scalar(bad_links('x.md')), 2, 'a link and an anchor that lead nowhere are seen');
is(scalar(bad_goals('x.md')), 2, 'goals that are none are seen');
is(scalar(bad_files('x.md')), 1, 'a file that is none is seen');
is(scalar(bad_verbs('x.md')), 2, 'a verb and an option that are none are seen') if %options;
is(scalar(() = $text{'x.md'} =~ /$machine/g), 1, 'a path of a machine is seen');
done_testing();
