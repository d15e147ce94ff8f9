#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What of tests/host has not come to its end on the present kernel half yet, or takes long.
exec "$(dirname "$0")/on-host.t" nested sleepers backoff time group idle run
