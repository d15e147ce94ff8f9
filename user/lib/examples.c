// SPDX-License-Identifier: GPL-2.0
#include "examples.h"

#include <stddef.h>
#include <string.h>

static const struct {
	const char *verb, *text;
} examples[] = {
	{ "attach", "The guest lives fifty times as fast, until Ctrl-C:\n"
		    "    twctl attach --vm my-guest --factor 50\n"
		    "It lives until a date, then the command ends:\n"
		    "    twctl attach --vm my-guest --policy until --param until=2038-01-19T03:14:00 \\\n"
		    "        --factor 1000 --exit-when-done\n"
		    "A VM that is started later:\n"
		    "    twctl attach my-guest --factor 50 --wait\n"
		    "What would be done, and whether it can be:\n"
		    "    twctl attach my-guest --factor 50 --dry-run\n"
		    "It goes on without this terminal:\n"
		    "    twctl attach --vm my-guest --factor 2 --pin\n" },
	{ "set", "Another factor, at once:\n    twctl set my-guest --factor 10\n"
		 "Parameters of the policy, all of them or none:\n    twctl set my-guest period=5s depth=0.1\n" },
	{ "swap", "From a factor to an idle guest that leaps:\n    twctl swap my-guest --policy skip-idle\n" },
	{ "detach", "Back to the host's pace; the guest keeps the time it has:\n    twctl detach my-guest\n"
		    "All of them:\n    twctl detach --all\n" },
	{ "run", "A disk image that boots shortly before 2038-01-19, at fifty times the pace:\n"
		 "    twctl run --date 2038-01-19T03:00:00 --factor 50 --image disk.qcow2 --snapshot\n"
		 "QEMU's options are your own:\n"
		 "    twctl run --policy skip-idle -- qemu-system-x86_64 -accel kvm -m 1G disk.qcow2\n" },
	{ "jump", "An hour on:\n    twctl jump my-guest +1h\n"
		  "To a date:\n    twctl jump my-guest 2038-01-19T03:14:00\n" },
	{ "step", "A guest under the policy freeze lives ten milliseconds, a hundred times:\n"
		  "    twctl step --vm my-guest 10ms --count 100\n" },
	{ "wait", "Until the policy of a VM is done, five minutes at most:\n"
		  "    twctl wait my-guest --done --timeout 5m\n"
		  "Until it is a day later there:\n    twctl wait my-guest --until 1d\n" },
	{ "age", "What a year does to a guest:\n"
		 "    twctl age --vm my-guest --span 1y --report report\n" },
	{ "list", "What there is, each second:\n    twctl list --every 1s\n"
		  "For scripts:\n    twctl list -j | jq -r '.vms[] | [.vm, .owner, .name] | @tsv'\n" },
	{ "status", "One VM:\n    twctl status my-guest\n"
		    "All, those at the host's pace too:\n    twctl status --all\n"
		    "A line each second:\n    twctl status my-guest --every 1s\n" },
	{ "policy", "Write one, build it, drive it through what the kernel may ask:\n"
		    "    twctl policy new mine\n    twctl policy build mine.bpf.c\n"
		    "    twctl policy check mine.bpf.c\n"
		    "A week under a plan, before a guest lives it:\n"
		    "    twctl policy run schedule --from 2038-01-18 --span 7d \\\n"
		    "        --param 'plan=100 until 2038-01-19T03:13:00, 1'\n" },
	{ "trace", "Ticks that are lost, and clocks that jump:\n    twctl trace --vm my-guest lost clock\n"
		   "Stop at the first tick that is a millisecond late:\n"
		   "    twctl trace --vm my-guest delivered --on-threshold 'late>1ms'\n" },
	{ "hist", "Half a minute, with a picture:\n    twctl hist --vm my-guest -d 30s --svg late.svg\n" },
	{ "stat", "Each second:\n    twctl stat 1s\n"
		  "Where the vCPUs' time goes:\n    twctl stat --cpu 1s\n"
		  "For node_exporter, for months:\n"
		  "    twctl stat --every 15s --prometheus /var/lib/prometheus/node-exporter/twctl.prom\n" },
	{ "top", "The worst first, twice a second:\n    twctl top 500ms\n" },
	{ "doctor", "What is wrong with a guest's time, after two seconds of watching:\n"
		    "    twctl doctor my-guest -d 2s\n" },
	{ "probe", "What this host has, and what it lacks:\n    twctl probe\n" },
	{ "qualify", "Two minutes, and a file to be sent in:\n"
		     "    twctl qualify --report qualify.txt\n"
		     "One mode again, of which something does not hold:\n"
		     "    twctl qualify --tsc scaled\n" },
	{ "help", "The manual page of a verb:\n    twctl help --man stat | man -l -\n"
		  "Completion in this shell:\n    . <(twctl help --completion bash)\n" },
};

const char *tw_examples(const char *verb)
{
	size_t i;

	for (i = 0; i < sizeof(examples) / sizeof(*examples); i++)
		if (!strcmp(examples[i].verb, verb))
			return examples[i].text;
	return NULL;
}
