// SPDX-License-Identifier: GPL-2.0
/* Where a program calls a library's function: found in this very program. */
#include "tap.h"

#include <elf.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "code.h"

long variable = 5;

/* Each calls what its name says, so often */
__attribute__((noinline)) long calls_clock_twice(struct timespec *ts)
{
	clock_gettime(CLOCK_MONOTONIC, ts);
	ts->tv_sec += variable;
	clock_gettime(CLOCK_REALTIME, ts + 1);
	return ts->tv_nsec;
}

__attribute__((noinline)) long calls_gettimeofday(struct timeval *tv)
{
	gettimeofday(tv, NULL);
	return tv->tv_usec + variable;
}

__attribute__((noinline)) long loads_first(void)
{
	return variable;
}

static struct tw_code code;

static void finds_calls(void **state)
{
	struct tw_call c[4];
	uint64_t addr, size, offset;
	size_t i, n;

	(void)state;
	n = tw_code_calls(&code, "calls_clock_twice", "clock_gettime", c, 4);
	assert_int_equal(n, 2);
	assert_true(tw_code_symbol(&code, "calls_clock_twice", &addr, &size));
	assert_true(tw_code_offset(&code, addr, &offset));
	for (i = 0; i < n; i++) {
		assert_true(c[i].offset > offset && c[i].offset + c[i].len < offset + size);
		assert_true(code.image[c[i].offset] == (c[i].len == 5 ? 0xe8 : 0xff));
	}
	assert_true(c[0].offset < c[1].offset);
	assert_int_equal(tw_code_calls(&code, "calls_clock_twice", "clock_gettime", c, 1), 1);
	assert_int_equal(tw_code_calls(&code, "calls_clock_twice", "gettimeofday", c, 4), 0);
	assert_int_equal(tw_code_calls(&code, "calls_gettimeofday", "gettimeofday", c, 4), 1);
	assert_int_equal(tw_code_calls(&code, "no_such_function", "gettimeofday", c, 4), 0);
}

/* An entry of the linkage table is what a probe's place depends on: run it there */
static void finds_variables(void **state)
{
	uint64_t addr;

	(void)state;
	assert_true(tw_code_symbol(&code, "variable", &addr, NULL));
	assert_true(tw_code_refers(&code, "calls_clock_twice", addr));
	assert_true(tw_code_refers(&code, "calls_gettimeofday", addr));
	assert_false(tw_code_refers(&code, "calls_gettimeofday", addr + 0x1000));
	assert_int_equal(tw_code_first_load(&code, "loads_first"), addr);
	assert_int_equal(tw_code_first_load(&code, "calls_gettimeofday"), 0);
}

static void is_what_it_is(void **state)
{
	struct tw_code other;
	uint64_t offset;

	(void)state;
	assert_false(tw_code_is_static(&code));
	assert_false(tw_code_offset(&code, ~0ULL, &offset));
	assert_false(tw_code_open(&other, "/proc/self/maps"));
	assert_false(tw_code_open(&other, "/nowhere"));
}

/* A file that says what is not so of its sections and symbols: whatever is found in it, nothing beyond it is read */
static void lies(void **state)
{
	static const uint32_t said[] = { 0, 1, 7, 0x7fffffff, 0x80000000, 0xffffffff };
	const Elf64_Ehdr *eh = (const Elf64_Ehdr *)code.image;
	const Elf64_Shdr *sh = (const Elf64_Shdr *)(code.image + eh->e_shoff);
	size_t at, i, k, n;
	struct tw_code other;
	struct tw_call c[4];
	uint64_t addr;
	char path[32];
	int fd = memfd_create("program", 0);

	(void)state;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_int_equal(write(fd, code.image, code.size), code.size);
	for (i = 0; i < eh->e_shnum; i++) {
		if (sh[i].sh_type != SHT_DYNSYM && sh[i].sh_type != SHT_SYMTAB && sh[i].sh_type != SHT_STRTAB &&
		    sh[i].sh_type != SHT_RELA)
			continue;
		/* each number of the section's header, and of the first entries */
		for (n = 0; n < sizeof(*sh) / 4 + 18; n++) {
			at = n < sizeof(*sh) / 4 ? eh->e_shoff + i * sizeof(*sh) + 4 * n :
						   sh[i].sh_offset + 4 * (n - sizeof(*sh) / 4);
			for (k = 0; k < ARRAY_SIZE(said); k++) {
				assert_int_equal(pwrite(fd, &said[k], 4, at), 4);
				if (!tw_code_open(&other, path))
					continue;
				tw_code_symbol(&other, "no_such_symbol", &addr, NULL);
				tw_code_calls(&other, "calls_clock_twice", "clock_gettime", c, 4);
				tw_code_close(&other);
			}
			assert_int_equal(pwrite(fd, code.image + at, 4, at), 4);
		}
	}
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_calls),
		cmocka_unit_test(finds_variables),
		cmocka_unit_test(is_what_it_is),
		cmocka_unit_test(lies),
	};
	struct timespec ts[2] = { { 0 } };
	struct timeval tv = { 0 };

	calls_clock_twice(ts);
	calls_gettimeofday(&tv);
	if (loads_first() != 5 || !tw_code_open(&code, "/proc/self/exe"))
		return 1;
	return RUN_TAP(tests);
}
