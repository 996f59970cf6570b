"""A second opinion on the ledger: recomputes every charge and balance straight from the SQLite file, with code that shares nothing with sluice.

usage: second_audit.py LEDGER_DB ; prints differences, exits 1 when there is any. The server must be stopped."""
import json
import sqlite3
import sys
from fractions import Fraction


def half_even(quantity, rate, per=1_000_000):
    q = Fraction(quantity * rate, per)
    return round(q)  # Python rounds a Fraction half to even


PER = {"gpu_hour": 3600, "storage_gb_month": 730}  # units that a rate is for; of everything else a million


def price_of(u, rates, job):
    """The whole request at the step that its input reaches; an embedding's input has a meter of its own; a job has its own quantities."""
    if job:
        return sum(half_even(n, max(rates[m])[1], PER.get(m, 1000000)) for m, n in job.items())
    reached = u["input"] + u["cache_read"] + u["cache_write"]
    at = lambda meter: max((r for r in rates.get(meter, []) if r[0] <= reached), default=(0, 0))[1]
    own = lambda meter: "embedding" if meter == "input" and u["scope"] == "embeddings" else meter
    return sum(half_even(u[m], at(own(m))) for m in ("input", "cache_read", "cache_write", "output", "reasoning"))


def differences(path):
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    db.row_factory = sqlite3.Row
    rows = lambda sql: db.execute(sql).fetchall()
    rates = {}
    for r in rows("SELECT price_id, meter, from_tokens, rate FROM price_rate ORDER BY from_tokens"):
        rates.setdefault(r["price_id"], {}).setdefault(r["meter"], []).append((r["from_tokens"], r["rate"]))

    if (total := rows("SELECT COALESCE(SUM(amount), 0) AS s FROM entry")[0]["s"]) != 0:
        yield f"the entries sum to {total}, not 0"
    for r in rows("SELECT txn_id, SUM(amount) AS s FROM entry GROUP BY txn_id HAVING s <> 0"):
        yield f"transaction {r['txn_id']} sums to {r['s']}"
    for r in rows("SELECT a.code, a.balance, COALESCE((SELECT SUM(amount) FROM entry e WHERE e.account_id = a.id), 0) AS s FROM account a"):
        if r["balance"] != r["s"]:
            yield f"account {r['code']}: balance {r['balance']}, entries {r['s']}"

    jobs = {}
    for q in rows("SELECT usage_id, meter, quantity FROM usage_quantity"):
        jobs.setdefault(q["usage_id"], {})[q["meter"]] = q["quantity"]
    paid = {r["usage_id"]: r["s"] for r in rows("SELECT usage_id, SUM(amount) AS s FROM usage_line GROUP BY usage_id")}
    for u in rows("SELECT * FROM usage"):
        for name, bill in (("list", price_of(u, rates[u["list_price_id"]], jobs.get(u["id"]))), ("contracted", price_of(u, rates[u["price_id"]], jobs.get(u["id"])))):
            if bill != u[name]:
                yield f"usage {u['id']}: {name} {u[name]}, recomputed {bill}"
        if u["charged"] > u["contracted"] or paid.get(u["id"], 0) != u["charged"]:
            yield f"usage {u['id']}: charged {u['charged']}, contracted {u['contracted']}, grants paid {paid.get(u['id'], 0)}"
    for h in rows("SELECT h.id, h.state, COUNT(u.id) AS n FROM hold h LEFT JOIN usage u ON u.hold_id = h.id GROUP BY h.id"):
        if h["n"] != h["state"]:
            yield f"hold {h['id']}: state {h['state']} with {h['n']} usage rows"

    yield from grants(rows)


# Who earns what is used: we, by what was computed, and a model's publisher its share.
EARNED = {"revenue:inference", "revenue:embeddings", "revenue:training", "revenue:storage", "payable:publisher"}

# What a transaction of each kind does to the grant that it names, by the account on its other side.
OTHER_SIDE = {
    "grant": lambda g: {"cash", f"contra_revenue:{g['funding']}"},
    "usage": lambda g: EARNED,
    "refund": lambda g: EARNED,
    "expire": lambda g: {f"breakage:{g['funding']}", f"contra_revenue:{g['funding']}"},
    "void": lambda g: {f"void:{g['funding']}"},
    "adjust": lambda g: {f"adjustment:{g['funding']}"},
    "transfer": lambda g: set(),  # the grant that receives, below
}
PENDING, OVER, ENDING = 6, (2, 4), (3, 5)


def grants(rows):
    """Each grant's story, replayed from its transactions: what came, what went, what must be left, what open holds reserve of it."""
    grant = {g["id"]: g for g in rows("SELECT * FROM credit_grant")}
    of_account = {g["account_id"]: i for i, g in grant.items()}
    code = {a["id"]: "payable:publisher" if a["code"].startswith("payable:publisher:") else a["code"] for a in rows("SELECT id, code FROM account")}
    entries, left, moved = {}, dict.fromkeys(grant, 0), {}
    for e in rows("SELECT * FROM entry ORDER BY txn_id, line"):
        entries.setdefault(e["txn_id"], []).append(e)
    for t in rows("SELECT * FROM txn ORDER BY id"):
        g = grant[t["grant_id"]]
        for e in entries.get(t["id"], []):
            mine = of_account.get(e["account_id"])
            if mine is not None:
                kind = "received" if t["kind"] == "transfer" and mine != t["grant_id"] else t["kind"]
                left[mine] -= e["amount"]
                moved[mine, kind] = moved.get((mine, kind), 0) - e["amount"]
                if left[mine] < 0:
                    yield f"grant {mine}: below nothing after transaction {t['id']}"
            if mine != t["grant_id"]:
                fits = grant[mine]["parent_id"] == t["grant_id"] if t["kind"] == "transfer" and mine else code[e["account_id"]] in OTHER_SIDE[t["kind"]](g)
                if not fits:
                    yield f"transaction {t['id']} ({t['kind']}): account {code[e['account_id']]} has no place in it"
    held = dict.fromkeys(grant, 0)
    for h in rows("SELECT * FROM hold WHERE state = 0"):
        parts = json.loads(h["reserved"])
        for i, n in parts:
            held[i] += n
            if grant[i]["org_id"] != h["org_id"] or grant[i]["scope"] not in ("any", h["scope"]):
                yield f"hold {h['id']}: reserves of grant {i}, which is not for it"
        if sum(n for _, n in parts) != h["amount_scope"] + h["amount_any"]:
            yield f"hold {h['id']}: {h['amount_scope'] + h['amount_any']} in all, {parts} of grants"
    used = {r["grant_id"]: r["s"] for r in rows("SELECT grant_id, SUM(amount) AS s FROM usage_line GROUP BY grant_id")}
    back = {r["grant_id"]: r["s"] for r in rows("SELECT grant_id, SUM(amount) AS s FROM refund_line GROUP BY grant_id")}
    for r in rows("SELECT r.usage_id, r.grant_id, SUM(r.amount) AS s, (SELECT amount FROM usage_line l WHERE l.usage_id = r.usage_id AND l.grant_id = r.grant_id) AS paid "
                  "FROM refund_line r GROUP BY r.usage_id, r.grant_id"):
        if r["paid"] is None or r["s"] > r["paid"]:
            yield f"usage {r['usage_id']}: {r['s']} came back to grant {r['grant_id']}, which paid {r['paid']}"
    for i, g in grant.items():
        of = lambda kind: moved.get((i, kind), 0)
        came, booked = of("received" if g["parent_id"] else "grant"), g["amount"] if g["approved_us"] else 0
        if came != booked:
            yield f"grant {i}: {came} came, {booked} was granted"
        if of("adjust") != g["adjusted"] or -of("usage") != used.get(i, 0) or of("refund") != back.get(i, 0):
            yield f"grant {i}: adjusted, used or refunded is not what its transactions say"
        if left[i] != g["remaining"] or held[i] != g["held"] or not 0 <= g["held"] <= g["remaining"]:
            yield f"grant {i}: {g['remaining']} left and {g['held']} held, its story leaves {left[i]} and {held[i]}"
        if (g["state"] in OVER or g["state"] == PENDING) and g["remaining"] or g["state"] in ENDING and g["remaining"] != g["held"]:
            yield f"grant {i}: state {g['state']} with {g['remaining']} left"


if __name__ == "__main__":
    found = list(differences(sys.argv[1]))
    print("\n".join(found) or "second audit: no difference")
    sys.exit(bool(found))
