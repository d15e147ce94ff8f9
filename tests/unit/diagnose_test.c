// SPDX-License-Identifier: GPL-2.0
/* twctl doctor: time in QEMU's command lines, and what is found in it. */
#include "tap.h"

#include <stdlib.h>
#include <string.h>

#include "diagnose.h"

static const struct tw_facts good = {
	.is_qemu = true, .clocksource = "tsc", .tsc_invariant = 1, .periodic_sync = 1,
	.min_timer_period_us = 200, .vmware_backdoor = 0, .offsets_differ = 0, .vcpus = 2,
	.host_cpus = 4, .state = 'S',
};

/* The ids that are found, worst first, each followed by a blank */
static const char *ids(const struct tw_facts *f)
{
	static char text[1024];
	struct tw_finding found[TW_FINDINGS_MAX];
	size_t n = tw_diagnose(f, found), i;

	*text = 0;
	for (i = 0; i < n; i++) {
		assert_true(*found[i].fact && found[i].meaning);
		assert_true(!i || found[i - 1].severity <= found[i].severity);
		strcat(strcat(text, found[i].id), " ");
	}
	return text;
}

static const char *of_cmdline(const char *argv, size_t len)
{
	/* exactly as long as it is, so that the sanitizer sees one byte too many */
	char *copy = malloc(len);
	struct tw_facts f = good;

	assert_non_null(copy);
	memcpy(copy, argv, len);
	tw_qemu_time_parse(copy, len, &f.q);
	free(copy);
	return ids(&f);
}

#define OF(words) of_cmdline(words, sizeof(words))

/* What nobody can switch off, and the command line that switches off all else */
#define ALWAYS "ptp-kvm rtc "
#define CLEAN "qemu\0-nodefaults\0-machine\0q35,hpet=off,pit=off\0-cpu\0host,invtsc=on\0" \
	      "-rtc\0base=utc,driftfix=slew"

static void nothing_provoked(void **state)
{
	(void)state;
	assert_string_equal(OF(CLEAN), ALWAYS);
	assert_string_equal(OF("qemu\0-M\0hpet=off,pit=off\0-nic\0none\0-cpu\0host,+invtsc\0"
			       "-global\0mc146818rtc.lost_tick_policy=slew"), ALWAYS);
	/* what is another option's argument says nothing */
	assert_string_equal(OF(CLEAN "\0-name\0-no-kvmclock\0-append\0-rtc\0-serial\0-netdev"), ALWAYS);
}

static void each_provoked(void **state)
{
	static const struct {
		const char *words, *expect;
		size_t len;
	} rows[] = {
#define ROW(words, expect) { CLEAN "\0" words, expect, sizeof(CLEAN "\0" words) }
		ROW("-machine\0kernel-irqchip=off", "irqchip-off " ALWAYS),
		ROW("-accel\0kvm,kernel-irqchip=split", "irqchip-split " ALWAYS),
		ROW("-machine\0kernel_irqchip=split", "irqchip-split " ALWAYS),
		ROW("-machine\0kernel-irqchip=on", ALWAYS),
		ROW("-machine\0hpet=on", "hpet " ALWAYS),
		ROW("-machine\0hpet=on\0-no-hpet", ALWAYS),
		ROW("-machine\0pit=on", "pit " ALWAYS),
		ROW("-machine\0pit=on\0-global\0kvm-pit.lost_tick_policy=discard", "pit " ALWAYS "pit-discard "),
		ROW("-machine\0pit=on\0-global\0kvm-pit.lost_tick_policy=delay", "pit " ALWAYS),
		ROW("-global\0kvm-pit.lost_tick_policy=discard", ALWAYS),
		ROW("-rtc\0driftfix=none", ALWAYS "rtc-discard "),
		ROW("-rtc\0base=localtime", ALWAYS "rtc-localtime "),
		ROW("-cpu\0host,invtsc,-kvmclock", "no-kvmclock rtc "),
		ROW("-cpu\0host,invtsc,kvmclock=off", "no-kvmclock rtc "),
		ROW("-cpu\0host,invtsc,kvm=off", "no-kvmclock rtc "),
		ROW("-cpu\0host,invtsc,kvm=off,hv_time", "hyperv rtc "),
		ROW("-cpu\0host,invtsc,hv-stimer=on", "hyperv " ALWAYS),
		ROW("-cpu\0host,invtsc,hv-time=on\0-cpu\0host,invtsc", ALWAYS),
		ROW("-cpu\0host", ALWAYS "no-invtsc "),
		ROW("-cpu\0host,invtsc,tsc-frequency=1000000000", ALWAYS "tsc-frequency "),
		ROW("-accel\0kvm,xen-version=0x4000a", ALWAYS "xen "),
		ROW("-netdev\0user,id=n", "network " ALWAYS),
		ROW("-nic\0user", "network " ALWAYS),
		ROW("-nic\0none", ALWAYS),
		ROW("-device\0virtserialport,name=org.qemu.guest_agent.0", "guest-agent " ALWAYS),
		ROW("-device\0{\"driver\":\"virtserialport\",\"name\":\"org.qemu.guest_agent.0\"}",
		    "guest-agent " ALWAYS),
#undef ROW
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(of_cmdline(rows[i].words, rows[i].len), rows[i].expect);
	assert_string_equal(OF("qemu"), "hpet network pit " ALWAYS "no-invtsc rtc-discard ");
}

static void host_provoked(void **state)
{
	struct tw_facts f;

	(void)state;
#define EXPECT(change, expect)						\
	do {								\
		f = good;						\
		tw_qemu_time_parse(CLEAN, sizeof(CLEAN), &f.q);		\
		change;							\
		assert_string_equal(ids(&f), expect);			\
	} while (0)
	EXPECT(strcpy(f.clocksource, "hpet"), "host-clocksource " ALWAYS);
	EXPECT(*f.clocksource = 0, ALWAYS);
	EXPECT(f.tsc_invariant = 0, ALWAYS "host-tsc ");
	EXPECT(f.periodic_sync = 0, ALWAYS "kvmclock-sync ");
	EXPECT(f.min_timer_period_us = 1000, "timer-floor " ALWAYS);
	EXPECT(f.vmware_backdoor = 1, ALWAYS "vmware-backdoor ");
	EXPECT(f.offsets_differ = 1, "tsc-offsets " ALWAYS);
	EXPECT(f.vcpus = 5, "overcommit " ALWAYS);
	EXPECT(f.vcpus = -1, ALWAYS);
	EXPECT(f.state = 'T', "stopped " ALWAYS);
	EXPECT(f.is_qemu = false, "vmm-unknown ");
}

/* Cut anywhere, as the kernel or a process may have done to it: no crash, and no option made up */
static void cut_short(void **state)
{
	static const char line[] = "qemu\0-cpu\0host,hv_time,+,-,,=,=x\0-rtc\0,,base=,\0-machine\0=\0-global";
	size_t len;

	(void)state;
	for (len = 1; len <= sizeof(line); len++)
		assert_null(strstr(of_cmdline(line, len), "agent"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_provoked),
		cmocka_unit_test(each_provoked),
		cmocka_unit_test(host_provoked),
		cmocka_unit_test(cut_short),
	};

	return RUN_TAP(tests);
}
