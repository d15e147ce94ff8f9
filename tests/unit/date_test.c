// SPDX-License-Identifier: GPL-2.0
/* What is said of a guest's date, and of the clocks that it has. */
#include "tap.h"

#include <string.h>

#include "clocks.h"
#include "qemu/date.h"

#define S 1000000000LL
#define DAY (86400 * S)

static void an_rtc_that_agrees_says_nothing(void **state)
{
	(void)state;
	assert_int_equal(tw_date_ahead_ns(&(struct tw_date_look) { 0 }), 0);
	assert_int_equal(tw_date_ahead_ns(&(struct tw_date_look) { .rtc = true, .rtc_ns = 900000000 }), 0);
	assert_int_equal(tw_date_ahead_ns(&(struct tw_date_look) { .rtc = true, .rtc_ns = 3 * DAY, .lead_ns = 3 * DAY + S }), 0);
}

static void a_date_that_the_rtc_was_given_is_the_guests(void **state)
{
	struct tw_date_look d = { .rtc = true, .fixed = true, .rtc_ns = 1000 * DAY, .base_ns = 1000 * DAY - S };

	(void)state;
	assert_int_equal(tw_date_ahead_ns(&d), 1000 * DAY);
	/* after attachments, which it followed, and which it did not */
	d.lead_ns = 30 * DAY;
	d.rtc_ns = 1030 * DAY;
	assert_int_equal(tw_date_ahead_ns(&d), 1000 * DAY);
	d.rtc_ns = 1000 * DAY;
	assert_int_equal(tw_date_ahead_ns(&d), d.base_ns);
	d.rtc_ns = 1010 * DAY;
	assert_int_equal(tw_date_ahead_ns(&d), d.base_ns);
	/* and set in the guest beside that: hwclock --systohc after date -s */
	d.rtc_ns = 1100 * DAY;
	assert_int_equal(tw_date_ahead_ns(&d), 1070 * DAY);
}

/* twctl run --date: neither lacks what the other is ahead by */
static void a_guest_that_begins_ahead_with_its_rtc_is_where_both_are(void **state)
{
	struct tw_date_look d = {
		.rtc = true, .rtc_virtual = true, .fixed = true,
		.rtc_ns = 4000 * DAY, .lead_ns = 4000 * DAY, .base_ns = 4000 * DAY,
	};

	(void)state;
	assert_int_equal(tw_date_ahead_ns(&d), 0);
	/* lived since, as it did */
	d.rtc_ns = 4002 * DAY + S;
	d.lead_ns = 4002 * DAY;
	assert_int_equal(tw_date_ahead_ns(&d), 0);
}

static void a_date_that_was_set_in_the_guest_is_known_by_its_rtc(void **state)
{
	struct tw_date_look d = { .rtc = true, .rtc_ns = 5 * DAY };

	(void)state;
	assert_int_equal(tw_date_ahead_ns(&d), 5 * DAY);
	d.rtc_ns = -5 * DAY;
	assert_int_equal(tw_date_ahead_ns(&d), -5 * DAY);
}

/* What it was ahead by in the process that it came from is in its RTC, and in no timeline */
static void a_restored_guest_is_as_far_ahead_as_its_rtc(void **state)
{
	struct tw_date_look d = { .rtc = true, .rtc_ns = 3 * DAY };

	(void)state;
	assert_int_equal(tw_date_ahead_ns(&d), 3 * DAY);
	/* and jumped since */
	d.lead_ns = DAY;
	d.rtc_ns = 4 * DAY;
	assert_int_equal(tw_date_ahead_ns(&d), 3 * DAY);
}

/* While it was in a file its RTC went on */
static void a_restored_guest_is_behind_by_what_it_was_kept(void **state)
{
	/* made a day ago, of which it has lived all but a minute; KVM has its clock, which was 0 then, at host_ns and the offset */
	int64_t host_ns = 1000 * S, offset = DAY - 60 * S - host_ns;
	struct tw_date_look d = { .rtc = true, .rtc_set_ns = DAY };

	(void)state;
	d.stood_ns = tw_kept_of(&d, host_ns, offset);
	assert_int_equal(d.stood_ns, 60 * S);
	assert_int_equal(tw_date_ahead_ns(&d), -60 * S);
	assert_int_equal(tw_date_behind_ns(&d), 60 * S);
	/* ahead by a year where it came from, which is in its clock, and by a day more since */
	d.rtc_ns = 366 * DAY;
	d.rtc_set_ns = 367 * DAY;
	d.lead_ns = d.ahead_ns = DAY;
	d.stood_ns = tw_kept_of(&d, host_ns, offset + 365 * DAY);
	assert_int_equal(d.stood_ns, 60 * S);
	assert_int_equal(tw_date_ahead_ns(&d), 365 * DAY - 60 * S);
	assert_int_equal(tw_date_behind_ns(&d), 60 * S);
	/* it was given a date */
	d = (struct tw_date_look) { .rtc = true, .fixed = true, .rtc_ns = 1000 * DAY, .rtc_set_ns = DAY };
	assert_int_equal(tw_kept_of(&d, host_ns, offset), 60 * S);
	/* moved, and kept nowhere; and has set its RTC since: that is younger than what it has lived */
	d = (struct tw_date_look) { .rtc = true, .rtc_set_ns = DAY };
	assert_int_equal(tw_kept_of(&d, host_ns, offset + 59 * S), 0);
	d.rtc_set_ns = 600 * S;
	assert_int_equal(tw_kept_of(&d, host_ns, offset), 0);
	/* nothing is known of it */
	d = (struct tw_date_look) { 0 };
	assert_int_equal(tw_kept_of(&d, host_ns, offset), 0);
}

static void an_rtc_that_did_not_follow_is_not_the_guests_date(void **state)
{
	struct tw_date_look d = { .rtc = true, .lead_ns = 3 * DAY };

	(void)state;
	assert_int_equal(tw_date_ahead_ns(&d), 0);
	d.rtc_ns = DAY;
	assert_int_equal(tw_date_ahead_ns(&d), 0);
	d.lead_ns = -3 * DAY;
	d.rtc_ns = 0;
	assert_int_equal(tw_date_ahead_ns(&d), 0);
}

static void a_guest_that_was_stopped_is_behind_its_rtc(void **state)
{
	struct tw_date_look d = { .rtc = true, .stood_ns = 60 * S };

	(void)state;
	assert_int_equal(tw_date_ahead_ns(&d), -60 * S);
	assert_int_equal(tw_date_behind_ns(&d), 60 * S);
	/* at a factor, by what its RTC lived meanwhile */
	d.lead_ns = DAY;
	d.rtc_ns = DAY;
	assert_int_equal(tw_date_ahead_ns(&d), -60 * S);
	assert_int_equal(tw_date_behind_ns(&d), 60 * S);
	/* catchup, with --vmm off */
	d.lead_ns = d.ahead_ns = 60 * S;
	d.rtc_ns = 0;
	assert_int_equal(tw_date_ahead_ns(&d), -60 * S);
	assert_int_equal(tw_date_behind_ns(&d), 0);
}

/* As it does while the probes are there */
static void an_rtc_that_stood_with_the_guest_is_its_date(void **state)
{
	/* a second at 50x, and stopped for two */
	struct tw_date_look d = { .rtc = true, .stood_ns = 100 * S, .rtc_stood_ns = 100 * S, .rtc_ns = -100 * S, .ahead_ns = 147 * S };

	(void)state;
	assert_int_equal(tw_date_ahead_ns(&d), -100 * S);
	assert_int_equal(tw_date_behind_ns(&d), 0);
	/* detached: what it was ahead by is in the RTC */
	d.rtc_stood_ns = 0;
	d.lead_ns = 147 * S;
	d.rtc_ns = 47 * S;
	assert_int_equal(tw_date_ahead_ns(&d), -100 * S);
	assert_int_equal(tw_date_behind_ns(&d), 0);
	/* the host is before it: stopped at rate 1 */
	d = (struct tw_date_look) { .rtc = true, .stood_ns = 60 * S, .rtc_ns = -60 * S };
	assert_int_equal(tw_date_ahead_ns(&d), -60 * S);
	assert_int_equal(tw_date_behind_ns(&d), 60 * S);
	/* stopped once with the probes, once without */
	d = (struct tw_date_look) { .rtc = true, .stood_ns = 90 * S, .rtc_ns = -60 * S, .ahead_ns = 200 * S };
	assert_int_equal(tw_date_ahead_ns(&d), -90 * S);
	assert_int_equal(tw_date_behind_ns(&d), 90 * S);
	/* of one that was given a date */
	d = (struct tw_date_look) { .rtc = true, .fixed = true, .base_ns = 1000 * DAY, .stood_ns = 60 * S, .rtc_ns = 1000 * DAY - 60 * S };
	assert_int_equal(tw_date_ahead_ns(&d), 1000 * DAY - 60 * S);
	/* or has set it itself, before it stood; and before the probes came */
	d = (struct tw_date_look) { .rtc = true, .rtc_ns = 5 * DAY - 60 * S, .stood_ns = 60 * S, .rtc_stood_ns = 60 * S };
	assert_int_equal(tw_date_ahead_ns(&d), 5 * DAY - 60 * S);
	d.rtc_stood_ns = 0;
	d.rtc_ns = 5 * DAY;
	assert_int_equal(tw_date_ahead_ns(&d), 5 * DAY - 60 * S);
}

static int64_t behind(const struct tw_date_look *d, const char *what)
{
	const char *is;
	int64_t ns = tw_date_behind_what(d, &is);

	assert_string_equal(is, what);
	return ns;
}

/* The host's date, or where that is no measure, its RTC's */
static void behind_what_is_told(void **state)
{
	struct tw_date_look d = { .rtc = true, .stood_ns = 60 * S };

	(void)state;
	assert_int_equal(behind(&d, "the host's"), 60 * S);
	/* at a factor since, for some seconds, and for hours */
	d.ahead_ns = 20 * S;
	assert_int_equal(behind(&d, "the host's"), 40 * S);
	d.ahead_ns = DAY;
	assert_int_equal(behind(&d, "its RTC's"), 60 * S);
	/* it was given a date, or brought one along */
	d = (struct tw_date_look) { .rtc = true, .fixed = true, .base_ns = DAY, .rtc_ns = DAY, .stood_ns = 60 * S };
	assert_int_equal(behind(&d, "its RTC's"), 60 * S);
	d = (struct tw_date_look) { .rtc = true, .rtc_ns = DAY, .stood_ns = 60 * S };
	assert_int_equal(behind(&d, "its RTC's"), 60 * S);
	/* it is not */
	assert_int_equal(behind(&(struct tw_date_look) { .rtc = true, .rtc_ns = -DAY }, "the host's"), 0);
}

static void an_rtc_that_stands_with_the_vm_is_its_date(void **state)
{
	struct tw_date_look d = { .rtc = true, .rtc_virtual = true, .rtc_ns = -60 * S };

	(void)state;
	assert_int_equal(tw_date_ahead_ns(&d), -60 * S);
	assert_int_equal(tw_date_behind_ns(&d), 0);
}

static void how_long_it_stood(void **state)
{
	(void)state;
	/* up for a minute, its clock too, which began a second after its vCPU */
	assert_int_equal(tw_stood_of(1000 * S, -941 * S, 60 * S), 0);
	assert_int_equal(tw_stood_of(1000 * S, -945 * S, 60 * S), 5 * S);
	/* NTP makes seconds of months */
	assert_int_equal(tw_stood_of(20000000 * S, -10000100 * S, 10000000 * S), 0);
	assert_int_equal(tw_stood_of(20000000 * S, -10002000 * S, 10000000 * S), 2000 * S);
}

/* The names, each followed by ';' */
static const char *clocks_of(const char *argv, size_t len)
{
	struct tw_clocks_look k = { .is_qemu = true, .why = "for the test", .why_rtc = "for the test" };
	struct tw_clock c[TW_CLOCKS_MAX];
	static char text[512];
	size_t n, i;

	tw_qemu_time_parse(argv, len, &k.q);
	n = tw_clocks_judge(&k, c);
	for (*text = 0, i = 0; i < n; i++)
		strcat(strcat(text, c[i].name), ";");
	return text;
}

#define OF(words) clocks_of(words, sizeof(words))
#define KVM "TSC;kvmclock, wall clock, ptp_kvm;steal time;LAPIC timer;"
#define REST "other timers of the VMM;"

static void only_clocks_that_are_there(void **state)
{
	(void)state;
	assert_string_equal(OF("qemu"), KVM "PIT;HPET;ACPI PM timer;RTC;" REST);
	assert_string_equal(OF("qemu\0-M\0pc"), KVM "PIT;HPET;ACPI PM timer;RTC;" REST);
	assert_string_equal(OF("qemu\0-M\0pc,hpet=off,acpi=off,pit=off"), KVM "RTC;" REST);
	assert_string_equal(OF("qemu\0-machine\0accel=kvm,type=q35"), KVM "PIT;HPET;ACPI PM timer;RTC;" REST);
	assert_string_equal(OF("qemu\0-M\0microvm"), KVM "PIT;" REST);
	assert_string_equal(OF("qemu\0-M\0microvm,acpi=on,pit=off,rtc=on"), KVM "RTC;" REST);
	assert_string_equal(OF("qemu\0-M\0microvm,rtc=off,pit=off"), KVM REST);
	assert_string_equal(OF("qemu\0-machine\0rtc=off,type=microvm"), KVM "PIT;" REST);
	assert_string_equal(OF("qemu\0-M\0microvm\0-M\0q35"), KVM "PIT;HPET;ACPI PM timer;RTC;" REST);
	assert_string_equal(OF("qemu\0-M\0microvm\0-cpu\0host,kvmclock=off,hv-time"),
			    "TSC;Hyper-V clocks, timers;steal time;LAPIC timer;PIT;" REST);
	assert_string_equal(OF("qemu\0-M\0microvm\0-accel\0kvm,xen-version=0x4000a"),
			    "TSC;kvmclock, wall clock, ptp_kvm;Xen clocks, timers;steal time;LAPIC timer;PIT;" REST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_rtc_that_agrees_says_nothing),
		cmocka_unit_test(a_date_that_the_rtc_was_given_is_the_guests),
		cmocka_unit_test(a_guest_that_begins_ahead_with_its_rtc_is_where_both_are),
		cmocka_unit_test(a_date_that_was_set_in_the_guest_is_known_by_its_rtc),
		cmocka_unit_test(a_restored_guest_is_as_far_ahead_as_its_rtc),
		cmocka_unit_test(a_restored_guest_is_behind_by_what_it_was_kept),
		cmocka_unit_test(an_rtc_that_did_not_follow_is_not_the_guests_date),
		cmocka_unit_test(a_guest_that_was_stopped_is_behind_its_rtc),
		cmocka_unit_test(an_rtc_that_stood_with_the_guest_is_its_date),
		cmocka_unit_test(behind_what_is_told),
		cmocka_unit_test(an_rtc_that_stands_with_the_vm_is_its_date),
		cmocka_unit_test(how_long_it_stood),
		cmocka_unit_test(only_clocks_that_are_there),
	};

	return RUN_TAP(tests);
}
