#!/bin/bash
# suites.sh NAME...: runs `make suite-NAME` for each, keeps the log in build/log/NAME.log, shows the log of one that failed,
# and closes with the sum of their "N passed, N failed, N skipped" lines.
mkdir -p build/log
passed=0 failed=0 skipped=0
for name in "$@"; do
    log=build/log/$name.log from=$SECONDS
    env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make --no-print-directory "suite-$name" >"$log" 2>&1
    rc=$?
    last=$(grep -E '^[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$' "$log" | tail -n 1)
    read -r p _ f _ s _ <<<"${last:-0 passed, 1 failed, 0 skipped}"
    [ $rc -ne 0 ] && [ "$f" -eq 0 ] && f=1
    printf '%-10s %s (%d s)\n' "$name" "$p passed, $f failed, ${s:-0} skipped" $((SECONDS - from))
    { [ "$f" -ne 0 ] || [ "${s:-0}" -ne 0 ]; } && { echo "-- $log"; tail -n 80 "$log"; echo "--"; }
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + ${s:-0}))
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
