// SPDX-License-Identifier: GPL-2.0
#include "author.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "print.h"
#include "search.h"
#include "text.h"

/* Runs a program to its end; its status, -1 for a signal or if there is none */
static int run_program(const char *const *argv)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		/* JSON and compiler's talk shall not mix */
		dup2(2, 1);
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
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
