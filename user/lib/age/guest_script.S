/* SPDX-License-Identifier: GPL-2.0 */
/* guest.sh, as a string */
	.section .rodata
	.global tw_guest_script
tw_guest_script:
	.incbin GUEST_SCRIPT
	.byte 0
	.section .note.GNU-stack, "", @progbits
