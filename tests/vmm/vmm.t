#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The test VMM's cases on the test host with SVM: unattached, trapped, offset, and changes on the way.
cd "$(dirname "$0")/../.." || exit 125
exec tools/testhost --timeout "${VMM_TIMEOUT:-1500}" -- tests/vmm/in-host
