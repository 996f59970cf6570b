#!/bin/bash
# run.sh: the black-box suite of the API, the page and the commands. SLUICE: the program; OUT: the build folder (test/fake_server in it).
# TESTS="chat page": only these files.
all="chat completions sampling embeddings templates errors params boundary pairwise bombs models cached speculation authority roles sign_in projects operator keys budget limits organization receipts events cli page"
# shellcheck disable=SC2086
exec "$(dirname "$0")/../node/run.sh" api ${TESTS:-$all}
