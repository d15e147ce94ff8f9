/* SPDX-License-Identifier: GPL-2.0 */
/* Telling whoever has started this process as a service (sd_notify(3), NOTIFY_SOCKET) how far it is. */
#ifndef TW_NOTIFY_H
#define TW_NOTIFY_H

/*
 * That it does what it was started for, and in a line what that is, in which text of others is escaped. Nothing where nobody
 * wants to know; once, and no command that is run later says it again.
 */
void tw_notify_ready(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif /* TW_NOTIFY_H */
