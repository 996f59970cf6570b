#!/bin/bash
# run.sh: how a server is operated: models in and out of memory, the end, log, backup, doctor, the unit. SLUICE: the program; OUT: the
# build folder (tool/tinymodel in it). TESTS="shelf drain": only these files.
# shellcheck disable=SC2086
exec "$(dirname "$0")/../node/run.sh" operate ${TESTS:-shelf drain backup doctor canary unit}
