#!/bin/bash
# run_unit.sh PROGRAM...: runs test programs, prints what failed and the sum.
passed=0 failed=0 skipped=0
for t in "$@"; do
    out=$("$t" 2>&1); rc=$?
    last=$(tail -n 1 <<<"$out")
    if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]]; then
        passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2])) skipped=$((skipped + BASH_REMATCH[3]))
        { [ "${BASH_REMATCH[2]}" -ne 0 ] || [ "${BASH_REMATCH[3]}" -ne 0 ]; } && { echo "== $t"; echo "$out"; }
        [ $rc -ne 0 ] && [ "${BASH_REMATCH[2]}" -eq 0 ] && { echo "== $t: exit $rc after its sum"; echo "$out"; failed=$((failed + 1)); }
    else
        echo "== $t: exit $rc without a sum"; echo "$out" | tail -n 60; failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
