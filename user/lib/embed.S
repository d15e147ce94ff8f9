/* SPDX-License-Identifier: GPL-2.0 */
/* BPF objects inside twctl, byte for byte as they are built: -DCONSTANT_BPF= */
	.section .rodata
	.macro	embed name, file
	.balign	8
	.global	\name, \name\()_end
\name:
	.incbin	"\file"
\name\()_end:
	.endm

	embed	tw_constant_bpf, CONSTANT_BPF

	.section .note.GNU-stack, "", @progbits
