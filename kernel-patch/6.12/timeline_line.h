/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the timeline need to know of this line of kernels: Linux 6.12.
 */
#ifndef __KVM_X86_TIMELINE_LINE_H
#define __KVM_X86_TIMELINE_LINE_H

#endif /* __KVM_X86_TIMELINE_LINE_H */
