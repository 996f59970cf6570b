#!/bin/bash
# run.sh: pull, add, list, show and rm against a hub on loopback that lies, cuts and dawdles. SLUICE: the program; OUT: the build folder (tool/tinymodel in it). TESTS: only names that contain it.
cd "$(dirname "$0")/../.." || exit 1
export SLUICE="${SLUICE:-build/sluice}" OUT="${OUT:-build}" PYTHONDONTWRITEBYTECODE=1
exec python3 tests/hub/run.py ${TESTS:+"$TESTS"}
