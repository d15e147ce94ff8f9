#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The archive that make image writes is one that podman and the like take: of a small root in the image's place, with
# timewarp-host and the programs that it runs before it boots anything. skopeo reads it, crun runs it in a container.
cd "$(dirname "$0")/../.." || exit 1
. tests/build/tap.sh
. tests/image/oci.sh
if [ "$(id -u)" != 0 ]; then
	echo "1..0 # SKIP needs root, as tools/image does"
	exit 0
fi
for c in umoci skopeo crun; do command -v $c >/dev/null || { echo "1..0 # SKIP no $c: make setup-deb"; exit 0; }; done
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
export TIMEWARP_CACHE=$dir/cache

root=$dir/root lib=$dir/root/usr/lib/timewarp/host
mkdir -p "$lib" "$root"/{proc,sys,dev,tmp,usr/bin,usr/lib64}
for d in bin lib lib64; do ln -s usr/$d "$root/$d"; done
for c in bash cat dirname env find head id realpath sed sort tail uname; do
	c=$(command -v "$c")
	cp -L "$c" "$root/usr/bin/"
	ldd "$c" | grep -o '/[^ ]*'
done | sort -u | xargs cp -L --parents -t "$root"
cp tools/timewarp-host "$root/usr/bin/"
cp tools/lib.sh tools/host.sh "$lib/"
touch "$root/usr/bin/qemu-system-x86_64" "$lib/twexec"
chmod 4755 "$lib/twexec"
chown 65534:65534 "$root/usr/bin/qemu-system-x86_64"

ok "no image is there: the cure is told, and nothing written" says 1 "it has no usr/bin/timewarp-host" tools/image --root "$dir" --oci "$dir/none.tar"
ok "no archive of it either" test ! -e "$dir/none.tar"
ok "an archive is made" says 0 "$root" tools/image --root "$root" --oci "$dir/one.tar"
ok "and again" tools/image --root "$root" --oci "$dir/two.tar"
ok "the same root gives the same archive, to the byte" cmp "$dir/one.tar" "$dir/two.tar"
ok "nothing is left in the cache" finds_nothing find "$dir/cache" -type f
found() { says 0 "$1" oci_inspect "$dir/one.tar" "${@:2}"; }
ok "skopeo reads it, and its platform" found '"Architecture": "amd64"'
ok "and its system" found '"Os": "linux"'
ok "its entry point is timewarp-host" says 0 '"Entrypoint":["/usr/bin/timewarp-host"]' sh -c "skopeo inspect --config oci-archive:$dir/one.tar | tr -d ' \\n'"
ok "each layer and each description has the hash that it is named by" skopeo copy -q "oci-archive:$dir/one.tar" "dir:$dir/copied"
ok "it can be made an archive for docker load" skopeo copy -q "oci-archive:$dir/one.tar" "docker-archive:$dir/docker.tar:timewarp-host:latest"

ok "it is unpacked" oci_bundle "$dir/one.tar" "$dir/bundle"
own=$dir/bundle/rootfs
ok "with the same files" diff -r --no-dereference "$root" "$own"
ok "modes" test "$(stat -c %a "$own/usr/lib/timewarp/host/twexec")" = 4755
ok "and owners" test "$(stat -c %u "$own/usr/bin/qemu-system-x86_64")" = 65534
if oci_run "$dir/bundle" --help >"$dir/out" 2>&1; then
	ok "in a container it gives its help" grep -q -- '--accel kvm|tcg|auto' "$dir/out"
	ok "it finds the image that it is in, and says what is missing there" says 125 "no kernel in /" oci_run "$dir/bundle" run --accel tcg -- true
	mkdir -p "$own/var/lib/timewarp-host/6.12.0-fake"
	touch "$own/var/lib/timewarp-host/6.12.0-fake/"{kernel,initrd}
	chmod +x "$own/usr/bin/qemu-system-x86_64"
	ok "that it has no /dev/kvm, and how to give it one" says 125 "in a container: --device /dev/kvm" oci_run "$dir/bundle" run --accel kvm -- true
	ok "a share that was not given to the container" says 2 "there is no directory '/share'" oci_run "$dir/bundle" run --share /share -- true
else
	skip "in a container of crun's" "it runs none here: $(tail -n 1 "$dir/out")"
fi
done_testing
