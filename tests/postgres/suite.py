"""The ledger on PostgreSQL: its unit tests, each in a schema of its own, then nodes.py.

usage: suite.py SLUICE OUT"""
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
from cluster import Cluster, programs

# Those that ask the ledger and not SQLite: its file, its pragmas and its triggers' words are what the others look at.
UNITS = "hold budget grant credit deed rate price job publisher key nodes heal".split()
SUM = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", re.M)


def main(sluice, out):
    total = [0, 0, 0]

    def run(name, *command, **more):
        r = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
        found = SUM.findall(r.stdout)
        sums = [int(x) for x in found[-1]] if found else [0, 1, 0]
        sums[1] += r.returncode != 0 and sums[1] == 0
        for i in range(3):
            total[i] += sums[i]
        print(f"== {name}: {sums[0]} passed, {sums[1]} failed")
        if sums[1]:
            print(r.stdout[-6000:])

    if not programs():
        raise SystemExit("PostgreSQL is not installed: make packages-postgres")
    cluster = Cluster()
    try:
        cluster.start()
        for name in UNITS:
            run(name, f"{out}/unit/ledger/test_{name}", env={**os.environ, "SLUICE_TEST_POSTGRES": cluster.url})
    finally:
        cluster.drop()
    run("nodes.py", sys.executable, "tests/postgres/nodes.py", sluice, f"{out}/test/fake_server")
    print(f"{total[0]} passed, {total[1]} failed, {total[2]} skipped")
    return total[1] != 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
