#!/bin/bash
# run.sh: the crash suite. SLUICE: the program; SOAK=1: a minute per round instead of seconds.
cd "$(dirname "$0")/../.."
exec python3 tests/crash/streams.py "${SLUICE:-build/sluice}" --seconds "$([ -n "${SOAK:-}" ] && echo 60 || echo 4)"
