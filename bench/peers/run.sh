#!/bin/bash
# run.sh [FOLDER]: one command for sluice beside node-llama-cpp. Installs the peer from npm into FOLDER (build/peers), makes the model files there, measures
# both turn about (bench/peers/turns.py), appends every pair to FOLDER/node.csv and prints the medians of their ratios.
#   SHAPES="qwen2.5-0.5b" MIXES="q4_0 q4_k_m q8_0" ROUNDS=5 THREADS=2 PREFILL=512 DECODE=64 choose what is measured; VOCAB: more options for
#   build/tool/shapes. ALL=1: the medians count pairs in which the machine changed too.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$(realpath -m "${1:-build/peers}") version=3.22.1
mkdir -p "$folder"
make --no-print-directory all build/tool/shapes
if [ ! -d "$folder/node_modules/node-llama-cpp" ]; then # the binary for this machine alone: those for graphics cards are 600 MB
    npm install --prefix "$folder" --ignore-scripts --omit=optional --no-audit --no-fund "node-llama-cpp@$version" \
        "@node-llama-cpp/linux-$(node -p process.arch)@$version"
fi
files=()
for shape in ${SHAPES:-qwen2.5-0.5b}; do
    for mix in ${MIXES:-q4_0 q4_k_m q8_0}; do
        files+=("$folder/$shape-$mix.gguf")
        # shellcheck disable=SC2086
        [ -f "${files[-1]}" ] || build/tool/shapes "${files[-1]}" "$shape" "$mix" ${VOCAB:-}
    done
done
python3 bench/peers/turns.py measure --peer "node=$folder" --version "node-llama-cpp $version" --model "${files[@]}" --pairs "${ROUNDS:-5}" --streams "" \
    --threads "${THREADS:-$(nproc)}" --prefill "${PREFILL:-512}" --decode "${DECODE:-64}" --csv "$folder/node.csv"
python3 bench/peers/turns.py table "$folder/node.csv" ${ALL:+--all}
