#!/bin/bash
# run_unit.sh PROGRAM...: runs test programs, as many at once as there are processors, prints what failed (in the order of the names) and the sum.
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
one() { # NUMBER PROGRAM
    { "$2" >"$work/$1.out" 2>&1; } 2>/dev/null # what the shell says of a killed one is said below
    echo $? >"$work/$1.rc"
}
n=0
for t in "$@"; do
    while [ "$(jobs -rp | wc -l)" -ge "${UNIT_JOBS:-$(nproc)}" ]; do wait -n; done
    one $n "$t" &
    n=$((n + 1))
done
wait
passed=0 failed=0 skipped=0 n=0
for t in "$@"; do
    rc=$(cat "$work/$n.rc" 2>/dev/null || echo none) out=$work/$n.out
    n=$((n + 1))
    last=$(tail -n 1 "$out")
    if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]]; then
        passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2])) skipped=$((skipped + BASH_REMATCH[3]))
        { [ "${BASH_REMATCH[2]}" -ne 0 ] || [ "${BASH_REMATCH[3]}" -ne 0 ]; } && { echo "== $t"; cat "$out"; }
        [ "$rc" != 0 ] && [ "${BASH_REMATCH[2]}" -eq 0 ] && { echo "== $t: exit $rc after its sum"; cat "$out"; failed=$((failed + 1)); }
    else
        echo "== $t: exit $rc without a sum"; tail -n 60 "$out"; failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
