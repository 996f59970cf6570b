/* The power goes behind every single write of a working day. A day of grants, prices, keys, requests, refunds, expiry, checkpoints, segments of
 * the journal and a restart is recorded once over the disk of disk.h; then, for each moment and each mood of that disk, the folder is made as it
 * would be found, and opened. There
 *
 *   the audit is clean, and nothing is held any more;
 *   each act that a person was told is done is there, with its answer;
 *   a request is billed at most what was computed, exactly what its finish said when that was on the disk, and at least what had been journaled
 *   before the journal's last sync began: they are 100 ms apart. With a strict journal: at least all that was told.
 *
 * SLUICE_POWER_ALL=1 looks behind every operation in every mood; without it behind a few hundred. */
#include "credit.h"
#include "disk.h"
#include "ledger/rate.h"
#include "ledger/usage.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { STRIDE = 301 };
#else
enum { STRIDE = 47 };
#endif
enum { REQUESTS = 64, ACTS = 256 };

/* ---- what is told ---- */

enum told { HOLD_ASKED, STEP_ASKED, STEP, FINISH_ASKED, FINISH, ACT, CLOCK };
enum act { ACT_ACCOUNT, ACT_GRANT, ACT_PRICE, ACT_KEY, ACT_KEY_GONE, ACT_LIMIT, ACT_DEED };
struct note {
    enum told what;
    uint32_t request, tokens; /* output */
    enum act act;
    int64_t id, now;
    char text[LEDGER_KEY_MAX];
};
struct course { /* of a request; tokens plus 1 */
    uint32_t asked, journaled, finish_asked, finished;
};
static struct {
    struct course request[REQUESTS], synced[REQUESTS], syncing[REQUESTS];
    struct note act[ACTS];
    size_t n_acts;
    int64_t now;
} known; /* at one moment */

static void tell(struct note n)
{
    disk_told(&n, sizeof n);
}

static void hear(const struct note *n)
{
    struct course *r = &known.request[n->request];
    switch (n->what) {
    case HOLD_ASKED: break;
    case STEP_ASKED: r->asked = n->tokens + 1; break;
    case STEP: r->journaled = n->tokens + 1; break;
    case FINISH_ASKED: r->finish_asked = n->tokens + 1; break;
    case FINISH: r->finished = n->tokens + 1; break;
    case ACT: known.act[known.n_acts++] = *n; break;
    case CLOCK: known.now = n->now; break;
    }
}

/* Is this segment's name certain? Else what it holds is once its folder is synced. */
static void journal_synced(const struct disk_op *o)
{
    if (disk_name(o->name) >= 0)
        memcpy(known.synced, known.request, sizeof known.synced);
    memcpy(known.syncing, known.request, sizeof known.syncing);
}

static void moment(size_t i)
{
    const struct disk_op *o = &disk.op[i];
    disk_advance(i);
    if (o->kind == DISK_TOLD)
        hear((const struct note *)o->bytes);
    else if (o->kind == DISK_SYNC && strncmp(o->name, "journal/", 8) == 0)
        journal_synced(o);
    else if (o->kind == DISK_FOLDER && strcmp(o->name, "journal") == 0)
        memcpy(known.synced, known.syncing, sizeof known.synced);
}

/* ---- the day ---- */

static struct ledger *l;
static struct principal acme, beta;
static struct err e;
static int64_t day_us;
static uint32_t n_deeds;

static void clock_to(int64_t us)
{
    day_us = us;
    atomic_store(&now_us, us);
    tell((struct note){.what = CLOCK, .now = us});
}

static void done(enum act act, int64_t id, const char *text)
{
    struct note n = {.what = ACT, .act = act, .id = id};
    snprintf(n.text, sizeof n.text, "%s", text);
    tell(n);
}

static struct deed by(char key[32])
{
    snprintf(key, 32, "deed-%u", n_deeds++);
    return (struct deed){key, "ann", "a day"};
}
#define DEED(call)                                                                                                                                   \
    do {                                                                                                                                             \
        char deed_key[32];                                                                                                                           \
        struct deed d = by(deed_key);                                                                                                                \
        if ((call) < 0)                                                                                                                              \
            return printf("%s: %s\n", #call, e.msg), false;                                                                                          \
        done(ACT_DEED, 0, deed_key);                                                                                                                 \
    } while (0)

static bool grant(const struct principal *who, int64_t amount, const char *funding, int64_t expires_us, struct grant_id *id)
{
    struct grant_new g = {.org = who->org, .amount = {amount}, .scope = "any", .funding = funding, .expires_us = expires_us, .priority = 50};
    if (ledger_grant_create(l, &g, id, &e) < 0)
        return printf("grant: %s\n", e.msg), false;
    done(ACT_GRANT, id->v, "");
    return true;
}

static bool price(int64_t in, int64_t out)
{
    struct price_id id;
    if (ledger_price_set(l, &(struct price_new){.model = "m", .input = {in}, .output = {out}}, &id, &e) < 0)
        return printf("price: %s\n", e.msg), false;
    done(ACT_PRICE, id.v, "");
    return true;
}

/* A request with its steps; finish: to its end, else it stays open. */
static bool serve(uint32_t id, uint32_t steps, bool finish, struct hold_id *hold)
{
    char request[16];
    snprintf(request, sizeof request, "q%u", id);
    tell((struct note){.what = HOLD_ASKED, .request = id});
    struct hold_answer a = hold_now(l, &acme, request, "m", 10, 4);
    if (a.err.code)
        return printf("hold: %s\n", a.err.msg), false;
    *hold = a.hold;
    for (uint32_t k = 1; k <= steps; k++) {
        if (k > 4 && k % 4 == 1 && more_now(l, a.hold, 4).err.code)
            return false;
        tell((struct note){.what = STEP_ASKED, .request = id, .tokens = k});
        if (ledger_journal(l, &(struct journal_step){a.hold, {.input = 10, .output = k}}, 1, &e) < 0)
            return false;
        tell((struct note){.what = STEP, .request = id, .tokens = k});
    }
    if (!finish)
        return true;
    tell((struct note){.what = FINISH_ASKED, .request = id, .tokens = steps});
    if (finish_now(l, a.hold, 10, steps, NULL) < 0)
        return false;
    tell((struct note){.what = FINISH, .request = id, .tokens = steps});
    return true;
}

static bool finish_late(uint32_t id, uint32_t steps, struct hold_id hold)
{
    tell((struct note){.what = FINISH_ASKED, .request = id, .tokens = steps});
    if (finish_now(l, hold, 10, steps, NULL) < 0 || queue_flush(l, &e) < 0)
        return false;
    tell((struct note){.what = FINISH, .request = id, .tokens = steps});
    return true;
}

/* Until the journal's own thread has synced once more; false: it does not, which only a fault takes a minute to show. A strict journal is always
 * synced, and has nothing to wait for. */
static bool sync_awaited(void)
{
    size_t had = disk_syncs("journal/");
    if (l->strict)
        return true;
    for (int i = 0; i < 30000 && disk_syncs("journal/") == had; i++)
        usleep(2000);
    return disk_syncs("journal/") > had;
}

static int small_checkpoints(struct ledger *led, void *arg, struct err *err)
{
    (void)arg;
    return db_exec(led->db, SQL("PRAGMA wal_autocheckpoint = 20"), err);
}

static bool open_day(bool strict)
{
    if (ledger_open(&l, &(struct ledger_opts){.dir = test_dir, .node = "test", .strict = strict}, &e) < 0)
        return printf("open: %s\n", e.msg), false;
    atomic_store(&l->segment_bytes, 1500); /* some segments a day */
    return true;
}

static bool morning(struct grant_id g[4], struct hold_id open[2])
{
    char key[LEDGER_KEY_MAX];
    struct org_id org;
    struct hold_id h;
    if (ledger_account_create(l, "gamma", &org, &e) < 0)
        return false;
    done(ACT_ACCOUNT, org.v, "gamma");
    if (ledger_key_create(l, org, NULL, 0, NULL, key, &e) < 0)
        return false;
    done(ACT_KEY, 0, key);
    if (!grant(&acme, 40000000, "promotional", day_us + 2 * HOUR, &g[0]) || !grant(&acme, 1000000, "goodwill", 0, &g[1]) || !price(1000000, 3000000))
        return false;
    for (uint32_t i = 0; i < 8; i++)
        if (!serve(i, i % 7, true, &h))
            return false;
    if (!sync_awaited() || !serve(8, 6, false, &open[0]) || !serve(9, 3, false, &open[1]))
        return false;
    DEED(ledger_refund(l, "q5", &(struct money){3}, &d, NULL, &e));
    DEED(ledger_grant_adjust(l, g[1], (struct money){700}, &d, NULL, &e));
    DEED(ledger_grant_transfer(l, g[1], beta.org, (struct money){500}, &d, NULL, &e));
    return price(2000000, 4000000);
}

static bool noon(struct grant_id g[4], const struct hold_id open[2])
{
    struct hold_id h;
    char key[LEDGER_KEY_MAX], gone[LEDGER_PUBLIC_ID + 1];
    clock_to(day_us + 3 * HOUR); /* the promotional grant's time is over, and q8 and q9 reserve of it */
    for (uint32_t i = 10; i < 16; i++)
        if (!serve(i, i % 5, i % 3 != 0, &h))
            return false;
    if (!finish_late(8, 7, open[0]))
        return false;
    if (!sync_awaited() || ledger_rate_set(l, &(struct rate_owner){.account = "acme"}, &(struct rate_texts){.requests = "1000/minute"}, &e) < 0)
        return false;
    done(ACT_LIMIT, 0, "acme");
    if (ledger_key_create(l, beta.org, NULL, 0, &(struct key_limits){.budget = "0.10/month"}, key, &e) < 0)
        return false;
    done(ACT_KEY, 0, key);
    snprintf(gone, sizeof gone, "%s", beta.public_id);
    if (ledger_key_revoke(l, gone, &e) < 0)
        return false;
    done(ACT_KEY_GONE, 0, gone);
    DEED(ledger_grant_limit(l, &(struct money){5000000}, &d, NULL, &e));
    if (!grant(&beta, 9000000, "paid", 0, &g[2])) /* waits for its approval */
        return false;
    DEED((d.actor = "bob", ledger_grant_approve(l, g[2], &d, NULL, &e)));
    DEED(ledger_grant_void(l, g[1], &d, NULL, &e));
    return true;
}

static bool evening(bool strict)
{
    struct hold_id h;
    for (uint32_t i = 16; i < 24; i++)
        if (!serve(i, 1 + i % 6, i % 4 != 1, &h))
            return false;
    if (!sync_awaited())
        return false;
    ledger_close(l); /* what is open ends at the next start */
    if (!open_day(strict))
        return false;
    for (uint32_t i = 24; i < 34; i++)
        if (!serve(i, i % 6, i % 5 != 3, &h) || (i == 28 && queue_call(l, small_checkpoints, NULL, &e) < 0))
            return false;
    if (!sync_awaited())
        return false;
    DEED(ledger_refund(l, "q26", NULL, &d, NULL, &e));
    for (uint32_t i = 34; i < 44; i++)
        if (!serve(i, i % 9, i % 5 != 3, &h))
            return false;
    return true;
}

/* Records a day over a folder with two accounts. */
static bool day(bool strict)
{
    struct grant_id g[4];
    struct hold_id open[2];
    atomic_store(&now_us, NOON), day_us = NOON, n_deeds = 0;
    l = open_at(dir_new());
    bool ok = l && account_with(l, "acme", USD(1), &acme) && account_with(l, "beta", USD(0), &beta) && price_now(l, "m", 1000000, 1000000) &&
              ledger_key_set(l, acme.public_id, &(struct key_limits){.budget = "0.50/month"}, &e) == 0; /* the audit says whether it stays exact */
    ledger_close(l);
    disk_record(test_dir);
    clock_to(NOON);
    ok = ok && open_day(strict) && queue_call(l, small_checkpoints, NULL, &e) == 0 && morning(g, open) && noon(g, open) && evening(strict);
    disk_stop();
    ledger_close(l);
    return ok;
}

/* ---- what is found ---- */

static bool wrong(const char *what, const char *of, int64_t has, int64_t want)
{
    printf("%s %s: has %lld, expected %lld\n", what, of, (long long)has, (long long)want);
    return false;
}

static bool row_ok(const struct json *row, bool strict, bool *billed)
{
    const char *name = json_str(json_get(row, "request")).p, *why = json_str(json_get(row, "reason")).p;
    int64_t out = json_int(json_get(row, "output"));
    uint64_t id;
    if (!str_u64(str_of(name + 1), &id) || id >= REQUESTS || billed[id])
        return wrong(name, "is unknown or billed twice", out, 0);
    billed[id] = true;
    const struct course *r = &known.request[id], *s = strict ? r : &known.synced[id];
    uint32_t most = r->finish_asked ? r->finish_asked : r->asked;
    if (out > (most ? most - 1 : 0))
        return wrong(name, "is over", out, most);
    if (s->finished && (out != s->finished - 1 || strcmp(why, "stop") != 0))
        return wrong(name, "was finished", out, s->finished - 1);
    return !s->journaled || out >= s->journaled - 1 || wrong(name, "is short", out, s->journaled - 1);
}

static bool rows_ok(bool strict)
{
    bool billed[REQUESTS] = {0};
    struct buf out;
    struct json *j = NULL;
    buf_init(&out, 0);
    bool ok = ledger_report_usage(l, &(struct usage_filter){.group = "request"}, &out, &e) == 0 && json_parse(&j, out.data, out.len, &e) == 0;
    for (size_t i = 0; ok && i < json_len(j); i++)
        ok = row_ok(json_at(j, i), strict, billed);
    for (size_t i = 0; ok && i < REQUESTS; i++) {
        const struct course *s = strict ? &known.request[i] : &known.synced[i];
        char name[16];
        snprintf(name, sizeof name, "q%zu", i);
        if (!billed[i] && (s->journaled || s->finished))
            ok = wrong(name, "is not billed at all", 0, s->journaled - 1);
    }
    json_free(j);
    buf_deinit(&out);
    return ok;
}

struct look {
    const struct note *act;
    bool there;
};

static int look_for(struct ledger *led, void *arg, struct err *err)
{
    struct look *k = arg;
    struct stmt *s;
    int rc = k->act->act == ACT_GRANT   ? stmt_get(&s, led->db, SQL("SELECT 1 FROM credit_grant WHERE id = ?1 AND ?2 = ?2"), err)
             : k->act->act == ACT_PRICE ? stmt_get(&s, led->db, SQL("SELECT 1 FROM price WHERE id = ?1 AND ?2 = ?2"), err)
                                        : stmt_get(&s, led->db, SQL("SELECT 1 FROM operation WHERE key = ?2 AND ?1 = ?1"), err);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, k->act->id), stmt_text(s, 2, k->act->text);
    rc = stmt_step(s, &k->there, err);
    stmt_put(s);
    return rc;
}

static bool limit_there(const char *account)
{
    struct buf out;
    buf_init(&out, 0);
    bool ok = ledger_report_rates(l, account, &out, &e) == 0 && out.len > 2;
    buf_deinit(&out);
    return ok;
}

static bool act_there(const struct note *a)
{
    struct look k = {a, false};
    struct principal who;
    struct org_id org;
    switch (a->act) {
    case ACT_ACCOUNT: return ledger_account_find(l, a->text, &org, &e) == 0 && org.v == a->id;
    case ACT_KEY: return ledger_principal(l, str_of(a->text), &who, &e) == 0;
    case ACT_KEY_GONE: return ledger_key_rotate(l, a->text, (char[LEDGER_KEY_MAX]){0}, &e) < 0;
    case ACT_LIMIT: return limit_there(a->text);
    case ACT_GRANT:
    case ACT_PRICE:
    case ACT_DEED: break;
    }
    return queue_call(l, look_for, &k, &e) == 0 && k.there;
}

static bool acts_there(void)
{
    for (size_t i = 0; i < known.n_acts; i++)
        if (!act_there(&known.act[i]))
            return wrong("an act of kind", known.act[i].text, known.act[i].act, known.act[i].id);
    return true;
}

static bool folder_clear(const char *folder)
{
    char cmd[256];
    snprintf(cmd, sizeof cmd, "%s/journal", folder);
    return os_remove_tree(folder, &e) == 0 && os_mkdirs(cmd, 0700, &e) == 0;
}

/* Opens the folder as it would be found, and looks; a second start changes nothing. */
static bool found_ok(const char *folder, size_t i, enum disk_mood mood, uint64_t seed, bool strict)
{
    int64_t before = 0, held = 0;
    if (!folder_clear(folder) || !disk_found(folder, i, mood, seed))
        return printf("the folder could not be made: %s\n", e.msg), false;
    atomic_store(&now_us, known.now);
    for (int pass = 0; pass < 1 + (i % 8 == 0); pass++) {
        l = open_at(folder);
        if (!l)
            return false;
        int64_t now = balance_now(l, &acme, &held);
        bool ok = audit_now(l) == 0 && held == 0 && rows_ok(strict) && acts_there() && (!pass || now == before);
        before = now;
        ledger_close(l);
        if (!ok)
            return printf("pass %d: %s\n", pass, e.msg), false;
    }
    return true;
}

static bool all_moments(bool strict, uint64_t seed)
{
    char folder[128];
    bool all = getenv("SLUICE_POWER_ALL") != NULL;
    size_t looked = 0, n = disk.n;
    memset(&known, 0, sizeof known);
    snprintf(folder, sizeof folder, "%s.found", test_dir);
    if (os_mkdirs(folder, 0700, &e) < 0)
        return false;
    for (size_t i = 0; i < n; i++) {
        moment(i);
        for (int mood = 0; mood < DISK_MOODS; mood++) {
            if (!all && rng_u64(seed, 9, i, (uint32_t)mood) % STRIDE)
                continue;
            if (!found_ok(folder, i, (enum disk_mood)mood, seed, strict))
                return printf("SEED=%llu: the power went behind operation %zu of %zu (kind %d of %s), mood %d, strict %d\n", (unsigned long long)seed,
                              i, n, (int)disk.op[i].kind, disk.op[i].name, mood, strict),
                       false;
            looked++;
        }
    }
    printf("%zu operations, looked %zu times, strict %d\n", n, looked, strict);
    return os_remove_tree(folder, &e) == 0;
}

static uint64_t seed_of(void)
{
    uint64_t seed = 1;
    const char *text = getenv("SEED");
    return text && str_u64(str_of(text), &seed) ? seed : 1;
}

TEST(power_at_every_write)
{
    CHECK(day(false));
    CHECK(all_moments(false, seed_of()));
    dir_drop();
    atomic_store(&now_us, 0);
}

TEST(power_with_a_strict_journal)
{
    CHECK(day(true));
    CHECK(all_moments(true, seed_of() + 1));
    dir_drop();
    atomic_store(&now_us, 0);
}

TEST_MAIN()
