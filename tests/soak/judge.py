"""The soak's verdict on memory, from samples alone, so that it can be tested without a server.

How it is judged. The process is new after each kill, so each life is judged by itself. At every rest (nothing runs, nothing is open, no model is
loaded) two numbers are read: the heap that is in use, and the resident memory; from both is taken what is kept on purpose, within a bound and counted by a
gauge of its own (the store's page cache, KV pages that wait for reuse). The heap (with malloc's caches of each thread turned off)
says exactly what is kept and shows the smallest leak; the resident
memory also has what malloc keeps in holes, which comes in steps, and what is not malloc's.

The first third of a life is its warm-up. Over the rest of a life of at least LIFE_MIN_S seconds the slope is Theil and Sen's: the median of the slopes
between all pairs, which a few odd samples cannot move. The verdict is the median of the lives' slopes: at most HEAP_MAX_KB a minute for the heap, at most
RSS_MAX_KB for the resident memory; and the last life's peak of resident memory must not pass the median of the earlier peaks by more than PEAK_MAX and
PEAK_SLACK_KB, or what grows is the store and not the process."""
import statistics

LIFE_MIN_S = 240
HEAP_MAX_KB = 16.0  # a minute: at the soak's rate of some 50 requests a second that is 6 bytes a request
RSS_MAX_KB = 1024.0
PEAK_MAX, PEAK_SLACK_KB = 1.10, 8192


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


def slopes_of(name, samples, most):
    """(what was found, faults) of one kind of memory."""
    found, slopes = [], []
    for n, (length, points, _) in sorted(lives(samples).items()):
        if length < LIFE_MIN_S or len(points) < 3:
            found.append(f"{name}, life {n}: {length:.0f} s are too short for a slope")
            continue
        slopes.append(slope(points))
        found.append(f"{name}, life {n}: {slopes[-1]:+.1f} KiB a minute over {len(points)} rests ({points[0][1]} to {points[-1][1]} KiB)")
    if not slopes:
        return found, []
    middle = statistics.median(slopes)
    found.append(f"{name}: median slope {middle:+.1f} KiB a minute (at most {most:g})")
    return found, [f"{name} grows by {middle:.1f} KiB a minute, more than {most:g}"] if middle > most else []


def peaks_of(samples):
    """A fault when the last long life's peak is far above the earlier ones'."""
    peaks = [peak for _, (length, _, peak) in sorted(lives(samples).items()) if length >= LIFE_MIN_S]
    if len(peaks) < 2:
        return []
    before = statistics.median(peaks[:-1])
    return [f"the last life's peak is {peaks[-1]} KiB, the earlier ones' median {before:.0f}"] if peaks[-1] > PEAK_MAX * before + PEAK_SLACK_KB else []


def memory(heap, rss):
    """(what was found, faults): lines of text. heap, rss: samples as in lives()."""
    one, two = slopes_of("heap in use", heap, HEAP_MAX_KB), slopes_of("resident memory", rss, RSS_MAX_KB)
    return one[0] + two[0], one[1] + two[1] + peaks_of(rss)
