"""A second opinion on the ledger: recomputes every charge and balance straight from the SQLite file, with code that shares nothing with sluice.

usage: second_audit.py LEDGER_DB ; prints differences, exits 1 when there is any. The server must be stopped."""
import sqlite3
import sys
from fractions import Fraction


def half_even(tokens, nano_per_million):
    q = Fraction(tokens * nano_per_million, 1_000_000)
    return round(q)  # Python rounds a Fraction half to even


def differences(path):
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    db.row_factory = sqlite3.Row
    rows = lambda sql: db.execute(sql).fetchall()
    rates = {}
    for r in rows("SELECT price_id, meter, nano_per_million AS nano FROM price_rate WHERE from_tokens = 0"):
        rates.setdefault(r["price_id"], {})[r["meter"]] = r["nano"]

    if (total := rows("SELECT COALESCE(SUM(amount), 0) AS s FROM entry")[0]["s"]) != 0:
        yield f"the entries sum to {total}, not 0"
    for r in rows("SELECT txn_id, SUM(amount) AS s FROM entry GROUP BY txn_id HAVING s <> 0"):
        yield f"transaction {r['txn_id']} sums to {r['s']}"
    for r in rows("SELECT a.code, a.balance, COALESCE((SELECT SUM(amount) FROM entry e WHERE e.account_id = a.id), 0) AS s FROM account a"):
        if r["balance"] != r["s"]:
            yield f"account {r['code']}: balance {r['balance']}, entries {r['s']}"

    paid = {r["usage_id"]: r["s"] for r in rows("SELECT usage_id, SUM(amount) AS s FROM usage_line GROUP BY usage_id")}
    for u in rows("SELECT * FROM usage"):
        rate = rates[u["price_id"]]
        bill = sum(half_even(u[m], rate.get(m, 0)) for m in ("input", "cache_read", "cache_write", "output", "reasoning"))
        if bill != u["list"]:
            yield f"usage {u['id']}: list {u['list']}, recomputed {bill}"
        if u["charged"] > u["list"] or paid.get(u["id"], 0) != u["charged"]:
            yield f"usage {u['id']}: charged {u['charged']}, list {u['list']}, grants paid {paid.get(u['id'], 0)}"
    for h in rows("SELECT h.id, h.state, COUNT(u.id) AS n FROM hold h LEFT JOIN usage u ON u.hold_id = h.id GROUP BY h.id"):
        if h["n"] != h["state"]:
            yield f"hold {h['id']}: state {h['state']} with {h['n']} usage rows"

    for g in rows("SELECT g.*, COALESCE((SELECT SUM(amount) FROM usage_line l WHERE l.grant_id = g.id), 0) AS used FROM credit_grant g"):
        if g["state"] != 2 and g["remaining"] != g["amount"] - g["used"]:
            yield f"grant {g['id']}: remaining {g['remaining']}, amount {g['amount']} less used {g['used']}"
    for p in rows("SELECT p.*, COALESCE((SELECT SUM(remaining) FROM credit_grant g WHERE g.pool_id = p.id AND g.state = 1), 0) AS live FROM pool p"):
        if p["balance"] != p["live"] or p["held"] < 0 or p["held"] > p["balance"]:
            yield f"pool {p['id']}: balance {p['balance']}, live grants {p['live']}, held {p['held']}"
    open_holds = rows("SELECT COUNT(*) AS n FROM hold WHERE state = 0")[0]["n"]
    held = rows("SELECT COALESCE(SUM(held), 0) AS s FROM pool")[0]["s"]
    if open_holds == 0 and held != 0:
        yield f"nothing is open, yet {held} is held"


if __name__ == "__main__":
    found = list(differences(sys.argv[1]))
    print("\n".join(found) or "second audit: no difference")
    sys.exit(bool(found))
