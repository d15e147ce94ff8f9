// SPDX-License-Identifier: GPL-2.0
/* twctl top: what stat counts as a live screen, the worst first. */
#include <curses.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rows.h"
#include "terminal.h"
#include "tracer.h"
#include "twctl.h"

#define STAT_COLUMNS (80 - TW_ROW_VM)	/* all that stands right of the VM's name */
#define HEAD_LINES 3
#define FOOT_LINES 1

/* Who is meant by a line of the screen; the line itself is new at each refresh */
struct pick {
	char vm[TRACE_NAME_LEN];	/* PID-FD; "": all */
	int source;			/* enum trace_source; -1: all */
};

struct top {
	struct tw_tracer *t;
	struct tw_vms vms;		/* scanned again when an unknown VM is seen */
	struct tw_rows before, now;
	struct tw_lines lines;		/* what the picks leave, sorted */
	struct pick only, cursor;
	enum tw_order order;
	uint64_t every, last_ns, now_ns;
	size_t at, first;		/* the cursor's line, and the first on the screen */
	bool since_start;		/* show sums, not the interval */
	bool help, colour, quit;
};

static void learn_names(struct top *top)
{
	size_t i;

	for (i = 0; i < top->now.n; i++)
		if (!top->now.v[i].gone && !tw_vms_by_id(&top->vms, top->now.v[i].info.name)) {
			tw_vms_free(&top->vms);
			tw_vms_scan(&top->vms);
			return;
		}
}

/* By its guest's name if that is known */
static void title_of(const struct top *top, const struct tw_row *row, char *buf, size_t size)
{
	const struct tw_vm *vm = tw_vms_by_id(&top->vms, row->info.name);

	tw_printable(buf, size, vm && vm->names.name ? vm->names.name : row->info.name);
}

static bool is_picked(const struct pick *p, const struct tw_line *l)
{
	return (!*p->vm || !strcmp(p->vm, l->row->info.name)) &&
	       (p->source < 0 || p->source == l->source);
}

static void make_lines(struct top *top)
{
	static const struct tw_rows nothing;
	uint64_t since = top->since_start ? top->t->start_ns : top->last_ns;
	struct tw_lines all = { 0 };
	size_t i;

	tw_lines_free(&top->lines);
	for (i = 0; i < top->now.n; i++)
		tw_lines_add(&all, &top->now.v[i], top->since_start ? &nothing : &top->before,
			     (top->now_ns - since) / 1e9, top->t->opts.linear_ns);
	tw_lines_sort(&all, top->order);
	for (i = 0; i < all.n; i++) {
		if (!is_picked(&top->only, &all.v[i])) {
			free(all.v[i].stats);
			continue;
		}
		top->lines.v = tw_grow(top->lines.v, top->lines.n + 1, sizeof(*all.v));
		top->lines.v[top->lines.n++] = all.v[i];
	}
	free(all.v);
	top->at = 0;
	for (i = 0; i < top->lines.n && *top->cursor.vm; i++)
		if (!strcmp(top->lines.v[i].row->info.name, top->cursor.vm) &&
		    top->lines.v[i].source == top->cursor.source)
			top->at = i;
}

static void point_at(struct top *top, size_t i)
{
	const struct tw_line *l;

	if (i >= top->lines.n)
		return;
	l = &top->lines.v[i];
	top->at = i;
	strcpy(top->cursor.vm, l->row->info.name);
	top->cursor.source = l->source;
}

static const struct tw_line *line_at_cursor(const struct top *top)
{
	return top->at < top->lines.n ? &top->lines.v[top->at] : NULL;
}

__attribute__((format(printf, 2, 3)))
static void put_line(int y, const char *fmt, ...)
{
	char text[TW_ROW_MAX + 128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	move(y, 0);
	clrtoeol();
	addnstr(text, COLS);
}

static void draw_help(void)
{
	static const char *const lines[] = {
		"twctl top: a line for each VM and source of its ticks",
		"",
		"  up, down    move the cursor",
		"  v           only the VM under the cursor; again: all",
		"  s           only its source; again: all",
		"  o, O        sort by the next, the previous: worst lost owed jumps max p99 avg",
		"              rate VM. worst: lost, then owed, then jumps, then the latest tick",
		"  t           sums since the start, or the interval",
		"  space       now, not at the end of the interval",
		"  h, ?        this; any key goes back",
		"  q           quit",
		"",
		"  AVG P99 MAX from the guest's deadline to the entry that carries the tick",
		"  LOST        ticks that the guest will not get; REINJ: had later for one lost",
		"  OWED/MAX    PIT ticks still to come, now and at the worst",
		"  JUMPS       steps of the VM's kvmclock and TSC",
	};
	size_t i;

	erase();
	for (i = 0; i < sizeof(lines) / sizeof(*lines) && (int)i < LINES; i++)
		put_line(i, "%s", lines[i]);
}

static void draw_head(const struct top *top, int width)
{
	char text[TW_ROW_MAX], every[16], title[40] = "all";
	struct tw_row row;

	tw_short_ns(every, sizeof(every), top->every);
	put_line(0, "twctl top: %zu VM%s, %s, by %s%s", top->now.n, top->now.n == 1 ? "" : "s",
		 top->since_start ? "since the start" : "interval", tw_order_name(top->order),
		 top->since_start ? "" : ", every ");
	if (!top->since_start)
		addnstr(every, COLS);
	if (*top->only.vm) {
		strcpy(row.info.name, top->only.vm);
		title_of(top, &row, title, sizeof(title));
	}
	put_line(1, "VM: %s   source: %s   h: help, q: quit", title,
		 top->only.source < 0 ? "all" : tw_source_name(top->only.source));
	attron(A_REVERSE);
	put_line(2, "%-*.*s", COLS, COLS, tw_rows_head(text, sizeof(text), width));
	attroff(A_REVERSE);
}

/* Whose fault it is, for the line under the cursor */
static void draw_foot(const struct top *top)
{
	const struct tw_line *l = line_at_cursor(top);
	const struct trace_hist *late;
	char part[3][16], title[40];
	unsigned int i;

	if (!l) {
		put_line(LINES - 1, "nothing that the picks leave");
		return;
	}
	title_of(top, l->row, title, sizeof(title));
	if (l->row->gone || l->source < 0) {
		put_line(LINES - 1, "%s (%s): %s", l->row->info.name, title,
			 l->row->gone ? "has gone" : "no tick yet");
		return;
	}
	late = l->stats->late;
	for (i = 0; i < 3; i++)
		tw_short_ns(part[i], sizeof(part[i]),
			    late[i].count ? late[i].sum / late[i].count : 0);
	put_line(LINES - 1, "%s (%s): %s; late by host %s, vCPU %s, guest %s", l->row->info.name,
		 title, tw_lost_policy(l->source, l->stats), part[TRACE_HOST], part[TRACE_INJECT],
		 part[TRACE_ENTRY]);
}

/* Red: ticks lost, or a clock that jumped; yellow: owed */
static attr_t look_of(const struct top *top, const struct tw_line *l)
{
	bool bad = tw_stats_lost(l->stats) || l->jumps, owed = l->stats->backlog;

	if (!top->colour)
		return bad ? A_BOLD : A_NORMAL;
	return bad ? COLOR_PAIR(1) | A_BOLD : owed ? COLOR_PAIR(2) : A_NORMAL;
}

static void draw(struct top *top)
{
	int width = COLS > 80 ? COLS - STAT_COLUMNS : TW_ROW_VM, room, i;
	char text[TW_ROW_MAX], title[64];

	if (width > 40)
		width = 40;
	if (top->help) {
		draw_help();
		refresh();
		return;
	}
	erase();
	room = LINES - HEAD_LINES - FOOT_LINES;
	if (room < 1 || COLS < 20) {
		put_line(0, "too small");
		refresh();
		return;
	}
	if (top->at < top->first)
		top->first = top->at;
	if (top->at >= top->first + room)
		top->first = top->at - room + 1;
	if (top->first + room > top->lines.n)
		top->first = top->lines.n > (size_t)room ? top->lines.n - room : 0;
	draw_head(top, width);
	for (i = 0; i < room && top->first + i < top->lines.n; i++) {
		const struct tw_line *l = &top->lines.v[top->first + i];
		attr_t look = look_of(top, l);

		if (top->first + i == top->at)
			look |= A_REVERSE;
		title_of(top, l->row, title, width + 1);
		attron(look);
		put_line(HEAD_LINES + i, "%s", tw_line_format(text, sizeof(text), l, title, width));
		attroff(look);
	}
	draw_foot(top);
	move(top->lines.n ? HEAD_LINES + (int)(top->at - top->first) : LINES - 1, 0);
	refresh();
}

static void pick_vm(struct top *top)
{
	const struct tw_line *l = line_at_cursor(top);

	if (*top->only.vm || !l) {
		*top->only.vm = 0;
		return;
	}
	point_at(top, top->at);
	strcpy(top->only.vm, l->row->info.name);
}

static void pick_source(struct top *top)
{
	const struct tw_line *l = line_at_cursor(top);

	if (top->only.source >= 0 || !l) {
		top->only.source = -1;
		return;
	}
	point_at(top, top->at);
	top->only.source = l->source;
}

/* True if the counters are to be read at once */
static bool key(struct top *top, int c)
{
	if (top->help && c != KEY_RESIZE) {
		top->help = false;
		return false;
	}
	switch (c) {
	case 'q':
	case 'Q':
		top->quit = true;
		return false;
	case 'h':
	case '?':
		top->help = true;
		return false;
	case ' ':
		return true;
	case KEY_UP:
		point_at(top, top->at ? top->at - 1 : 0);
		return false;
	case KEY_DOWN:
		point_at(top, top->at + 1);
		return false;
	case 'v':
		pick_vm(top);
		break;
	case 's':
		pick_source(top);
		break;
	case 'o':
		top->order = (top->order + 1) % TW_NR_ORDERS;
		break;
	case 'O':
		top->order = (top->order + TW_NR_ORDERS - 1) % TW_NR_ORDERS;
		break;
	case 't':
		top->since_start = !top->since_start;
		break;
	}
	make_lines(top);
	return false;
}

static void read_counters(struct top *top, bool *gone)
{
	struct tw_snapshot s;

	tw_tracer_read(top->t, &s);
	tw_lines_free(&top->lines);	/* they point into the rows */
	tw_rows_free(&top->before);
	top->before = top->now;
	top->last_ns = top->now_ns;
	tw_rows_collect(top->t, &s, &top->now);
	top->now_ns = s.now_ns;
	*gone = tw_tracer_all_gone(top->t, &s);
	tw_snapshot_free(&s);
	learn_names(top);
	make_lines(top);
}

/* Handles keys until it is time, or one wants it to be; false where the terminal is no more */
static bool wait_for_keys(struct top *top, uint64_t due)
{
	for (;;) {
		uint64_t now = tw_now_ns();
		bool at_once = false;
		int c;

		if (top->quit || tw_stop || now >= due)
			return true;
		/* One more than the rest, so as not to wake up just before its end */
		timeout((due - now) / 1000000 < 1000 ? (due - now) / 1000000 + 1 : 1000);
		errno = 0;
		c = getch();
		if (c == ERR) {
			struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };

			/* Readable, and yet nothing is read: its other end is closed */
			if (!tw_stop && poll(&p, 1, 0) == 1 && p.revents & POLLHUP)
				return false;
			continue;
		}
		at_once = key(top, c);
		if (!top->quit)
			draw(top);
		if (at_once)
			return true;
	}
}

static int loop(struct top *top, uint64_t times, struct tw_err *e)
{
	uint64_t due = top->t->start_ns;
	bool gone = false, there = true;

	top->last_ns = top->now_ns = due;
	read_counters(top, &gone);
	draw(top);
	while (there && !gone && !top->quit && !tw_stop && times--) {
		due += top->every;
		if (due < tw_now_ns())
			due = tw_now_ns() + top->every;
		there = wait_for_keys(top, due);
		if (top->quit || tw_stop || !there)
			break;
		read_counters(top, &gone);
		draw(top);
	}
	endwin();
	return tw_tell_end(top->t, gone, e);
}

static int check_terminal(struct tw_err *e)
{
	const char *why = tw_no_terminal();

	if (!why)
		return TW_OK;
	tw_fail(e, TW_FAILED, "cannot show top");
	tw_fact(e, "%s", why);
	return tw_cure(e, "twctl stat 1s prints the same, line by line");
}

static void begin_screen(struct top *top)
{
	const char *no = getenv("NO_COLOR");

	initscr();
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	set_escdelay(50);
	top->colour = has_colors() && !(no && *no);
	if (top->colour) {
		start_color();
		use_default_colors();
		init_pair(1, COLOR_RED, -1);
		init_pair(2, COLOR_YELLOW, -1);
	}
}

static int run(const struct tw_args *args, struct tw_err *e)
{
	struct top top = { .only.source = -1 };
	struct tw_tracer_opts opts;
	struct tw_tracer t;
	uint64_t times;
	int status;

	if (args->json) {
		tw_fail(e, TW_USAGE, "cannot show top as JSON");
		tw_fact(e, "it is a screen");
		return tw_cure(e, "twctl stat -j 1s prints the same, a line for each VM and second");
	}
	if (tw_args_tracer(args, "show top", &opts, e) ||
	    tw_args_interval(args, "top", &top.every, &times, e) || check_terminal(e))
		return e->status;
	tw_catch_stop();
	status = tw_tracer_start(&t, &opts, e);
	if (!status) {
		tw_tell_start(&t);
		top.t = &t;
		begin_screen(&top);
		status = loop(&top, times, e);
	}
	tw_lines_free(&top.lines);
	tw_rows_free(&top.now);
	tw_rows_free(&top.before);
	tw_vms_free(&top.vms);
	tw_tracer_stop(&t);
	return status;
}

static const struct tw_option options[] = {
	TW_OPTION_VMS,
	TW_OPTION_VCPU,
	TW_OPTION_SOURCE,
	TW_OPTION_JUMP,
	TW_OPTIONS_INTERVAL,
	{ 0 },
};

const struct tw_verb tw_verb_top = {
	.name = "top",
	.screen = true,
	.synopsis = "[VM|(--vm VM)...] [INTERVAL [COUNT]]",
	.summary = "show what stat shows as a live screen, the worst first",
	.more = "Works on a stock kernel. A line for each VM and source, every INTERVAL (1s; a\n"
		"bare number is seconds), COUNT times, or until q. Keys: up and down, v picks the\n"
		"VM under the cursor, s its source, o the order, t sums since the start, h help.\n"
		"The last line says who made the ticks late: the host's timer, a vCPU that did\n"
		"not run, or a guest with interrupts off. NO_COLOR is honoured. Status 1 where\n"
		"there is no terminal, 4 when all VMs named with --vm have gone.\n",
	.options = options,
	.max_operands = 2,
	.vm_operand = true,
	.own = tw_is_interval,
	.run = run,
};
