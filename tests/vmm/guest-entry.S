/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The flat image's first byte. The VMM starts each vCPU here in long mode,
 * with its number in RDI and a stack of its own.
 */
	.section .text.entry, "ax"
	.globl	guest_entry
guest_entry:
	cld
	xorl	%ebp, %ebp
	call	guest_main
1:	hlt
	jmp	1b

	.section .note.GNU-stack, "", @progbits
