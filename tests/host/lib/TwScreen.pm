# SPDX-License-Identifier: GPL-2.0
# A program on a terminal: a pseudo-terminal of Perl's own means, and the screen that a VT52 would show.
# A VT52 knows few words, so that this file can know them all.
package TwScreen;
use strict;
use warnings;
use Fcntl qw(O_RDWR O_NOCTTY);
use POSIX ();
use Time::HiRes qw(sleep time);

# TIOC... of Linux
my ($SPTLCK, $GPTN, $SCTTY, $SWINSZ) = (0x40045431, 0x80045430, 0x540e, 0x5414);

# What the program is told; of others than this one only the bytes are kept, in {raw}
our $type = 'vt52';

# start(ROWS, COLUMNS, COMMAND...): the program, its screen empty
sub start {
	my ($class, $rows, $cols, @cmd) = @_;
	sysopen my $master, '/dev/ptmx', O_RDWR | O_NOCTTY or die "/dev/ptmx: $!";
	my $n = pack 'i', 0;
	ioctl $master, $SPTLCK, $n or die "unlock: $!";
	ioctl $master, $GPTN, $n or die "number of the terminal: $!";
	my $name = '/dev/pts/' . unpack 'i', $n;
	sysopen my $slave, $name, O_RDWR | O_NOCTTY or die "$name: $!";
	my $self = bless { master => $master, slave => $slave, type => $type, raw => '', todo => '', at => [ 0, 0 ] }, $class;
	$self->size($rows, $cols);
	$self->{modes} = $self->modes;
	$self->{pid} = fork // die "fork: $!";
	if (!$self->{pid}) {
		POSIX::setsid();
		ioctl $slave, $SCTTY, 0 or die "controlling terminal: $!";
		POSIX::dup2(fileno $slave, $_) for 0, 1, 2;
		$ENV{TERM} = $type;
		delete @ENV{qw(LINES COLUMNS)};
		# As at a login: a test that a script has in the background ignores these, and so would what it starts
		$SIG{$_} = 'DEFAULT' for qw(INT QUIT);
		exec @cmd or POSIX::_exit(127);
	}
	return $self;
}

# size(ROWS, COLUMNS): of the window from now on; a program that runs is told
sub size {
	my ($self, $rows, $cols) = @_;
	my $size = pack 'S4', $rows, $cols, 0, 0;
	ioctl $self->{master}, $SWINSZ, $size or die "size: $!";
	@$self{qw(rows cols)} = ($rows, $cols);
	$self->{cell} = [ map { ' ' x $cols } 1 .. $rows ];
}

# The terminal's modes as text: what a program must leave as it found it
sub modes {
	my ($self) = @_;
	my $t = POSIX::Termios->new;
	$t->getattr(fileno $self->{slave}) or return 'gone';
	return join ' ', map { sprintf '%x', $_ } $t->getiflag, $t->getoflag, $t->getcflag, $t->getlflag;
}

sub type { my ($self, $keys) = @_; syswrite $self->{master}, $keys }

sub put {
	my ($self, $c) = @_;
	my ($y, $x) = @{ $self->{at} };
	return if $y >= $self->{rows} || $x >= $self->{cols};
	substr $self->{cell}[$y], $x, 1, $c;
	$self->{at}[1]++;
}

sub clear_line {
	my ($self, $y, $x) = @_;
	return if $y >= $self->{rows} || $x >= $self->{cols};
	substr $self->{cell}[$y], $x, $self->{cols} - $x, ' ' x ($self->{cols} - $x);
}

# Takes the bytes that are whole words off the list of what is to do
sub obey {
	my ($self) = @_;
	my $at = $self->{at};
	for ($self->{todo}) {
		while (length) {
			if (s/^\eY(.)(.)//s) { @$at = (ord($1) - 32, ord($2) - 32) }
			elsif (s/^\eA//) { $at->[0]-- if $at->[0] }
			elsif (s/^\eB// || s/^\n//) { $at->[0]++ if $at->[0] < $self->{rows} - 1 }
			elsif (s/^\eC//) { $at->[1]++ }
			elsif (s/^\eD// || s/^\x08//) { $at->[1]-- if $at->[1] }
			elsif (s/^\eH//) { @$at = (0, 0) }
			elsif (s/^\eJ//) { $self->clear_line($at->[0], $at->[1]); $self->clear_line($_, 0) for $at->[0] + 1 .. $self->{rows} - 1 }
			elsif (s/^\eK//) { $self->clear_line(@$at) }
			elsif (s/^\e[=>FGI]// || s/^\a//) { }
			elsif (s/^\r//) { $at->[1] = 0 }
			elsif (s/^\t//) { $at->[1] = ($at->[1] | 7) + 1 }
			elsif (/^\e.?.?\z/s) { return }
			elsif (s/^([\x20-\x7e])//) { $self->put($1) }
			else { s/^(.)//s; $self->{unknown} .= sprintf '\\x%02x', ord $1 }
		}
	}
}

# look(SECONDS): what has come within that time; false at the program's end
sub look {
	my ($self, $seconds) = @_;
	my $end = time + $seconds;
	do {
		my $in = '';
		vec($in, fileno $self->{master}, 1) = 1;
		if (select $in, undef, undef, 0.05) {
			my $n = sysread $self->{master}, my $bytes, 65536;
			return 0 if !$n;
			$self->{raw} .= $bytes;
			if ($self->{type} eq 'vt52') {
				$self->{todo} .= $bytes;
				$self->obey;
			}
		}
		return 0 if $self->ended;
	} while time < $end;
	return 1;
}

sub ended {
	my ($self) = @_;
	if (!defined $self->{status} && waitpid($self->{pid}, POSIX::WNOHANG()) == $self->{pid}) {
		$self->{status} = $? & 127 ? 128 + ($? & 127) : $? >> 8;
	}
	return defined $self->{status};
}

sub text { my ($self) = @_; return join '', map { s/ +$//r . "\n" } @{ $self->{cell} } }

# shows(REGEX[, SECONDS]): whether the screen comes to match
sub shows {
	my ($self, $re, $seconds) = @_;
	my $end = time + ($seconds // 20);
	until ($self->text =~ $re) {
		return 0 if time > $end || !$self->look(0.1);
	}
	return 1;
}

# status([SECONDS]): waits for the program to end; undef if it does not
sub status {
	my ($self, $seconds) = @_;
	my $end = time + ($seconds // 20);
	$self->look(0.1) until $self->ended || time > $end;
	return $self->{status} if $self->ended;
	kill 'KILL', $self->{pid};
	waitpid $self->{pid}, 0;
	return undef;
}

1;
