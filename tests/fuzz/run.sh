#!/bin/bash
# run.sh DIR SECONDS: runs every fuzz target in DIR for SECONDS, two side by side, starting from tests/fuzz/corpus/NAME.
dir=$1 seconds=$2 passed=0 failed=0
one() {
    local t=$1 name=${1##*/fuzz_} work
    work=$(mktemp -d)
    mkdir -p "tests/fuzz/corpus/$name"
    "$t" -max_total_time="$seconds" -timeout=60 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$dir/$name-" \
        "$work" "tests/fuzz/corpus/$name" >"$dir/$name.log" 2>&1
    local rc=$?
    rm -rf "$work"
    echo "fuzz $name: $(grep -oE 'stat::number_of_executed_units: [0-9]+' "$dir/$name.log" | grep -oE '[0-9]+$') runs, exit $rc"
    [ $rc -eq 0 ] || tail -n 40 "$dir/$name.log"
    return $rc
}
targets=("$dir"/fuzz_*)
targets=($(for t in "${targets[@]}"; do [ -x "$t" ] && [[ $t != *.d ]] && echo "$t"; done))
for ((i = 0; i < ${#targets[@]}; i += 2)); do
    pids=()
    for t in "${targets[@]:i:2}"; do one "$t" & pids+=($!); done
    for p in "${pids[@]}"; do if wait "$p"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi; done
done
echo "$passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
