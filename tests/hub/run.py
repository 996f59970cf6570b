"""Pull and its sisters, black box: run.py [PART OF A TEST'S NAME]. Environment: SLUICE, the program."""
import contextlib
import os
import sys
import time
import traceback

import choice  # noqa: F401
import store  # noqa: F401
import transfer  # noqa: F401
import trust  # noqa: F401
from box import TESTS


def main():
    only, passed, failed = sys.argv[1] if len(sys.argv) > 1 else "", 0, 0
    for t in TESTS:
        if only not in t.__name__:
            continue
        began = time.monotonic()
        try:
            with contextlib.ExitStack() as stack:
                t(stack)
            passed += 1
            if os.environ.get("VERBOSE"):
                print(f"ok   {t.__name__} ({time.monotonic() - began:.1f} s)", flush=True)
        except Exception:
            failed += 1
            print(f"FAIL {t.__name__}", flush=True)
            traceback.print_exc(file=sys.stdout)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
