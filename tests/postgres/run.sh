#!/bin/bash
# run.sh: a private PostgreSQL; the ledger's unit tests on it, then several nodes. SLUICE: the program; OUT: the build folder.
cd "$(dirname "$0")/../.."
exec python3 tests/postgres/suite.py "${SLUICE:-build/sluice}" "${OUT:-build}"
