/* SPDX-License-Identifier: GPL-2.0 */
/* The monitor and the agent of a domain of libvirt's, whose daemon holds both sockets: by virsh. */
#ifndef TW_AGE_TALK_PRIV_H
#define TW_AGE_TALK_PRIV_H

#include "age/talk.h"

/* As tw_talk_ask(), of @question as its text, for t->domain */
json_t *tw_virsh_ask(struct tw_talk *t, const char *question, int timeout_ms);

#endif /* TW_AGE_TALK_PRIV_H */
