#!/bin/sh
# Builds everything in build/ and runs all checks; needs nothing but Debian 12 (and root for missing packages).
set -e
cd "$(dirname "$0")/.."
sh tools/setup.sh
python3 tools/check_layers.py
python3 tools/make_reference.py --check
cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release >/dev/null
cmake --build build -j "$(nproc)"
ctest --test-dir build -j "$(nproc)" --output-on-failure
