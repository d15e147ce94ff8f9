#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
# Ctrl-C on a script is not for what it has in the background; kill -INT is. On this machine, without a VM.
use strict;
use warnings;
use lib 'tests/host/lib';
use Test::More;
use TwScreen;

sub alive { return kill 0, $_[0] }
sub within { my ($s, $sub) = @_; for (1 .. $s * 20) { return 1 if $sub->(); select undef, undef, undef, 0.05 } return 0 }

my $file = "/tmp/tw-signals-$$";
END { unlink $file }
# The script ends by Ctrl-C; its PID and that of its command in the background go to a file
my $s = TwScreen->start(24, 80, 'sh', '-c', "build/twctl list --every 50ms >/dev/null 2>&1 & echo \$! >$file; sleep 1000");
ok(within(10, sub { -s $file }), 'a script has a command in the background');
open my $f, '<', $file or die;
chomp(my $pid = <$f>);
select undef, undef, undef, 0.5;
ok(alive($pid), '... which runs');
$s->type("\x03");
ok(within(10, sub { $s->look(0.05); $s->ended }), 'Ctrl-C ends the script');
select undef, undef, undef, 0.5;
ok(alive($pid), '... and not the command');
kill 'INT', $pid;
ok(within(10, sub { !alive($pid) }), 'kill -INT ends the command');
done_testing();
