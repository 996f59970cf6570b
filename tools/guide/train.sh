#!/bin/sh
# Makes the guide model from its texts: tools/guide/train.sh [OUT]   (default build/guide; about half an hour)
# Writes OUT/guide-f32.gguf and OUT/guide.gguf (Q8_0). See README.md for what the bytes depend on.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-build/guide}
python=/usr/bin/python3     # Debian's: python3-torch, python3-regex, libopenblas0-pthread

# The kernels that torch and OpenBLAS choose change the last bits of the weights, so they are named here.
export OPENBLAS_CORETYPE=Haswell OPENBLAS_NUM_THREADS=2
export ATEN_CPU_CAPABILITY=avx2 OMP_NUM_THREADS=2 OMP_WAIT_POLICY=passive
export PYTHONDONTWRITEBYTECODE=1

$python "$here/check.py"
$python "$here/write_tests.py"
$python "$here/train.py" "$out"
$python "$here/export.py" "$out"
$python "$here/measure.py" "$out" dev
$python "$here/measure.py" "$out" heldout
sha256sum "$out/guide-f32.gguf" "$out/guide.gguf"
