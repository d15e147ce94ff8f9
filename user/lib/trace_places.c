// SPDX-License-Identifier: GPL-2.0
#include "trace_places.h"

#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trace_unit.h"
#include "trace.skel.h"
#include "types.h"

static bool module_param_on(const char *path)
{
	char *text = tw_read_file(path, NULL);
	bool on = text && (*text == 'Y' || *text == '1');

	free(text);
	return on;
}

bool tw_places_have_apicv(void)
{
	return module_param_on("/sys/module/kvm_intel/parameters/enable_apicv") ||
	       module_param_on("/sys/module/kvm_amd/parameters/avic");
}

/* Functions of all modules of KVM, by name */
static bool kernel_has_func(const char *name)
{
	return tw_types_find(tw_types_of_kvm(), BTF_KIND_FUNC, name) >= 0 ||
	       tw_types_find(tw_types_of(TW_PART_KVM_AMD), BTF_KIND_FUNC, name) >= 0 ||
	       tw_types_find(tw_types_of(TW_PART_KVM_INTEL), BTF_KIND_FUNC, name) >= 0;
}

static bool kernel_has_tracepoint(const char *name)
{
	char type[64];

	snprintf(type, sizeof(type), "btf_trace_%s", name);
	return tw_types_find(tw_types_of_kvm(), BTF_KIND_TYPEDEF, type) >= 0;
}

void tw_places_leave_out(struct tw_strings *missing, const char *name)
{
	size_t i;

	for (i = 0; i < missing->n; i++)
		if (!strcmp(missing->v[i], name))
			return;
	tw_strings_add(missing, tw_strdup(name));
}

bool tw_places_left_out(const struct tw_strings *missing, const char *name)
{
	size_t i;

	for (i = 0; i < missing->n; i++)
		if (!strcmp(missing->v[i], name))
			return true;
	return false;
}

/* Of two programs for two kinds of CPU, one is always without a place: no loss */
static bool is_other_cpu(const struct tw_trace_bpf *skel, const struct bpf_program *p)
{
	return p == skel->progs.svm_entry || p == skel->progs.vmx_entry;
}

void tw_places_choose(const struct tw_trace_bpf *skel, bool armed, struct tw_strings *missing)
{
	struct bpf_program *p;

	bpf_object__for_each_program(p, skel->obj) {
		const char *sec = bpf_program__section_name(p), *func = strchr(sec, '/');
		bool wanted = !tw_places_left_out(missing, bpf_program__name(p));

		func = func ? func + 1 : sec;
		if (!strncmp(func, "kvm:", 4))
			func += 4;
		if (!strncmp(sec, "fentry/", 7) || !strncmp(sec, "fexit/", 6)) {
			if (!kernel_has_func(func)) {
				wanted = false;
				if (!is_other_cpu(skel, p))
					tw_places_leave_out(missing, bpf_program__name(p));
			}
		} else if (p == skel->progs.apicv_entry) {
			wanted = wanted && tw_places_have_apicv();
		} else if (!strncmp(func, "kvm_timewarp_", 13)) {
			/* A kernel without the patch has no timelines: no loss */
			wanted = wanted && kernel_has_tracepoint(func);
		}
		if (!armed && p == skel->progs.lapic_armed)
			wanted = false;
		bpf_program__set_autoload(p, wanted);
	}
}

void tw_places_missing(struct tw_strings *names)
{
	struct tw_trace_bpf *skel = tw_trace_bpf__open();

	*names = (struct tw_strings){ 0 };
	if (skel)
		tw_places_choose(skel, true, names);
	tw_trace_bpf__destroy(skel);
}
