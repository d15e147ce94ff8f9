#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# All that vmm.t holds, and slow motion and changes under each kind of timer: see in-host.
cd "$(dirname "$0")/../.." || exit 125
exec tools/testhost --timeout "${VMM_TIMEOUT:-2500}" -- tests/vmm/in-host --long
