#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
# TW_PARTS takes some of a test of the host's: no more, no less, and no name that is none. Needs no host.
use strict;
use warnings;
use lib 'tests/host/lib';
use File::Temp qw(tempdir);
use Test::More;
use TwHost;

sub taken { local $ENV{TW_PARTS} = shift; my %p = eval { parts('one two three') }; return $@ || join ' ', sort keys %p }
delete $ENV{TW_PARTS};
is_deeply({ parts('one two') }, { one => 1, two => 1 }, 'all of them, if nothing is said');
is(taken($_), 'one three two', "all of them, if '$_' is said: a test of nothing would pass") for '', ' ';
is(taken('two'), 'two', 'one of them');
is(taken('three one'), 'one three', 'two of them');
like(taken('two four'), qr/^TW_PARTS: no part of this test: four; it has: one three two$/, 'one that there is not: it is said, with those that there are');

# The runner, with tests that know parts, and one that does not
my $dir = tempdir(CLEANUP => 1);
sub test_of {
	my ($name, $text) = @_;
	open my $f, '>', "$dir/$name.t" or die "$dir: $!";
	print $f "#!/usr/bin/perl\nuse lib 'tests/host/lib';\nuse Test::More;\nuse TwHost;\n$text\ndone_testing();\n";
	close $f;
	chmod 0755, "$dir/$name.t";
	return "$dir/$name.t";
}
my $knows = test_of('knows', 'my %part = parts("one two"); ok(1, $_) for sort keys %part;');
my $whole = test_of('whole', 'ok(1, "all of it");');
sub ran { my ($parts, @t) = @_; local $ENV{TW_PARTS} = $parts; my ($rc, $out) = run('tests/host/all', @t); return ($rc, $out) }
my ($rc, $out) = ran('two', $knows);
ok($rc == 0 && $out =~ /^ *ok 1 - two$/m && $out !~ / - one$/m, 'the part that was asked for runs, and no other') or diag($out);
($rc, $out) = ran('cron', $knows);
ok($rc != 0 && $out =~ /no part of this test: cron/, 'a part that there is not: the test fails') or diag($out);
($rc, $out) = ran('two', $whole);
ok($rc != 0 && $out =~ /TW_PARTS is set, and \Q$whole\E knows no parts/ && $out !~ /all of it/, 'a test without parts does not run as a whole') or diag($out);
($rc, $out) = ran(' ', $whole);
ok($rc == 0 && $out =~ /all of it/, 'that says no part: it does') or diag($out);

# Each that has parts says which, where it says what it is about, and has those
for my $t (grep { !m{^tests/unit/} } glob 'tests/*/*.t') {
	my $text = slurp($t);
	next if $text !~ /^use TwHost\b/m || $text !~ /\bparts\(|\$part\x7b/;
	my ($all) = $text =~ /^my %part = parts\('([^']*)'\);$/m;
	ok(defined $all, "$t: its parts are in a line of their own") or next;
	like($text, qr/^# .*TW_PARTS="\Q$all\E" takes some of it/m, "$t says in front what parts it has");
	my @has = $text =~ /\$part\x7b(\w+)\x7d/g;
	my %has = map { $_ => 1 } @has;
	is(join(' ', sort keys %has), join(' ', sort split ' ', $all), '... and has these');
}
done_testing();
