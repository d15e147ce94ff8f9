// SPDX-License-Identifier: GPL-2.0
#include "launch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "parse.h"
#include "text.h"

#define GREETING_MS 60000
#define ANSWER_MS 10000
/* So long QEMU may take to end in order, once who started it was killed */
#define ORPHAN_MS 10000

/* ---- who it is to be */

static bool in_group(const struct passwd *pw, const char *group)
{
	struct group *g = getgrnam(group);
	gid_t kvm = g ? g->gr_gid : 0, *gids = NULL;
	int n = 64, i, asked = 0;
	bool in = false;

	/* it says how many there are, where they are more than there is room for */
	while (g && n > asked) {
		asked = n;
		gids = tw_grow(gids, n, sizeof(*gids));
		if (getgrouplist(pw->pw_name, pw->pw_gid, gids, &n) >= 0)
			break;
	}
	for (i = 0; gids && i < n && i < asked; i++)
		in |= gids[i] == kvm;
	free(gids);
	return in;
}

void tw_owner_find(struct tw_owner *o)
{
	const char *text = getenv("SUDO_UID"), *why;
	struct passwd *pw;
	uint64_t uid;

	*o = (struct tw_owner){ .uid = geteuid(), .gid = getegid() };
	if (geteuid() || !text || tw_parse_u64(text, &uid, &why) || !uid || uid >= UINT32_MAX)
		return;
	pw = getpwuid(uid);
	if (!pw || !in_group(pw, "kvm"))
		return;
	o->other = true;
	o->uid = pw->pw_uid;
	o->gid = pw->pw_gid;
	snprintf(o->name, sizeof(o->name), "%s", pw->pw_name);
	snprintf(o->home, sizeof(o->home), "%s", pw->pw_dir);
}

static bool become(const struct tw_owner *o)
{
	if (!o->other)
		return true;
	setenv("HOME", o->home, 1);
	setenv("USER", o->name, 1);
	setenv("LOGNAME", o->name, 1);
	return !initgroups(o->name, o->gid) && !setgid(o->gid) && !setuid(o->uid);
}

/* ---- its folder */

void tw_folder_remove(const char *folder)
{
	static const char *const sockets[] = { "agent", "monitor" };
	size_t i;

	for (i = 0; folder && i < 2; i++) {
		char *path = tw_asprintf("%s/%s", folder, sockets[i]);

		unlink(path);
		free(path);
	}
	if (folder)
		rmdir(folder);
}

/* Of those whose twctl was killed */
static void sweep(void)
{
	DIR *d = opendir(TW_LAUNCH_ROOT);
	struct dirent *entry;
	const char *why;
	uint64_t pid;

	while (d && (entry = readdir(d))) {
		char *path;

		if (tw_parse_u64(entry->d_name, &pid, &why) || !kill(pid, 0) || errno != ESRCH)
			continue;
		path = tw_asprintf(TW_LAUNCH_ROOT "/%s", entry->d_name);
		tw_folder_remove(path);
		free(path);
	}
	if (d)
		closedir(d);
}

int tw_folder_make(const struct tw_owner *o, char **folder, struct tw_err *e)
{
	/* whatever the umask: who is not root passes through to his own */
	if (!mkdir(TW_LAUNCH_ROOT, 0755) && chmod(TW_LAUNCH_ROOT, 0755))
		rmdir(TW_LAUNCH_ROOT);
	sweep();
	*folder = tw_asprintf(TW_LAUNCH_ROOT "/%d", getpid());
	tw_folder_remove(*folder);
	if (!mkdir(*folder, 0700) && !chown(*folder, o->uid, o->gid))
		return TW_OK;
	tw_fail(e, TW_FAILED, "cannot make %s for the guest's sockets", *folder);
	tw_fact(e, "%s", strerror(errno));
	tw_folder_remove(*folder);
	free(*folder);
	*folder = NULL;
	return tw_cure(e, "run twctl as root");
}

/* ---- QEMU */

int tw_launch_prepare(struct tw_launch *l, struct tw_err *e)
{
	*l = (struct tw_launch){ .pidfd = -1, .monitor = { -1, -1 }, .talk.fd = -1 };
	if (!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, l->monitor))
		return TW_OK;
	tw_fail(e, TW_FAILED, "cannot make a socket");
	return tw_fact(e, "%s", strerror(errno));
}

/*
 * It does not outlive who started it. That would be for PR_SET_PDEATHSIG to say, if a change of user (-runas) did not
 * undo it.
 */
static void guard(void *arg, int parent)
{
	struct tw_launch *l = arg;
	struct pollfd p[] = { { .fd = l->pidfd, .events = POLLIN }, { .fd = parent, .events = POLLIN } };

	tw_keeper_is_up();
	while (poll(p, 2, -1) < 0)
		;
	if (p[0].revents)
		return;
	syscall(SYS_pidfd_send_signal, l->pidfd, SIGTERM, NULL, 0);
	if (!poll(p, 1, ORPHAN_MS))
		tw_launch_kill(l);
}

/*
 * In the child. Each vCPU's thread blocks all signals, the others those that the first one does. It waits until
 * there is who ends it with its parent.
 */
static void exec_qemu(const struct tw_launch *l, const struct tw_words *command, const struct tw_owner *o,
		      int guarded, int said)
{
	sigset_t deaf;
	char byte;
	int code;

	sigemptyset(&deaf);
	sigaddset(&deaf, SIGINT);
	sigaddset(&deaf, SIGHUP);
	sigprocmask(SIG_SETMASK, &deaf, NULL);
	fcntl(l->monitor[1], F_SETFD, 0);
	if (read(guarded, &byte, 1) != 1)
		_exit(126);
	if (become(o))
		execvp(command->v[0], command->v);
	code = errno;
	if (write(said, &code, sizeof(code)) != sizeof(code))
		_exit(126);
	_exit(127);
}

static int cannot_exec(struct tw_launch *l, const char *program, int code, struct tw_err *e)
{
	waitpid(l->pid, NULL, 0);
	l->pid = 0;
	tw_fail(e, TW_FAILED, "cannot run %s", TW_QUOTE(program));
	e->code = code;
	tw_fact(e, "%s", strerror(code));
	return tw_cure(e, "name QEMU's program; Debian has it in the package qemu-system-x86");
}

static int no_greeting(struct tw_launch *l, struct tw_err *e)
{
	int status, tries;

	tw_fail(e, TW_FAILED, "cannot start the guest");
	tw_fact(e, "QEMU's monitor does not answer: %s", l->talk.why);
	tw_cure(e, "see QEMU's own message");
	for (tries = 0; tries < 100; tries++) {
		if (waitpid(l->pid, &status, WNOHANG) == l->pid) {
			l->pid = 0;
			if (WIFEXITED(status))
				tw_fact(e, "QEMU ended with status %d", WEXITSTATUS(status));
			else
				tw_fact(e, "QEMU ended by signal %d", WTERMSIG(status));
			return e->status;
		}
		usleep(10000);
	}
	return e->status;
}

/* Without KVM there is no VM whose time could be another */
static int check_kvm(struct tw_launch *l, struct tw_err *e)
{
	json_t *o = tw_talk_ask(&l->talk, "query-kvm", NULL, ANSWER_MS);
	bool with = json_is_true(json_object_get(o, "enabled"));

	json_decref(o);
	if (with)
		return TW_OK;
	tw_fail(e, TW_USAGE, "cannot run the guest");
	tw_fact(e, "QEMU runs it without KVM");
	return tw_cure(e, "add -accel kvm to QEMU's command line");
}

int tw_launch_start(struct tw_launch *l, const struct tw_words *command, const struct tw_owner *o,
		    struct tw_err *e)
{
	int said[2], go[2] = { -1, -1 }, code = 0;
	bool guarded;

	if (pipe2(said, O_CLOEXEC))
		said[0] = said[1] = -1;
	l->pid = pipe2(go, O_CLOEXEC) ? -1 : fork();
	if (!l->pid) {
		close(go[1]);
		exec_qemu(l, command, o, go[0], said[1]);
	}
	l->pidfd = l->pid < 0 ? -1 : syscall(SYS_pidfd_open, l->pid, 0);
	guarded = l->pidfd >= 0 && !tw_keeper_start(&l->guard, &l->pidfd, 1, guard, l) && write(go[1], "", 1) == 1;
	if (!guarded)
		code = errno;
	close(said[1]);
	close(go[0]);
	close(go[1]);
	close(l->monitor[1]);
	l->monitor[1] = -1;
	if (!guarded) {
		close(said[0]);
		if (l->pid > 0)
			waitpid(l->pid, NULL, 0);
		l->pid = 0;
		tw_fail(e, TW_FAILED, "cannot start QEMU");
		return tw_fact(e, "%s", strerror(code));
	}
	if (read(said[0], &code, sizeof(code)) == sizeof(code)) {
		close(said[0]);
		return cannot_exec(l, command->v[0], code, e);
	}
	close(said[0]);
	if (!tw_talk_adopt(&l->talk, l->monitor[0], GREETING_MS)) {
		l->monitor[0] = -1;
		return no_greeting(l, e);
	}
	l->monitor[0] = -1;
	return check_kvm(l, e);
}

int tw_launch_cont(struct tw_launch *l, struct tw_err *e)
{
	json_t *o = tw_talk_ask(&l->talk, "cont", NULL, ANSWER_MS);

	if (!o) {
		tw_fail(e, TW_FAILED, "cannot let the guest go");
		tw_fact(e, "QEMU's monitor: %s", l->talk.why);
		tw_cure(e, "see QEMU's own message");
	}
	json_decref(o);
	return o ? TW_OK : e->status;
}

void tw_launch_powerdown(struct tw_launch *l)
{
	json_decref(tw_talk_ask(&l->talk, "system_powerdown", NULL, ANSWER_MS));
}

void tw_launch_quit(struct tw_launch *l)
{
	json_t *o = tw_talk_ask(&l->talk, "quit", NULL, ANSWER_MS);

	/* the same, where the monitor does not answer */
	if (!o && l->pid)
		kill(l->pid, SIGTERM);
	json_decref(o);
}

void tw_launch_kill(const struct tw_launch *l)
{
	if (l->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, l->pidfd, SIGKILL, NULL, 0);
}

void tw_launch_drain(struct tw_launch *l)
{
	if (!tw_talk_drain(&l->talk))
		tw_talk_close(&l->talk);
}

void tw_launch_close(struct tw_launch *l)
{
	int i;

	tw_talk_close(&l->talk);
	tw_keeper_end(&l->guard);
	if (l->pidfd >= 0)
		close(l->pidfd);
	l->pidfd = -1;
	for (i = 0; i < 2; i++)
		if (l->monitor[i] >= 0)
			close(l->monitor[i]);
	if (!l->pid)
		return;
	kill(l->pid, SIGKILL);
	waitpid(l->pid, NULL, 0);
	l->pid = 0;
}
