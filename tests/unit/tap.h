/* SPDX-License-Identifier: GPL-2.0 */
/* cmocka with TAP output, for prove. */
#ifndef TAP_H
#define TAP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define RUN_TAP(tests)									\
	(cmocka_set_message_output(CM_OUTPUT_TAP),					\
	 cmocka_run_group_tests(tests, NULL, NULL))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof(*(a)))

#endif /* TAP_H */
