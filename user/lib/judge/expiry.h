/* SPDX-License-Identifier: GPL-2.0 */
/* Certificates, accounts, keys: what ends by the calendar unless somebody renews it. */
#ifndef TW_JUDGE_EXPIRY_H
#define TW_JUDGE_EXPIRY_H

#include <stddef.h>

enum tw_expiry_state {
	TW_EXPIRY_VALID,	/* for longer than is looked ahead */
	TW_EXPIRY_RENEWED,	/* in time, and with as much left as it was always renewed with */
	TW_EXPIRY_ENDS,		/* within what is looked ahead, and nobody was seen to renew it in time */
	TW_EXPIRY_ENDED,	/* it was not valid at some time that was looked at */
};

struct tw_expiry_seen {
	double t;		/* when it was looked at */
	double ends;		/* what it said: valid until */
};

struct tw_expiry {
	enum tw_expiry_state state;
	double when;		/* when it ends, or first ended */
	double back;		/* ENDED: when it was valid again; 0: never */
	size_t renewals;
};

/**
 * tw_expiry - judge what was seen of one of them
 * @seen: in the order of time
 * @n: how many, 1 or more
 * @ahead: seconds beyond the last look that count as soon
 */
struct tw_expiry tw_expiry(const struct tw_expiry_seen *seen, size_t n, double ahead);

#endif /* TW_JUDGE_EXPIRY_H */
