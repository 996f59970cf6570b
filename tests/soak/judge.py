"""The soak's verdict on memory, from samples alone, so that it can be tested without a server.

How it is judged. The process is new after each kill, so each life is judged by itself. At every quiet point (nothing runs, nothing is open) the
resident memory is read, less what is kept on purpose, within a bound and counted by a gauge of its own (the store's page cache, KV pages that wait
for reuse, loaded models): those samples say what the server keeps beside it. The first third of a life is its warm-up (buffers, caches and pages reach their
size). Over the rest of a life of at least LIFE_MIN_S seconds the slope is Theil and Sen's: the median of the slopes between all pairs, which a few
odd samples cannot move. The verdict is the median of the lives' slopes, and it must be at most SLOPE_MAX_KB a minute; and the last life's peak
must not pass the median of the earlier peaks by more than PEAK_MAX, or what grows is the store and not the process."""
import statistics

LIFE_MIN_S = 240
SLOPE_MAX_KB = 64.0  # a minute: at the soak's rate of some 100 requests a second that is 11 bytes a request
PEAK_MAX = 1.10


def slope(points):
    """Theil and Sen's slope of [(seconds, KiB)], in KiB a minute."""
    pairs = [(y2 - y1) / (x2 - x1) for i, (x1, y1) in enumerate(points) for x2, y2 in points[i + 1 :] if x2 > x1]
    return 60 * statistics.median(pairs) if pairs else 0.0


def lives(samples):
    """samples: (seconds of this life, life, KiB, quiet). {life: (length, its quiet points after the warm-up, peak)}"""
    by = {}
    for at, life, kb, quiet in samples:
        by.setdefault(life, []).append((at, kb, quiet))
    return {n: (max(a for a, _, _ in s), [(a, k) for a, k, q in s if q and a >= max(a for a, _, _ in s) / 3], max(k for _, k, _ in s)) for n, s in by.items()}


def memory(samples):
    """(what was found, faults): lines of text."""
    found, faults, slopes, peaks = [], [], [], []
    for n, (length, points, peak) in sorted(lives(samples).items()):
        if length < LIFE_MIN_S or len(points) < 3:
            found.append(f"life {n}: {length:.0f} s, peak {peak} KiB; too short for a slope")
            continue
        slopes.append(slope(points))
        peaks.append(peak)
        found.append(f"life {n}: {length:.0f} s, peak {peak} KiB, slope {slopes[-1]:+.1f} KiB a minute over {len(points)} quiet points ({points[0][1]} to {points[-1][1]} KiB)")
    if slopes:
        middle = statistics.median(slopes)
        found.append(f"median slope {middle:+.1f} KiB a minute (at most {SLOPE_MAX_KB:g})")
        if middle > SLOPE_MAX_KB:
            faults.append(f"memory grows by {middle:.1f} KiB a minute, more than {SLOPE_MAX_KB:g}")
    if len(peaks) > 1 and peaks[-1] > PEAK_MAX * statistics.median(peaks[:-1]):
        faults.append(f"the last life's peak is {peaks[-1]} KiB, the earlier ones' median {statistics.median(peaks[:-1]):.0f}: more than {PEAK_MAX - 1:.0%} above")
    return found, faults
