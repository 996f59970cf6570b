#!/bin/bash
# run.sh [FOLDER]: one command for sluice beside node-llama-cpp. Installs the peer from npm into FOLDER (build/peers), makes the model files there and runs
# both turn about; appends to FOLDER/node.csv.
#   SHAPES="qwen2.5-0.5b" MIXES="q4_0 q4_k_m q8_0" ROUNDS=5 choose what is measured. VOCAB: more options for build/tool/shapes.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$(realpath -m "${1:-build/peers}") version=3.22.1
mkdir -p "$folder"
make --no-print-directory all build/tool/shapes
[ -d "$folder/node_modules/node-llama-cpp" ] || npm install --prefix "$folder" --ignore-scripts --no-audit --no-fund "node-llama-cpp@$version"
for shape in ${SHAPES:-qwen2.5-0.5b}; do
    for mix in ${MIXES:-q4_0 q4_k_m q8_0}; do
        file=$folder/$shape-$mix.gguf
        # shellcheck disable=SC2086
        [ -f "$file" ] || build/tool/shapes "$file" "$shape" "$mix" ${VOCAB:-}
        node bench/peers/node.mjs "$folder" build/sluice "$file" "${ROUNDS:-5}" "$folder/node.csv"
    done
done
