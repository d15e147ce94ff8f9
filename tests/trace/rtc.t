#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# trace.t with the RTC of QEMU at 1024 Hz as well.
TW_RTC_QEMU=1 exec "$(dirname "$0")/trace.t" "$@"
