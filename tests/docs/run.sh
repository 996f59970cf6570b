#!/bin/bash
# The documents against the program's tables, and the house rules' checker against planted faults.
cd "$(dirname "$0")/../.."
exec python3 tests/docs/docs.py
