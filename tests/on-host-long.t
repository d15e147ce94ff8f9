#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What of tests/host takes long; and what make check has less of, policies beside a process that only spins.
TW_TIMEOUT=${TW_TIMEOUT:-7200} TW_GUESTS=${TW_GUESTS:-k2 t2} TW_SECONDS=${TW_SECONDS:-3} TW_RUNS=${TW_RUNS:-2} TW_MOMENTS=${TW_MOMENTS:-21} TW_ROUNDS=${TW_ROUNDS:-200} TW_SAMPLES=${TW_SAMPLES:-600} TW_RESET_FACTOR=${TW_RESET_FACTOR:-50} TW_BUSY=1 \
	exec "$(dirname "$0")/on-host.t" agree robust nested sleepers backoff time devices truth saved group idle run guide first-hour watched rates policies
