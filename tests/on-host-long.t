#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What of tests/host takes long.
TW_TIMEOUT=${TW_TIMEOUT:-7200} TW_ROUNDS=${TW_ROUNDS:-200} exec "$(dirname "$0")/on-host.t" robust nested sleepers backoff time group idle run guide
