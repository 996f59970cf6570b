"""The judge itself: it must pass a steady server with noise, and find planted leaks."""
import random

import judge

rnd = random.Random(1)
FAILED = []


def server(lives, leak_kb_a_minute=0.0, growth=1.0, seconds=300):
    out = []
    for life in range(lives):
        base = 60000 * growth**life
        for at in range(0, seconds, 5):
            warm = 8000 * min(1.0, at / 60)
            noise = rnd.choice([0, 0, 0, 40, -30, 1500]) if at % 20 else rnd.choice([0, 12, -12, 60])
            out.append((at, life, int(base + warm + leak_kb_a_minute * at / 60 + noise), at % 20 == 0 and at > 0))
    return out


def check(name, ok):
    if not ok:
        FAILED.append(name)
        print("FAIL", name)


check("slope of a line", abs(judge.slope([(t, 100 + t) for t in range(0, 100, 7)]) - 60) < 1e-9)
check("one odd sample does not move it", abs(judge.slope([(t, 100) for t in range(20)] + [(20, 90000)])) < 1e-9)
check("a steady server passes", judge.memory(server(12))[1] == [])
check("a leak of 128 KiB a minute is found", any("grows" in f for f in judge.memory(server(12, leak_kb_a_minute=128))[1]))
check("a leak in the half of the lives is found", any("grows" in f for f in judge.memory(server(7, 200) + [(a, n + 7, k, q) for a, n, k, q in server(5)])[1]))
check("a start that grows with the store is found", any("peak" in f for f in judge.memory(server(12, growth=1.05))[1]))
check("a short life has no slope and no fault", judge.memory(server(1, 500, seconds=100))[1] == [])
print(f"{7 - len(FAILED)} passed, {len(FAILED)} failed, 0 skipped")
raise SystemExit(bool(FAILED))
