// SPDX-License-Identifier: GPL-2.0
/* twctl doctor: time in QEMU's command lines, and what is found in it. */
#include "tap.h"

#include <stdlib.h>
#include <string.h>

#include "diagnose.h"
#include "kvmstat.h"
#include "trace.h"

static const struct tw_facts good = {
	.is_qemu = true, .clocksource = "tsc", .tsc_invariant = 1, .periodic_sync = 1,
	.min_timer_period_us = 200, .vmware_backdoor = 0, .offsets_differ = 0, .vcpus = 2,
	.host_cpus = 4, .state = 'S', .tsc_tolerance_ppm = 250, .halt_poll_ns = 200000,
	.timer_advance = 1, .advance_ns = 1000, .stable = -1,
	.vmm = TW_VMM_FOLLOW, .vmm_rtc = TW_VMM_CANNOT,
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
#define PTP "ptp-kvm "
#define ALWAYS "rtc " PTP
#define CLEAN "qemu\0-nodefaults\0-machine\0q35,hpet=off,pit=off\0-cpu\0host,invtsc=on\0" \
	      "-rtc\0base=utc,driftfix=slew\0-global\0ICH9-LPC.enable_tco=off"

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
		ROW("-accel\0kvm,kernel-irqchip=split", ALWAYS),
		ROW("-machine\0kernel-irqchip=on", ALWAYS),
		ROW("-machine\0hpet=on", ALWAYS),
		ROW("-machine\0pit=on", ALWAYS),
		ROW("-machine\0pit=on\0-global\0kvm-pit.lost_tick_policy=discard", "rtc pit-discard " PTP),
		ROW("-machine\0pit=on\0-global\0kvm-pit.lost_tick_policy=delay", ALWAYS),
		ROW("-global\0kvm-pit.lost_tick_policy=discard", ALWAYS),
		ROW("-rtc\0driftfix=none", ALWAYS "rtc-discard "),
		ROW("-rtc\0base=localtime", ALWAYS "rtc-localtime "),
		ROW("-cpu\0host,invtsc,-kvmclock", "no-kvmclock rtc "),
		ROW("-cpu\0host,invtsc,kvmclock=off", "no-kvmclock rtc "),
		ROW("-cpu\0host,invtsc,kvm=off", "no-kvmclock rtc "),
		ROW("-cpu\0host,invtsc,kvm=off,hv_time", "rtc "),
		ROW("-cpu\0host,invtsc,hv-stimer=on", ALWAYS),
		ROW("-cpu\0host,invtsc,hv-time=on\0-cpu\0host,invtsc", ALWAYS),
		ROW("-cpu\0host", "rtc no-invtsc " PTP),
		ROW("-cpu\0host,invtsc,tsc-frequency=1000000000", ALWAYS "tsc-frequency "),
		ROW("-accel\0kvm,xen-version=0x4000a", ALWAYS),
		ROW("-netdev\0user,id=n", "network ntp " ALWAYS),
		ROW("-nic\0user", "network ntp " ALWAYS),
		ROW("-nic\0none", ALWAYS),
		ROW("-device\0virtserialport,name=org.qemu.guest_agent.0", "guest-agent " ALWAYS),
		ROW("-device\0{\"driver\":\"virtserialport\",\"name\":\"org.qemu.guest_agent.0\"}",
		    "guest-agent " ALWAYS),
		ROW("-virtfs\0local,path=/srv,mount_tag=m,security_model=none", "rtc shares " PTP),
		ROW("-device\0vhost-user-fs-pci,chardev=c,tag=m", "rtc shares " PTP),
		ROW("-machine\0microvm\0-machine\0acpi=off", PTP),
		ROW("-M\0type=microvm", PTP),
		ROW("-M\0microvm,rtc=on", ALWAYS),
		ROW("-M\0pc-q35-7.2\0-global\0ICH9-LPC.enable_tco=on", ALWAYS "watchdog-itco "),
		ROW("-device\0i6300esb", ALWAYS "watchdog "),
#undef ROW
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(of_cmdline(rows[i].words, rows[i].len), rows[i].expect);
	assert_string_equal(OF("qemu"), "network ntp rtc no-invtsc " PTP "rtc-discard ");
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
	EXPECT(f.tsc_invariant = 0, "rtc host-tsc " PTP);
	EXPECT(f.ntp_ppm = 0.999, ALWAYS);
	EXPECT(f.ntp_ppm = -1, "rtc host-ntp " PTP);
	EXPECT(f.periodic_sync = 0, "rtc kvmclock-sync " PTP);
	EXPECT(f.min_timer_period_us = 1000, "timer-floor " ALWAYS);
	EXPECT(f.vmware_backdoor = 1, "rtc vmware-backdoor " PTP);
	EXPECT(f.offsets_differ = 1, "tsc-offsets " ALWAYS);
	EXPECT(f.vcpus = 5, "overcommit " ALWAYS);
	EXPECT(f.vcpus = -1, ALWAYS);
	EXPECT(f.state = 'T', "stopped " ALWAYS);
	EXPECT(f.stopped = true, "stopped " ALWAYS);
	EXPECT((f.stopped = true, f.state = 't'), "stopped " ALWAYS);
	EXPECT((f.behind_ns = 5000000000, f.behind_what = "its RTC's"), "behind " ALWAYS);
	EXPECT((f.behind_ns = 5000000000, f.behind_what = "its RTC's", f.stopped = true), "stopped " ALWAYS);
	EXPECT(strcpy(f.left_over, "process 7 cannot"), "left-over " ALWAYS);
	EXPECT(f.is_qemu = false, "vmm-unknown ");
	EXPECT(f.tsc_tolerance_ppm = 251, ALWAYS "tsc-tolerance ");
	EXPECT(f.tsc_tolerance_ppm = 0, ALWAYS);
	EXPECT(f.halt_poll_ns = 0, "rtc halt-poll-off " PTP);
	EXPECT(f.halt_poll_ns = -1, ALWAYS);
	EXPECT(f.timer_advance = 0, ALWAYS "timer-advance-off ");
	EXPECT(f.timer_advance = -1, ALWAYS);
	EXPECT(f.advance_ns = 5000, ALWAYS);
	EXPECT(f.advance_ns = 5001, ALWAYS "timer-advance ");
}

static void behind_by_what_qemu_let_it_stand(void **state)
{
	struct tw_finding found[TW_FINDINGS_MAX];
	struct tw_facts f;

	(void)state;
	EXPECT((f.behind_ns = 5000000000, f.behind_what = "the host's"), "behind " ALWAYS);
	tw_diagnose(&f, found);
	assert_string_equal(found[0].fact, "QEMU has let it stand: its date is 5.000s behind the host's");
	assert_non_null(strstr(found[0].cure, "catchup"));
}

/* The clocks that QEMU keeps: they follow, would, or cannot */
static void qemus_clocks(void **state)
{
	static const struct {
		const char *words, *could, *cannot;
		size_t len;
	} rows[] = {
#define ROW(words, could, cannot) { CLEAN "\0" words, could, cannot, sizeof(CLEAN "\0" words) }
		ROW("-machine\0hpet=on", "acpi-pm hpet ptp-kvm rtc ", "acpi-pm hpet rtc " PTP),
		ROW("-machine\0hpet=on\0-no-hpet", "acpi-pm ptp-kvm rtc ", "acpi-pm rtc " PTP),
		ROW("-no-acpi", "ptp-kvm rtc ", ALWAYS),
		ROW("-machine\0acpi=off,pit=on,kernel_irqchip=split", "irqchip-split ptp-kvm rtc ",
		    "irqchip-split " ALWAYS),
		ROW("-machine\0acpi=off,kernel-irqchip=split", "ptp-kvm rtc ", ALWAYS),
		ROW("-machine\0acpi=off,kernel-irqchip=off", "irqchip-off lapic ptp-kvm rtc ",
		    "irqchip-off lapic " ALWAYS),
		ROW("-no-acpi\0-object\0iothread,id=a", "iothread ptp-kvm rtc ", "rtc iothread " PTP),
		ROW("-no-acpi\0-object\0{\"qom-type\":\"iothread\",\"id\":\"a\"}",
		    "iothread ptp-kvm rtc ", "rtc iothread " PTP),
#undef ROW
	};
	struct tw_finding found[TW_FINDINGS_MAX];
	struct tw_facts f;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		f = good;
		tw_qemu_time_parse(rows[i].words, rows[i].len, &f.q);
		f.iothread_uring = f.q.iothread;
		f.vmm = f.vmm_rtc = TW_VMM_COULD;
		assert_string_equal(ids(&f), rows[i].could);
		f.vmm = f.vmm_rtc = TW_VMM_CANNOT;
		assert_string_equal(ids(&f), rows[i].cannot);
	}
	EXPECT((f.vmm = f.vmm_rtc = TW_VMM_FOLLOW), PTP);
	EXPECT((f.attached = f.factor_met = f.iothread_uring = true), "iothread rtc " PTP);
	strcpy(f.vmm_rtc_why, "it was told to");
	assert_true(tw_diagnose(&f, found) > 1 && !strcmp(found[1].id, "rtc"));
	assert_string_equal(found[1].fact, "RTC: base utc, clock host; it was told to");
}

static void counts_provoked(void **state)
{
	struct tw_facts f;

	(void)state;
	EXPECT(f.poll_vain_ns = 8000000000, ALWAYS);
	EXPECT((f.stats = true, f.poll_vain_ns = 8000000000), "rtc halt-poll-vain " PTP);
	EXPECT((f.stats = true, f.poll_vain_ns = 8000000000, f.poll_ok_ns = 2000000000), ALWAYS);
	EXPECT((f.stats = true, f.poll_vain_ns = 1000000000), ALWAYS);
	EXPECT((f.attached = true, f.factor_met = true), ALWAYS);
	EXPECT(f.attached = true, "rtc factor " PTP);
	EXPECT((f.attached = f.factor_met = true, f.warp_lost_ticks = 1), "warp-lost-ticks " ALWAYS);
	EXPECT((f.attached = f.factor_met = true, f.warp_floors = 1), ALWAYS "warp-floors ");
	EXPECT((f.world.span_ns = 2000, f.world.run_ns = 900, f.world.steal_ns = 60),
	       "steal " ALWAYS);
	EXPECT((f.world.span_ns = 2000, f.world.run_ns = 900, f.world.steal_ns = 40), ALWAYS);
	EXPECT((f.world.span_ns = 18000, f.world.run_ns = 900, f.world.steal_ns = 60), ALWAYS);
	EXPECT(f.still_ns = 300000000, "was-stopped " ALWAYS);
	EXPECT(f.still_ns = 40000000, ALWAYS);
	EXPECT(f.reads.hpet = 3, ALWAYS "reads-hpet ");
	EXPECT(f.reads.pm_timer = 3, ALWAYS "reads-acpi-pm ");
	EXPECT(f.back = 1, "clock-back " ALWAYS);
	EXPECT(f.forward = 1, "rtc clock-forward " PTP);
	EXPECT(f.catchup = true, "tsc-catchup " ALWAYS);
	EXPECT(f.stable = 0, "no-master-clock " ALWAYS);
	EXPECT(f.stable = 1, ALWAYS);
	EXPECT(f.watched[TRACE_PIT].seen = true, ALWAYS);
	EXPECT(f.watched[TRACE_PIT].lost = 1, ALWAYS);
	EXPECT((f.watched[TRACE_PIT].seen = true, f.watched[TRACE_PIT].lost = 1),
	       "ticks-lost " ALWAYS);
	EXPECT((f.watched[TRACE_PIT].seen = true, f.watched[TRACE_PIT].owed = 1),
	       "ticks-lost " ALWAYS);
	EXPECT((f.watched[TRACE_XEN].seen = true, f.watched[TRACE_XEN].p99_ns = 1000001),
	       ALWAYS "ticks-late ");
}

static void clocks_offered(void **state)
{
	static const struct {
		const char *words, *expect;
		size_t len;
	} rows[] = {
#define ROW(words, expect) { words, expect, sizeof(words) }
		ROW("qemu", "kvm-clock tsc(not-invariant) hpet acpi_pm "),
		ROW(CLEAN, "kvm-clock tsc acpi_pm "),
		ROW(CLEAN "\0-no-acpi", "kvm-clock tsc "),
		ROW(CLEAN "\0-machine\0acpi=off", "kvm-clock tsc "),
		ROW("qemu\0-no-hpet\0-cpu\0host,kvm=off,hv-time\0-accel\0kvm,xen-version=0x4000a",
		    "hyperv_clocksource_tsc_page xen tsc(not-invariant) acpi_pm "),
#undef ROW
	};
	struct tw_qemu_time q;
	char buf[128];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		tw_qemu_time_parse(rows[i].words, rows[i].len, &q);
		assert_string_equal(tw_clocks_offered(&q, buf, sizeof(buf)), rows[i].expect);
	}
}

/* A guest whose state comes from elsewhere, as of virsh restore, does not begin here */
static void incoming_guests(void **state)
{
	static const char fresh[] = "qemu\0-S\0-name\0incoming", restored[] = "qemu\0-S\0-incoming\0defer",
			  snapshot[] = "qemu\0--loadvm\0one";
	struct tw_qemu_time q;

	(void)state;
	tw_qemu_time_parse(fresh, sizeof(fresh), &q);
	assert_false(q.incoming);
	tw_qemu_time_parse(restored, sizeof(restored), &q);
	assert_true(q.incoming);
	tw_qemu_time_parse(snapshot, sizeof(snapshot), &q);
	assert_true(q.incoming);
}

/* A file as KVM_GET_STATS_FD gives it, with two statistics, and cut anywhere */
static void binary_stats(void **state)
{
	struct {
		uint32_t flags, name_size, num_desc, id, desc, data;
		char name[8];
		struct {
			uint32_t flags;
			int16_t exponent;
			uint16_t size;
			uint32_t offset, bucket;
			char name[8];
		} d[2];
		uint64_t v[3];
	} f = {
		.name_size = 8, .num_desc = 2, .id = 24, .desc = 32, .data = 80, .name = "kvm-1",
		.d = { { .size = 2, .name = "hist" }, { .size = 1, .offset = 16, .name = "exits" } },
		.v = { 11, 12, 13 },
	};
	uint64_t v;
	size_t len;

	(void)state;
	assert_int_equal(sizeof(f), 104);
	assert_true(tw_kvmstat_value(&f, sizeof(f), "hist", &v) && v == 11);
	assert_true(tw_kvmstat_value(&f, sizeof(f), "exits", &v) && v == 13);
	assert_false(tw_kvmstat_value(&f, sizeof(f), "exit", &v));
	for (len = 0; len < sizeof(f); len++) {
		void *copy = malloc(len ? len : 1);

		memcpy(copy, &f, len);
		assert_false(tw_kvmstat_value(copy, len, "exits", &v));
		free(copy);
	}
	f.d[1].offset = UINT32_MAX;
	assert_false(tw_kvmstat_value(&f, sizeof(f), "exits", &v));
	f.name_size = UINT32_MAX;
	assert_false(tw_kvmstat_value(&f, sizeof(f), "exits", &v));
	f.name_size = 8;
	f.num_desc = UINT32_MAX;
	assert_false(tw_kvmstat_value(&f, sizeof(f), "none", &v));
	memset(f.d[0].name, 'x', 8);
	assert_false(tw_kvmstat_value(&f, sizeof(f), "none", &v));
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
		cmocka_unit_test(qemus_clocks),
		cmocka_unit_test(behind_by_what_qemu_let_it_stand),
		cmocka_unit_test(counts_provoked),
		cmocka_unit_test(clocks_offered),
		cmocka_unit_test(incoming_guests),
		cmocka_unit_test(binary_stats),
		cmocka_unit_test(cut_short),
	};

	return RUN_TAP(tests);
}
