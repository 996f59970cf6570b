#!/bin/bash
# run.sh: pull, add, list, show and rm against a hub on loopback that lies, cuts and dawdles. SLUICE: the program. TESTS: only names that contain it.
cd "$(dirname "$0")/../.." || exit 1
export SLUICE="${SLUICE:-build/sluice}" PYTHONDONTWRITEBYTECODE=1
exec python3 tests/hub/run.py ${TESTS:+"$TESTS"}
