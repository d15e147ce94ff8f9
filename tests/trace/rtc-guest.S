/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A boot sector for QEMU: takes ticks of the RTC, keeps interrupts off for LOST + 1.5 periods, and goes
 * on until 256.5 periods are over, which may be no more than 2^32 ticks of the TSC. Asked and answered
 * by the first serial port: says R, waits for a byte whose low four bits are the rate as in the RTC's
 * register A (32768 Hz >> rate - 1), then says in hexadecimal: ticks taken in all, ticks taken in those
 * periods, TSC ticks that they took, TSC ticks of 64 periods before.
 */
	.code16
	.globl _start
_start:
	cli
	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movw $0x7000, %sp
	ljmp $0, $1f
1:	lgdt gdtr			/* FS reaches all of the memory */
	movl %cr0, %eax
	orb $1, %al
	movl %eax, %cr0
	movw $8, %bx
	movw %bx, %fs
	andb $0xfe, %al
	movl %eax, %cr0
	movw $tick, 0x70 * 4
	movw $0, 0x70 * 4 + 2
	movl $0, all
	movb $0xff, %al			/* no PIC: of a line that stays high it says nothing */
	outb %al, $0x21
	outb %al, $0xa1
	movl $0xfee000f0, %esi		/* LAPIC on */
	movl $0x1ff, %fs:(%esi)
	movl $0xfec00000, %esi		/* I/O APIC: pin 8 to vector 0x70 of LAPIC 0 */
	movl $0x21, %fs:(%esi)
	movl $0, %fs:0x10(%esi)
	movl $0x20, %fs:(%esi)
	movl $0x70, %fs:0x10(%esi)
	movb $'R', %al
	call put
2:	movw $0x3fd, %dx
	inb %dx, %al
	testb $1, %al
	jz 2b
	movw $0x3f8, %dx
	inb %dx, %al
	movb %al, %ah
	andb $15, %ah
	orb $0x20, %ah
	movb $0x0a, %al			/* register A: that rate */
	call rtc
	movw $0x420b, %ax		/* register B: periodic interrupts, 24 hours */
	call rtc
	sti
	movl all, %eax
3:	hlt
	cmpl %eax, all
	je 3b
	/* 64 periods, to know how long they are */
	call time
	movl all, %ebx
	addl $64, %ebx
4:	hlt
	cmpl %ebx, all
	jb 4b
	call time_since
	movl %eax, length
	/* From here on */
	call time
	movl all, %ebx
	movl %ebx, first
	addl $32, %ebx
5:	hlt
	cmpl %ebx, all
	jb 5b
	cli
	rdtsc
	movl %eax, %edi
	movl length, %eax
	movl $2 * LOST + 3, %ecx
	mull %ecx
	shrdl $7, %edx, %eax
	movl %eax, %ecx
6:	movl $1000, %eax
7:	decl %eax
	jnz 7b
	rdtsc
	subl %edi, %eax
	cmpl %ecx, %eax
	jb 6b
	sti
	movl length, %ecx
	movl %ecx, %eax
	shrl $7, %eax
	leal (%eax, %ecx, 4), %ecx
8:	hlt
	call time_since
	cmpl %ecx, %eax
	jb 8b
	cli
	movl %eax, %ebx
	movw $0x020b, %ax
	call rtc
	movl all, %eax
	call hex
	movl all, %eax
	subl first, %eax
	call hex
	movl %ebx, %eax
	call hex
	movl length, %eax
	call hex
	movb $'\n', %al
	call put
9:	hlt
	jmp 9b

time:	rdtsc
	movl %eax, %esi
	ret
time_since:
	rdtsc
	subl %esi, %eax
	ret
rtc:	outb %al, $0x70
	movb %ah, %al
	outb %al, $0x71
	ret
put:	movw $0x3f8, %dx
	outb %al, %dx
	ret
hex:	movl %eax, %ebp
	movw $8, %cx
1:	roll $4, %ebp
	movw %bp, %ax
	andb $15, %al
	addb $'0', %al
	cmpb $'9', %al
	jbe 2f
	addb $'a' - '0' - 10, %al
2:	call put
	loop 1b
	movb $' ', %al
	jmp put

tick:	pushw %ax
	pushl %esi
	incl all
	movl $0xfee000b0, %esi
	movl $0, %fs:(%esi)
	popl %esi
	movb $0x0c, %al			/* the last, as QEMU raises the next at once if it owes one */
	outb %al, $0x70
	inb $0x71, %al
	popw %ax
	iret

	.balign 8
gdt:	.quad 0, 0x00cf92000000ffff
gdtr:	.word 15
	.long gdt

	.set all, 0x7e00
	.set first, 0x7e04
	.set length, 0x7e08
	.org 510
	.word 0xaa55
