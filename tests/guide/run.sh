#!/bin/bash
# run.sh: the guide model, asked through the API. SLUICE: the program.
cd "$(dirname "$0")/../.."
. tests/node/install.sh || exit 1
export SLUICE="${SLUICE:-build/sluice}"
exec "$NODE" tests/guide/guide.mjs "$@"
