#!/bin/bash
# suites.sh NAME...: runs `make suite-NAME` for each, keeps the log in build/log/NAME.log, shows the log of one that failed,
# and closes with the sum of their "N passed, N failed, N skipped" lines. ONE+OTHER: side by side (what both need must be built before: `programs`).
mkdir -p build/log
passed=0 failed=0 skipped=0
run() { # NAME
    local from=$SECONDS log=build/log/$1.log
    env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make --no-print-directory "suite-$1" >"$log" 2>&1
    echo "$? $((SECONDS - from))" >"$log.rc"
}
tell() { # NAME
    local log=build/log/$1.log rc seconds last p f s _
    read -r rc seconds <"$log.rc"
    last=$(grep -E '^[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$' "$log" | tail -n 1)
    read -r p _ f _ s _ <<<"${last:-0 passed, 1 failed, 0 skipped}"
    [ "$rc" -ne 0 ] && [ "$f" -eq 0 ] && f=1
    printf '%-10s %s (%d s)\n' "$1" "$p passed, $f failed, ${s:-0} skipped" "$seconds"
    { [ "$f" -ne 0 ] || [ "${s:-0}" -ne 0 ]; } && { echo "-- $log"; tail -n 80 "$log"; echo "--"; }
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + ${s:-0}))
}
for group in "$@"; do
    names=${group//+/ }
    for name in $names; do
        rm -f "build/log/$name.log.rc"
        if [ "$name" = "$group" ]; then run "$name"; else run "$name" & fi
    done
    wait
    for name in $names; do tell "$name"; done
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
