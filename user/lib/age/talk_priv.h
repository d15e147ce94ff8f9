/* SPDX-License-Identifier: GPL-2.0 */
/* The monitor and the agent of a domain of libvirt's, whose daemon holds both sockets: by virsh. */
#ifndef TW_AGE_TALK_PRIV_H
#define TW_AGE_TALK_PRIV_H

#include "age/talk.h"

/* An answer has an end */
#define TW_TALK_ANSWER_MAX (16 << 20)

/* Of CLOCK_MONOTONIC, which deadlines are of */
long tw_talk_now_ms(void);

/* Whether a descriptor is ready for @events before @deadline, whatever signals come meanwhile */
bool tw_talk_ready(int fd, short events, long deadline);

/* As tw_talk_ask(), of @question as its text, for t->domain */
json_t *tw_virsh_ask(struct tw_talk *t, const char *question, int timeout_ms);

#endif /* TW_AGE_TALK_PRIV_H */
