#!/bin/bash
# run.sh: the crash suite: streams that are cut and killed, readers that stall, requests in chaos, the judge of the soak's memory, a minute of the soak with one kill.
# SLUICE: the program; OUT: the build folder.
cd "$(dirname "$0")/../.."
sluice=${SLUICE:-build/sluice} out=${OUT:-build} passed=0 failed=0
tell() { # a command's name and its output; adds its sum
    local log=$2 last
    last=$(tail -n 1 <<<"$log")
    if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed ]]; then
        passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
    else
        failed=$((failed + 1))
    fi
    echo "== $1"; echo "$log"
}
run() { tell "$*" "$("$@" 2>&1)"; }
stalled=$(mktemp)
python3 tests/crash/stalled.py "$sluice" "$out/test/fake_server" >"$stalled" 2>&1 & # it waits for deadlines more than it computes
run python3 tests/crash/streams.py "$sluice" --seconds 4
run python3 tests/chaos/chaos.py "$out" --requests 4000 --kill-every 1
run python3 tests/soak/test_judge.py
run python3 tests/soak/soak.py "$sluice" --seconds 60 --kill 30 --quiet 12 --out "$out/soak-short" --tinymodel "$out/tool/tinymodel"
wait
tell "tests/crash/stalled.py" "$(cat "$stalled")"
rm -f "$stalled"
echo "$passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
