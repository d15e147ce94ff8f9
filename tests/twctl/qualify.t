#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# twctl qualify on the SVM host: what holds, what does not, and what is left when it is ended.
cd "$(dirname "$0")/../.." || exit 1
exec tools/testhost --timeout "${TW_TIMEOUT:-900}" tests/twctl/qualify-on-host
