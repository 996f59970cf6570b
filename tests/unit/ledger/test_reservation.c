/* Reservations and commitments, by a clock that this test sets: what an hour covers, to the unit; what it costs and who pays; how one ends; what the
 * audit and the receipt say; the backlog by quarter. */
#include "credit.h"
#include "ledger/reservation.h"
#include <time.h>

static struct ledger *l;
static struct principal who, zeta;

static bool start(void)
{
    atomic_store(&now_us, NOON);
    l = open_at(dir_new());
    return l && account_with(l, "acme", (struct money){1000000}, &who) && account_with(l, "zeta", (struct money){1000000}, &zeta) &&
           price_now(l, "m", 1000000, 3000000) && price_now(l, "n", 1000000, 3000000);
}

static void end(void)
{
    ledger_close(l);
    dir_drop();
    atomic_store(&now_us, 0);
}

static bool again(void)
{
    char dir[sizeof test_dir];
    memcpy(dir, test_dir, sizeof dir);
    ledger_close(l);
    return (l = open_at(dir)) != NULL;
}

static enum errcode code; /* of the last refusal */
static int64_t reserve(struct reservation_new r)
{
    struct err e = {0};
    struct buf out;
    r.org = r.org.v ? r.org : who.org;
    r.model = r.model ? r.model : "m";
    r.rate = r.rate ? r.rate : 1000;
    r.input_weight = 250;
    r.capacity = r.capacity ? r.capacity : 1000000;
    buf_init(&out, 0);
    code = ERR_OK;
    int rc = ledger_reserve(l, &r, &out, &e);
    int64_t id = 0;
    if (rc < 0) {
        code = e.code;
    } else {
        struct json *j = NULL;
        id = json_parse(&j, out.data, out.len, &e) == 0 ? json_int(json_get(j, "reservation")) : -1;
        json_free(j);
    }
    buf_deinit(&out);
    return id;
}
/* 1 token a second: 3,600 in an hour, 3,600,000 units. */
#define RESERVE(...) reserve((struct reservation_new){__VA_ARGS__})

static struct hold_answer hold(const struct principal *w, const char *request, uint32_t in, uint32_t out)
{
    return hold_now(l, w, request, "m", in, out);
}

/* Columns of a report's row, as text. */
static bool says(const char *report, size_t row, const char *key, const char *want)
{
    struct buf out;
    struct err e = {0};
    struct json *j = NULL;
    buf_init(&out, 0);
    int rc = strcmp(report, "backlog") == 0       ? ledger_report_backlog(l, NULL, &out, &e)
             : strcmp(report, "commitments") == 0 ? ledger_report_commitments(l, NULL, &out, &e)
                                                  : ledger_report_reservations(l, NULL, &out, &e);
    bool ok = rc == 0 && json_parse(&j, out.data, out.len, &e) == 0 && row < json_len(j) && str_eqz(json_str(json_get(json_at(j, row), key)), want);
    if (!ok)
        printf("%s, row %zu: %s is not %s: %s\n", report, row, key, want, out.data ? out.data : e.msg);
    json_free(j);
    buf_deinit(&out);
    return ok;
}

static bool receipt_says(const char *request, const char *what)
{
    struct buf out;
    struct err e = {0};
    buf_init(&out, 0);
    bool ok = ledger_receipt(l, request, NULL, &out, &e) == 0 && strstr(out.data, what) && strstr(out.data, "\"agrees\":true");
    if (!ok)
        printf("receipt of %s has no %s: %s\n", request, what, out.data ? out.data : e.msg);
    buf_deinit(&out);
    return ok;
}

/* What fits costs nothing, what does not is priced, prompt first; what a hold did not need goes back; the next hour is whole again. */
TEST(an_hour_covers_its_tokens_and_no_more)
{
    struct bill b;
    CHECK(start() && RESERVE(.price = {0}) == 1);
    struct hold_answer a = hold(&who, "a", 400, 3000); /* 100,000 + 3,000,000 units */
    CHECK(a.err.code == ERR_OK && a.held.nano == 0 && a.rate == 1000 && a.input_weight == 250);
    struct hold_answer c = hold(&who, "c", 0, 1000); /* 500,000 units are left: 500 tokens are paid */
    CHECK(c.err.code == ERR_OK && c.held.nano == 500 * 3);
    CHECK(finish_now(l, a.hold, 400, 1000, &b) == 0 && b.cost.nano == 0); /* 2,000,000 go back */
    CHECK(finish_now(l, c.hold, 0, 700, &b) == 0 && b.cost.nano == 200 * 3);
    CHECK(receipt_says("a", "covered by reservation 1") && receipt_says("c", "\"weighed_tokens\":\"500.000\""));
    a = hold(&who, "d", 8400, 100); /* 2,000,000 units are left: 8,000 prompt tokens */
    CHECK(a.held.nano == 400 + 300 && finish_now(l, a.hold, 8400, 100, &b) == 0 && b.cost.nano == 700);
    CHECK(hold(&who, "e", 10, 0).rate == 0); /* nothing is left: it is like any other */
    CHECK(hold(&zeta, "z", 10, 0).held.nano == 10);
    atomic_store(&now_us, NOON + HOUR);
    a = hold(&who, "f", 0, 3600);
    CHECK(a.held.nano == 0 && a.rate == 1000 && finish_now(l, a.hold, 0, 3600, &b) == 0 && b.cost.nano == 0);
    CHECK(audit_now(l) == 0);
    end();
}

TEST(slices_are_covered_too_and_what_is_refused_is_refused)
{
    struct bill b;
    CHECK(start() && RESERVE(.price = {0}, .spill = "refuse") == 1);
    struct hold_answer a = hold(&who, "a", 0, 1000);
    CHECK(more_now(l, a.hold, 2000).err.code == ERR_OK);
    CHECK(more_now(l, a.hold, 601).err.code == ERR_QUOTA && more_now(l, a.hold, 600).held.nano == 0);
    struct hold_answer c = hold(&who, "c", 0, 1);
    CHECK(c.err.code == ERR_RATE && c.err.retry_ms == 3600000);
    CHECK(hold(&who, "d", 0, 3601).err.code == ERR_OVER_RATE);
    CHECK(finish_now(l, a.hold, 0, 3599, &b) == 0 && b.cost.nano == 0);
    CHECK(hold(&who, "e", 4, 0).err.code == ERR_OK && hold(&who, "f", 1, 0).err.code == ERR_RATE);
    CHECK(audit_now(l) == 0);
    end();
}

/* Each hour is charged once, in advance, used or not; when the credit ends the reservation does. */
TEST(hours_are_charged_until_the_credit_ends)
{
    CHECK(start() && RESERVE(.price = {300000}) == 1);
    CHECK(balance_now(l, &who, NULL) == 700000 && booked_at(l, "revenue:reserved") == -300000);
    atomic_store(&now_us, NOON + 2 * HOUR + 5);
    CHECK(hold(&who, "a", 10, 0).held.nano == 0 && balance_now(l, &who, NULL) == 100000);
    atomic_store(&now_us, NOON + 3 * HOUR);
    CHECK(hold(&who, "b", 10, 0).held.nano == 10); /* no longer covered */
    CHECK(says("reservations", 0, "state", "lapsed") && says("reservations", 0, "charged", "0.0009"));
    CHECK(booked_at(l, "revenue:reserved") == -900000 && audit_now(l) == 0);
    CHECK(again() && says("reservations", 0, "state", "lapsed") && audit_now(l) == 0);
    atomic_store(&now_us, NOON + 9 * HOUR);
    CHECK(hold(&who, "c", 10, 0).held.nano == 10 && booked_at(l, "revenue:reserved") == -900000);
    end();
}

/* Hours that passed while no server ran are charged at the start, and the parts of a month or a term sum to its price. */
TEST(parts_sum_to_the_price)
{
    CHECK(start() && RESERVE(.price = {1001}, .period = "term", .to_us = NOON + 7 * HOUR, .upfront = true) == 1);
    CHECK(balance_now(l, &who, NULL) == 1000000 - 1001 && booked_at(l, "deferred:reserved") == -1001 + 143 &&
          booked_at(l, "revenue:reserved") == -143);
    atomic_store(&now_us, NOON + 100 * HOUR);
    CHECK(again() && booked_at(l, "deferred:reserved") == 0 && booked_at(l, "revenue:reserved") == -1001 && audit_now(l) == 0);
    CHECK(says("reservations", 0, "state", "ended"));
    CHECK(RESERVE(.model = "n", .price = {744 + 7}, .period = "month", .to_us = 1801440000ll * 1000000, .from_us = NOON + 101 * HOUR) == 2);
    atomic_store(&now_us, NOON + 1000 * HOUR); /* 2027-02-01 is 1801440000: from its hour on 299 of the 744 of January */
    CHECK(hold(&who, "a", 1, 0).err.code == ERR_OK);
    CHECK(booked_at(l, "revenue:reserved") == -1001 - (751 - 751 * 445 / 744) && audit_now(l) == 0);
    end();
}

TEST(what_cannot_be_is_refused)
{
    struct err e = {0};
    struct deed by = {.reason = "test", .actor = "ann"};
    CHECK(start() && RESERVE(.rate = 600000) == 1 && !RESERVE(.rate = 1) && code == ERR_CONFLICT); /* one of a model at a time */
    CHECK(!RESERVE(.model = "n", .rate = 400001) && code == ERR_CONFLICT);                         /* the machine has 1,000 in all */
    CHECK(RESERVE(.model = "n", .rate = 400001, .oversell = true, .by = {.key = "k"}) == 2);
    CHECK(RESERVE(.model = "n", .rate = 400001, .oversell = true, .by = {.key = "k"}) == 2); /* the same one */
    CHECK(!RESERVE(.model = "n", .rate = 1, .by = {.key = "k"}) && code == ERR_CONFLICT);
    CHECK(!RESERVE(.model = "x") && code == ERR_NO_PRICE);
    CHECK(!RESERVE(.rate = -1) && code == ERR_BAD_VALUE && !RESERVE(.rate = 100000001) && code == ERR_BAD_VALUE);
    CHECK(!RESERVE(.org = zeta.org, .from_us = NOON + 1) && code == ERR_BAD_VALUE && !RESERVE(.org = zeta.org, .from_us = NOON - HOUR));
    CHECK(!RESERVE(.org = zeta.org, .to_us = NOON) && !RESERVE(.org = zeta.org, .period = "term") && !RESERVE(.org = zeta.org, .upfront = true));
    CHECK(!RESERVE(.org = zeta.org, .rate = 1, .price = {1000001}) && code == ERR_CONFLICT); /* more than it has */
    CHECK(!RESERVE(.org = zeta.org, .price = {-1}) && !RESERVE(.org = zeta.org, .period = "day") && !RESERVE(.org = zeta.org, .spill = "x"));
    CHECK(ledger_reserve_cancel(l, (struct reservation_id){9}, &by, NULL, &e) == -ERR_NOT_FOUND);
    CHECK(ledger_reserve_cancel(l, (struct reservation_id){1}, &(struct deed){0}, NULL, &e) == -ERR_BAD_VALUE); /* why? */
    CHECK(audit_now(l) == 0);
    end();
}

TEST(resized_and_cancelled_with_the_next_hour)
{
    struct err e = {0};
    struct deed by = {.reason = "test"};
    CHECK(start() && RESERVE(.price = {1000}) == 1);
    CHECK(ledger_reserve_resize(l, (struct reservation_id){1}, 2000, NULL, 0, false, &by, NULL, &e) == 0);
    CHECK(hold(&who, "a", 0, 3600).held.nano == 0 && hold(&who, "b", 0, 1).held.nano == 3);
    atomic_store(&now_us, NOON + HOUR);
    struct hold_answer a = hold(&who, "c", 0, 7200);
    CHECK(a.held.nano == 0 && a.rate == 2000 && booked_at(l, "revenue:reserved") == -3000);
    CHECK(ledger_reserve_cancel(l, (struct reservation_id){1}, &by, NULL, &e) == -ERR_CONFLICT);
    CHECK(ledger_reserve_cancel(l, (struct reservation_id){2}, &by, NULL, &e) == 0);
    CHECK(says("reservations", 0, "state", "resized") && says("reservations", 1, "state", "live"));
    atomic_store(&now_us, NOON + 3 * HOUR);
    CHECK(hold(&who, "d", 0, 1).held.nano == 3 && booked_at(l, "revenue:reserved") == -3000 && says("reservations", 1, "state", "cancelled"));
    CHECK(audit_now(l) == 0);
    end();
}

/* A request that ends in another hour belongs to the one in which it was held; open holds keep their units over a start. */
TEST(units_outlive_hours_and_starts)
{
    struct bill b;
    CHECK(start() && RESERVE(.price = {0}) == 1);
    struct hold_answer a = hold(&who, "a", 0, 3600), c;
    atomic_store(&now_us, NOON + HOUR);
    c = hold(&who, "c", 0, 3600);
    CHECK(a.held.nano == 0 && c.held.nano == 0 && finish_now(l, a.hold, 0, 3600, &b) == 0 && b.cost.nano == 0);
    struct err e;
    CHECK(ledger_journal(l, &(struct journal_step){c.hold, {.output = 1200}}, 1, &e) == 0);
    CHECK(again()); /* c is finished by what was journaled */
    CHECK(receipt_says("c", "\"weighed_tokens\":\"1200.000\"") && audit_now(l) == 0);
    CHECK(hold(&who, "d", 0, 2400).held.nano == 0 && hold(&who, "e", 0, 1).held.nano == 3);
    end();
}

struct sql_args {
    const char *text;
};
static int run_sql(struct ledger *led, void *arg, struct err *e)
{
    struct stmt *s;
    const struct sql_args *a = arg;
    int rc = stmt_get(&s, led->db, (struct sql){.text = a->text}, e);
    return rc < 0 ? rc : stmt_run(s, e);
}

/* Whatever is changed in the store, the audit says so. */
TEST(the_audit_sees_what_was_changed)
{
    static const char *const changes[] = {
        "UPDATE cover SET units = units - 1000",
        "UPDATE cover SET output = output - 1",
        "UPDATE cover SET reservation_id = 2",
        "UPDATE cover SET hour_us = hour_us - 3600000000",
        "UPDATE reservation_hour SET used = used + 1",
        "UPDATE reservation_hour SET capacity = capacity + 1",
        "DELETE FROM reservation_hour",
        "DELETE FROM cover",
        "INSERT INTO reservation_charge (reservation_id, hour_us, amount) VALUES (1, 3600000000, 100)",
        "INSERT INTO reservation_line (reservation_id, hour_us, grant_id, amount, txn_id) VALUES (1, 3600000000, 1, 100, 1)",
        "UPDATE commitment_period SET shortfall = shortfall - 1",
        "UPDATE commitment_period SET drawn = drawn + 1",
        "DELETE FROM commitment_period",
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct err e = {0};
        struct buf out;
        uint64_t n = 0;
        CHECK(start() && RESERVE(.price = {100}) == 1 && RESERVE(.model = "n", .price = {100}) == 2);
        CHECK(ledger_commit(
                  l, &(struct commitment_new){.org = who.org, .name = "c", .amount = {50}, .from_us = NOON - 8 * HOUR, .to_us = NOON + 16 * HOUR},
                  NULL, &e) == 0);
        CHECK(finish_now(l, hold(&who, "a", 0, 3000).hold, 0, 3000, NULL) == 0);
        atomic_store(&now_us, NOON + 17 * HOUR);
        CHECK(audit_now(l) == 0 && queue_call(l, run_sql, &(struct sql_args){changes[i]}, &e) == 0);
        buf_init(&out, 0);
        CHECK_MSG(ledger_audit(l, &out, &n, &e) == -ERR_AUDIT && n > 0, "%s: not seen", changes[i]);
        buf_deinit(&out);
        end();
    }
}

/* A commitment of 100 a quarter for a year from 2027-01-01, of which 40 and then 150 are used: 60 are billed, then nothing. */
TEST(a_commitment_is_drawn_down_and_its_rest_billed)
{
    struct err e = {0};
    const int64_t year = 1798761600ll * 1000000, april = 1806537600ll * 1000000, july = 1814400000ll * 1000000, next = 1830297600ll * 1000000;
    CHECK(start());
    CHECK(ledger_commit(
              l, &(struct commitment_new){.org = who.org, .name = "2027", .amount = {100}, .period = "quarter", .from_us = year, .to_us = next}, NULL,
              &e) == 0);
    CHECK(ledger_commit(l, &(struct commitment_new){.org = who.org, .name = "x", .amount = {1}, .from_us = year, .to_us = next}, NULL, &e) ==
          -ERR_CONFLICT);
    CHECK(finish_now(l, hold(&who, "a", 40, 0).hold, 40, 0, NULL) == 0);
    CHECK(says("commitments", 0, "drawn", "0.00000004") && says("backlog", 0, "recognised", "0.00000004") &&
          says("backlog", 0, "remaining", "0.00000006") && says("backlog", 3, "quarter", "2027Q4") && says("backlog", 3, "remaining", "0.0000001") &&
          says("backlog", 8, "contracted", "0.0000004"));
    atomic_store(&now_us, april + HOUR);
    CHECK(finish_now(l, hold(&who, "b", 150, 0).hold, 150, 0, NULL) == 0);
    char receivable[64];
    snprintf(receivable, sizeof receivable, "receivable:%lld", (long long)who.org.v);
    CHECK(booked_at(l, receivable) == 60 && booked_at(l, "revenue:commitment") == -60);
    CHECK(says("backlog", 0, "recognised", "0.0000001") && says("backlog", 1, "recognised", "0.0000001") && says("backlog", 1, "remaining", "0.00"));
    atomic_store(&now_us, july + HOUR);
    CHECK(again() && booked_at(l, receivable) == 60 && says("commitments", 1, "state", "billed") && audit_now(l) == 0);
    CHECK(says("backlog", 8, "contracted", "0.0000004") && says("backlog", 8, "recognised", "0.0000002") &&
          says("backlog", 8, "remaining", "0.0000002"));
    end();
}

/* A reservation with an end is contracted whole: what its hours cost, by the quarters in which they are. */
TEST(the_backlog_has_what_is_reserved)
{
    CHECK(start() && RESERVE(.price = {10}, .from_us = 1806537600ll * 1000000 - 5 * HOUR, .to_us = 1806537600ll * 1000000 + 7 * HOUR) == 1);
    CHECK(says("backlog", 0, "quarter", "2027Q1") && says("backlog", 0, "remaining", "0.00000005") && says("backlog", 1, "remaining", "0.00000007"));
    atomic_store(&now_us, 1806537600ll * 1000000 - 3 * HOUR);
    CHECK(says("backlog", 0, "recognised", "0.00000003") && says("backlog", 0, "remaining", "0.00000002") &&
          says("backlog", 4, "contracted", "0.00000012"));
    end();
}

TEST_MAIN()
