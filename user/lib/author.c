// SPDX-License-Identifier: GPL-2.0
#include "author.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "print.h"
#include "search.h"
#include "text.h"

#define NOBODY 65534

/* Waits for a child; its exit status, -1 for a signal or if there is none */
static int status_of(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

/* Runs a program to its end; its status, -1 for a signal */
static int run_program(const char *const *argv)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		/* JSON and compiler's talk shall not mix */
		dup2(2, 1);
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	return status_of(pid);
}

/* A policy's source may do anything when it is compiled for this machine: as nobody, for good */
static bool become_nobody(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return false;
	if (geteuid())
		return true;
	return !setgroups(0, NULL) && !setresgid(NOBODY, NOBODY, NOBODY) &&
	       !setresuid(NOBODY, NOBODY, NOBODY);
}

/* Runs a program that is not trusted: nobody's, without descriptors, files or environment of ours */
static int run_untrusted(const char *const *argv, int output)
{
	static char *const none[] = { NULL };
	pid_t pid;
	int program;

	/* its directory is ours alone */
	program = open(argv[0], O_RDONLY | O_CLOEXEC);
	if (program < 0)
		return -1;
	fflush(NULL);
	pid = fork();
	if (!pid) {
		int null = open("/dev/null", O_RDWR);

		if (null < 0 || dup2(null, 0) < 0 || dup2(output, 1) < 0 || chdir("/") ||
		    close_range(3, program - 1, 0) || close_range(program + 1, ~0U, 0) ||
		    !become_nobody())
			_exit(126);
		syscall(SYS_execveat, program, "", argv, none, AT_EMPTY_PATH);
		_exit(127);
	}
	close(program);
	return status_of(pid);
}

static bool in_path(const char *name)
{
	const char *path = getenv("PATH");
	char *list = tw_strdup(path ? path : "/usr/bin:/bin"), *rest = list, *dir;
	bool found = false;

	while (!found && (dir = strsep(&rest, ":"))) {
		char *file = tw_asprintf("%s/%s", *dir ? dir : ".", name);

		found = !access(file, X_OK);
		free(file);
	}
	free(list);
	return found;
}

static const char *find_clang(void)
{
	static const char *const names[] = {
		"clang-20", "clang-19", "clang-18", "clang-17", "clang",
	};
	const char *set = getenv("TIMEWARP_CLANG");
	size_t i;

	if (set && *set)
		return set;
	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (in_path(names[i]))
			return names[i];
	return NULL;
}

/* The compiler and the headers */
static bool find_tools(const char *source, const char **clang, char **include, struct tw_err *e)
{
	tw_fail(e, TW_FAILED, "cannot compile %s", TW_QUOTE(source));
	if (access(source, R_OK)) {
		e->code = errno;
		tw_fact(e, "%s", strerror(errno));
		tw_cure(e, "check the path; twctl policy new NAME writes a first one");
		return false;
	}
	*clang = find_clang();
	if (!*clang) {
		tw_fact(e, "there is no clang");
		tw_cure(e, "install clang 17 or later, or name it: TIMEWARP_CLANG=...");
		return false;
	}
	*include = tw_include_dir();
	if (!*include) {
		tw_fact(e, "there is no timewarp.bpf.h");
		tw_cure(e, "name its directory: TIMEWARP_INCLUDE=...");
		return false;
	}
	return true;
}

static int compile(const char *const *argv, struct tw_err *e)
{
	int ret = run_program(argv);

	if (!ret)
		return TW_OK;
	tw_kind(e, ret == 127 ? NULL : "compile");
	tw_fact(e, ret == 127 ? "%s does not start" : "%s does not accept it, see above", argv[0]);
	return tw_cure(e, ret == 127 ? "name another: TIMEWARP_CLANG=..." : "mend the source");
}

int tw_author_build(const char *source, const char *object, struct tw_err *e)
{
	const char *clang;
	char *include;
	int status;

	if (!find_tools(source, &clang, &include, e))
		return e->status;
	status = compile((const char *const[]){
		clang, "-g", "-O2", "-target", "bpf", "-mcpu=v3", "-std=gnu11", "-Wall", "-Wextra",
		"-I", include, "-c", source, "-o", object, NULL }, e);
	free(include);
	return status;
}

static int drive(const char *const *argv, const char *output, char **report, struct tw_err *e)
{
	int fd = open(output, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int ret = fd < 0 ? -1 : run_untrusted(argv, fd);

	if (fd >= 0)
		close(fd);
	*report = tw_read_file(output, NULL);
	if (*report && (!ret || ret == TW_REFUSED))
		return ret;
	free(*report);
	*report = NULL;
	if (ret < 0)
		tw_fact(e, "the program made of it cannot be run, or ends by a signal");
	else
		tw_fact(e, "the program made of it, which runs as nobody, ends with status %d", ret);
	return tw_cure(e, "see whether TMPDIR forbids to run what lies there, and what limits there are");
}

int tw_author_drive(const char *source, const char *decisions, bool words, char **report, struct tw_err *e)
{
	char *include, *driver, *program, *output, *dir = NULL;
	const char *clang;
	int status;

	*report = NULL;
	if (!find_tools(source, &clang, &include, e))
		return e->status;
	dir = tw_scratch_dir();
	driver = tw_asprintf("%s/check/drive.c", include);
	program = tw_asprintf("%s/drive", dir);
	output = tw_asprintf("%s/report", dir);
	status = compile((const char *const[]){
		clang, "-g", "-O1", "-std=gnu11", "-w", "-DTIMEWARP_CHECK", "-I", include, source,
		driver, "-o", program, NULL }, e);
	if (!status)
		status = drive((const char *const[]){ program, decisions, "1", words ? "words" : NULL, NULL }, output,
			       report, e);
	tw_scratch_remove(dir);
	free(output);
	free(program);
	free(driver);
	free(include);
	return status;
}

int tw_drive_read(const char *line, struct tw_drive_crime *c, struct tw_drive_sums *s)
{
	int at = 0;

	*c = (struct tw_drive_crime){ 0 };
	if (sscanf(line, "crime %15[a-z] %u %llu %llu %llu %llu %llu %llu%n", c->kind, &c->event, &c->host_ns, &c->guest_ns,
		   &c->factor_num, &c->factor_den, &c->next_host_ns, &c->next_guest_ns, &at) == 8 && at) {
		snprintf(c->given, sizeof(c->given), "%s", line + at + (line[at] == ' '));
		return 1;
	}
	return sscanf(line, "sums %llu %llu %llu %llu %llu %llu", &s->decisions, &s->attachments, &s->refused, &s->kept,
		      &s->told, &s->crimes) == 6 ? 2 : 0;
}

char *tw_scratch_dir(void)
{
	const char *tmp = getenv("TMPDIR");
	char *dir = tw_asprintf("%s/twctl.XXXXXX", tmp && *tmp ? tmp : "/tmp");

	/* without it, what is to be put there will fail and say why */
	if (!mkdtemp(dir))
		tw_fprintf(stderr, "twctl: %s: %s\n", dir, strerror(errno));
	return dir;
}

void tw_scratch_remove(char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *file;

	while (d && (file = readdir(d)))
		if (*file->d_name != '.')
			unlinkat(dirfd(d), file->d_name, 0);
	if (d)
		closedir(d);
	rmdir(dir);
	free(dir);
}
