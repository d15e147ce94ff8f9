// SPDX-License-Identifier: GPL-2.0
/* What several verbs show alike: parameters and counters with their values, and clocks. */
#include "clocks.h"
#include "params.h"
#include "twctl.h"

void tw_print_values(const char *title, const struct tw_params *params, const void *data,
			 size_t size)
{
	char value[TW_PARAM_MAX];
	size_t i;

	for (i = 0; i < params->n && data; i++)
		tw_printf("  %-13s %s=%s  %s\n", i ? "" : title, params->v[i].name,
			  tw_param_format(&params->v[i], data, size, value, sizeof(value)),
			  params->v[i].help);
}

void tw_json_values(struct tw_json *j, const char *key, const struct tw_params *params,
			 const void *data, size_t size)
{
	char value[TW_PARAM_MAX];
	size_t i;

	tw_json_open(j, key, '{');
	for (i = 0; i < params->n && data; i++)
		tw_json_str(j, params->v[i].name,
			    tw_param_plain(&params->v[i], data, size, value, sizeof(value)));
	tw_json_close(j, '}');
}

/* By whom they are warped: a line each, with the clocks of it */
void tw_print_clocks(const struct tw_clock *c, size_t n)
{
	static const char *const title[] = { "warped by KVM", "by the VMM", "on host time" };
	size_t i;
	int by, shown;

	for (by = TW_CLOCK_BY_KVM; by <= TW_CLOCK_HOST; by++) {
		for (i = 0, shown = 0; i < n; i++) {
			if ((int)c[i].by != by)
				continue;
			tw_printf("  %-13s %s", shown++ ? "" : title[by], c[i].name);
			if (c[i].why)
				tw_printf(": %s", c[i].why);
			tw_printf("\n");
		}
	}
}

void tw_json_clocks(struct tw_json *j, const struct tw_clock *c, size_t n)
{
	size_t i;

	tw_json_open(j, "clocks", '[');
	for (i = 0; i < n; i++) {
		tw_json_open(j, NULL, '{');
		tw_json_str(j, "name", c[i].name);
		tw_json_str(j, "by", tw_clock_by_name(c[i].by));
		if (c[i].why)
			tw_json_str(j, "why", c[i].why);
		tw_json_close(j, '}');
	}
	tw_json_close(j, ']');
}
