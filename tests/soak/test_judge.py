"""The judge itself: it must pass a steady server with noise, and find planted leaks."""
import random

import judge

rnd = random.Random(1)
FAILED = []


def server(lives, leak_kb_a_minute=0.0, growth=1.0, seconds=300, noise=(0, 0, 0, 12, -12, 60)):
    out = []
    for life in range(lives):
        base = 60000 * growth**life
        for at in range(0, seconds, 5):
            warm, quiet = 8000 * min(1.0, at / 60), at % 20 == 0 and at > 0
            out.append((at, life, int(base + warm + leak_kb_a_minute * at / 60 + rnd.choice(noise if quiet else [0, 1500, 9000])), quiet))
    return out


def rss(*args, **more):
    return judge.memory(server(12), server(*args, noise=(0, 900, -800, 1500, 300), **more))[1]


def heap(*args, **more):
    return judge.memory(server(*args, **more), server(12))[1]


def check(name, ok):
    if not ok:
        FAILED.append(name)
        print("FAIL", name)


check("slope of a line", abs(judge.slope([(t, 100 + t) for t in range(0, 100, 7)]) - 60) < 1e-9)
check("one odd sample does not move it", abs(judge.slope([(t, 100) for t in range(20)] + [(20, 90000)])) < 1e-9)
check("a steady server passes", heap(12) == [] and rss(12) == [])
check("a leak of 40 KiB a minute is found", any("heap" in f for f in heap(12, 40)))
check("a leak in the half of the lives is found", any("heap" in f for f in judge.memory(server(7, 100) + [(a, n + 7, k, q) for a, n, k, q in server(5)], server(12))[1]))
check("memory that is not malloc's is found, too", any("resident" in f for f in rss(12, 2000)))
check("a start that grows with the store is found", any("peak" in f for f in rss(12, growth=1.06)))
check("a short life has no slope and no fault", heap(1, 500, seconds=100) == [])
print(f"{8 - len(FAILED)} passed, {len(FAILED)} failed, 0 skipped")
raise SystemExit(bool(FAILED))
