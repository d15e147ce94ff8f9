/* SPDX-License-Identifier: GPL-2.0 */
/* What twexec (on the host side of a virtio-serial port) and agent (on the guest side) say to each other. */
#ifndef TW_PROTO_H
#define TW_PROTO_H

#define TW_MAGIC	0x5457		/* "TW" */
#define TW_CHUNK	65536
#define TW_REQ_MAX	(1 << 20)

enum tw_type {
	TW_REQ = 'R',		/* terminal \0 cwd \0 number of env strings \0 env... \0 argv... \0 */
	TW_STDIN = 'I',		/* data; none: end of file */
	TW_SIZE = 'W',		/* struct tw_size: that of the terminal from now on */
	TW_SIGNAL = 'S',	/* u32: signal to the command and its process group */
	TW_STDOUT = 'O',
	TW_STDERR = 'E',
	TW_EXIT = 'X',		/* u32: exit status, as a shell gives it */
};

/* Of a request, "ROWS COLUMNS": the command gets a terminal of that size, and all it writes is TW_STDOUT; or nothing. */
struct tw_size {
	unsigned short rows;
	unsigned short columns;
};

/*
 * The id is the client's, drawn at random: what a session that was cut off left
 * in some buffer is told from what belongs to the next one.
 */
struct tw_hdr {
	unsigned short magic;
	unsigned short type;
	unsigned int id;
	unsigned int len;
};

#endif
