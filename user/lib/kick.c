// SPDX-License-Identifier: GPL-2.0
#include "kick.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kick.skel.h"
#include "timewarp.h"
#include "types.h"

/* By which the kernel knows the types of module kvm; -ENOSYS if it has none, or -errno */
static int kvm_btf_fd(void)
{
	int err = -ENOSYS;
	__u32 id = 0;

	while (!bpf_btf_get_next_id(id, &id)) {
		int fd = bpf_btf_get_fd_by_id(id);
		char name[64] = "";
		struct bpf_btf_info info = { .name = (uintptr_t)name, .name_len = sizeof(name) };
		__u32 len = sizeof(info);

		if (fd < 0) {
			/* one that has just gone is nobody's fault */
			err = errno == ENOENT ? err : -errno;
			continue;
		}
		if (!bpf_btf_get_info_by_fd(fd, &info, &len) && info.kernel_btf && !strcmp(name, "kvm"))
			return fd;
		close(fd);
	}
	return errno == ENOENT ? err : -errno;
}

/*
 * libbpf would look for the one function that is called among all types of vmlinux and of each module, 60 ms on a test
 * host.  It is called kvm_timewarp_ and the program's name.
 */
static int load(const struct bpf_program *prog)
{
	struct tw_types *kvm = tw_types_of_kvm();
	bool module = tw_types_base(kvm);
	struct bpf_insn insns[8];
	size_t n = bpf_program__insn_cnt(prog), i;
	int fds[2] = { -1, -1 }, function, fd;
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_flags = BPF_F_SLEEPABLE, .fd_array = fds);
	char name[64];

	snprintf(name, sizeof(name), "kvm_timewarp_%s", bpf_program__name(prog));
	function = tw_types_find(kvm, BTF_KIND_FUNC, name);
	if (function < 0 || !tw_types_first(kvm) || n > sizeof(insns) / sizeof(*insns))
		return -ENOSYS;
	fds[1] = module ? kvm_btf_fd() : -1;
	if (module && fds[1] < 0)
		return fds[1];
	memcpy(insns, bpf_program__insns(prog), n * sizeof(*insns));
	for (i = 0; i < n; i++)
		if (insns[i].code == (BPF_JMP | BPF_CALL)) {
			insns[i].src_reg = BPF_PSEUDO_KFUNC_CALL;
			insns[i].imm = tw_types_first(kvm) + function;
			insns[i].off = module;		/* which of @fds; 0: vmlinux */
		}
	fd = bpf_prog_load(BPF_PROG_TYPE_SYSCALL, bpf_program__name(prog), "GPL", insns, n, &opts);
	if (module)
		close(fds[1]);
	return fd;
}

static int run(int prog_fd, unsigned int id)
{
	struct timewarp_kick_args args = { .id = id };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &args, .ctx_size_in = sizeof(args));
	int err = bpf_prog_test_run_opts(prog_fd, &opts);

	return err ? err : (int)opts.retval;
}

/* Loaded once: a stepper kicks a thousand times */
static int loaded_fd(bool ask)
{
	static int fds[] = { -1, -1 };

	if (fds[ask] < 0) {
		struct tw_kick_bpf *skel = tw_kick_bpf__open();

		if (!skel)
			return -errno;
		fds[ask] = load(ask ? skel->progs.ask : skel->progs.kick);
		tw_kick_bpf__destroy(skel);
	}
	return fds[ask];
}

int tw_kick(unsigned int id, bool *loaded)
{
	int fd = loaded_fd(false);

	*loaded = fd >= 0;
	return fd < 0 ? fd : run(fd, id);
}

int tw_ask(unsigned int id)
{
	int fd = loaded_fd(true);

	return fd < 0 ? fd : run(fd, id);
}
