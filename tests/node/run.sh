#!/bin/bash
# run.sh FOLDER NAME...: runs tests/FOLDER/NAME.mjs one after the other, shows what failed or was skipped (VERBOSE=1: everything), and closes with the sum.
cd "$(dirname "$0")/../.."
. tests/node/install.sh || exit 1
export SLUICE="${SLUICE:-build/sluice}" OUT="${OUT:-build}"
folder=$1 passed=0 failed=0 skipped=0
for t in "${@:2}"; do
    out=$("$NODE" "tests/$folder/$t.mjs" 2>&1); rc=$?
    last=$(tail -n 1 <<<"$out")
    if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]]; then
        passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2])) skipped=$((skipped + BASH_REMATCH[3]))
        [ $rc -eq 0 ] && [ "${BASH_REMATCH[3]}" -eq 0 ] && [ -z "${VERBOSE:-}" ] || { echo "== $t"; echo "$out"; }
    else
        echo "== $t: exit $rc without a sum"; tail -n 40 <<<"$out"; failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
