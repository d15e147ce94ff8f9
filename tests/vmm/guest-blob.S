/* SPDX-License-Identifier: GPL-2.0 */
/* The guest's flat image, inside the VMM. GUEST_BIN comes from the build. */
	.section .rodata
	.globl	guest_image, guest_image_end
	.balign	16
guest_image:
	.incbin	GUEST_BIN
guest_image_end:
	.section .note.GNU-stack, "", @progbits
