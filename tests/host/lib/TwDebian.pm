# SPDX-License-Identifier: GPL-2.0
# What the tests of an unmodified Debian (tools/debian-guest) share: its QEMU, its agent, what its journal says.
package TwDebian;
use strict;
use warnings;
use Exporter 'import';
use Test::More;
use TwHost;

our @EXPORT = qw(debian_disk debian_words debian_asked debian_complaints);

my $out = $ENV{OUT} // 'build/out';

# debian_disk(DIR): on a test host that tests/age/with-debian has booted: disk.img in DIR, of its own, to be written;
# returns the folder of kernel and initramfs
sub debian_disk {
	my ($dir) = @_;
	mkdir $dir;
	chomp(my $folder = slurp("$out/age-folder") // BAIL_OUT('tests/age/with-debian has brought no disk'));
	my ($rc, $said) = run('tar', '-C', $dir, '-xf', "$out/age-disk.tar");
	$rc == 0 or BAIL_OUT("the disk did not come over: $said");
	return $folder;
}

# debian_words(FOLDER, DISK, DIR, OPTION...): QEMU's, of a Debian that is booted directly, whose console is in DIR/console, and
# whose agent listens at DIR/agent. Whether it is emulated is for the caller's OPTIONs
sub debian_words {
	my ($folder, $disk, $dir, @more) = @_;
	chomp(my $append = slurp("$folder/append"));
	return (qw(setpriv --pdeathsig KILL qemu-system-x86_64 -nodefaults -no-user-config -display none -machine q35), '-kernel', "$folder/vmlinuz", '-initrd', "$folder/initrd.img",
		'-append', $append, '-chardev', "file,id=console,path=$dir/console,append=on", '-serial', 'chardev:console',
		'-drive', "if=none,id=disk,$disk", '-device', 'virtio-blk-pci,drive=disk',
		'-netdev', 'user,id=net', '-device', 'virtio-net-pci,netdev=net', '-device', 'virtio-rng-pci', '-device', 'virtio-serial-pci',
		'-chardev', "socket,id=agent,path=$dir/agent,server=on,wait=off", '-device', 'virtserialport,chardev=agent,name=org.qemu.guest_agent.0', @more);
}

# debian_asked(SOCKET, COMMAND[, SECONDS]): has the agent there run it; status and output
sub debian_asked { my ($socket, $command, $seconds) = @_; return run('tools/debian-agent', $socket, $seconds // 600, $command) }

# debian_complaints(SOCKET): what its journal, of all of its boots, has of watchdogs, lockups, clocks and units that failed
sub debian_complaints {
	# Its agent writes down what it is asked. A CPU whose TSCs Linux does not trust from the start, or whose XSAVE is not what
	# CPUID says (QEMU's, emulated), says nothing of a policy
	my ($rc, $said) = debian_asked(shift, 'journalctl --no-pager -o short-monotonic | grep -aE "'
		. join('|', '[Ww]atchdog timeout', 'lockup', '\\b[Ss]tall', 'starved', 'blocked for more', 'unstable', 'BUG:', 'WARNING:', 'I/O error',
			'Failed with result', 'code=(killed|dumped)', '[Tt]imed out') . '" | grep -vE "guest-exec called|TSCs unsynchronized|fpu__init_system_xstate"');
	return $rc == 0 || $rc == 1 ? $said : "no answer: $rc $said";
}

1;
