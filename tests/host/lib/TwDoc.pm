package TwDoc;
# SPDX-License-Identifier: GPL-2.0
# What the documents of doc/ show to be run, so that tests can run it. In a block "sh" a line "$ COMMAND" is a command,
# and the lines below it are what it prints: there "..." is anything, a line of it any lines, and a number any number;
# "[status N]" ends a command that does not end with 0. A block "c FILE" is a file.
use strict;
use warnings;
use Exporter 'import';
our @EXPORT = qw(doc_blocks doc_pattern);

# doc_blocks FILE: { file, lines } or { runs => [ [ command, status, line... ]... ] } for each block
sub doc_blocks {
	my ($file) = @_;
	my ($kind, @block, @blocks);
	open my $f, '<', $file or die "$file: $!";
	while (<$f>) {
		chomp;
		if (/^```(.*)/ && !defined $kind) {
			($kind, @block) = ($1);
		} elsif (/^```/) {
			push @blocks, { file => $1, lines => [@block], runs => [] } if $kind =~ /^c (\S+)$/;
			push @blocks, { runs => [ runs_of(@block) ] } if $kind eq 'sh';
			$kind = undef;
		} elsif (defined $kind) {
			push @block, $_;
		}
	}
	return @blocks;
}

sub runs_of {
	my @runs;
	for (@_) {
		if (/^\$ (.*)/) { push @runs, [ $1, 0 ] }
		elsif (/^\[status (\d+)\]$/) { $runs[-1][1] = $1 }
		else { push @{ $runs[-1] }, $_ }
	}
	return @runs;
}

# doc_pattern LINE...: the regular expression for what they stand for
sub doc_pattern { return join '', map { line_pattern($_) } @_ }

sub line_pattern {
	my ($line) = @_;
	return '(?:.*\n)*?' if $line eq '...';
	my $p = quotemeta $line;
	$p =~ s/\\\.\\\.\\\./.*/g;
	$p =~ s/\d+/\\d+/g;
	return "$p\\n";
}

1;
