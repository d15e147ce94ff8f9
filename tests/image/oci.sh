# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# An OCI archive as those see it who have it: skopeo, which reads it as podman does, and crun, which runs what is in it.
# Sourced.

# oci_inspect ARCHIVE [--config]: what skopeo finds in it
oci_inspect() { skopeo inspect "${@:2}" "oci-archive:$1"; }

# oci_bundle ARCHIVE DIR: unpacked, for crun
oci_bundle() {
	mkdir "$2.layout" && tar -xf "$1" -C "$2.layout" && umoci unpack --image "$2.layout:timewarp-host" "$2" >&2
	rm -rf "$2.layout"
}

# oci_run BUNDLE ARG...: its entry point with these, in a container without any device of this machine's. crun wants cgroup2
# alone, which a mount namespace of its own has.
oci_run() {
	# shellcheck disable=SC2016 # perl's, and the inner shell's
	perl -MJSON::PP -0777 -e 'my ($file, @args) = @ARGV; open my $f, "+<", $file or die "$file: $!"; my $c = decode_json(<$f>);
		@{$c->{process}}{"terminal", "args"} = (JSON::PP::false, [ $c->{process}{args}[0], @args ]);
		seek $f, 0, 0; truncate $f, 0; print $f encode_json($c)' "$1/config.json" "${@:2}" || return
	unshare --mount sh -c 'umount -lR /sys/fs/cgroup 2>/dev/null; mount -t cgroup2 none /sys/fs/cgroup && exec crun --cgroup-manager=disabled run --bundle "$1" "$2"' \
		sh "$1" "timewarp-host-$$"
}
