/* Jobs that run elsewhere: what their events reserve, renew, capture and give back; each once; what is refused; across a restart; and a lease
 * that nobody renews. */
#include "base/json.h"
#include "credit.h"

static struct ledger *l;
static struct principal who;
static struct err e;
static int64_t now, training;
static struct json *j;
static struct buf out;

static void tick(int64_t us)
{
    now = us;
    atomic_store(&now_us, us);
}

static int64_t give(const char *scope, int64_t amount)
{
    struct grant_id id;
    struct grant_new g = {.org = who.org, .amount = {amount}, .scope = scope, .funding = "investment"};
    return ledger_grant_create(l, &g, &id, &e) == 0 ? id.v : 0;
}

/* 1,000 nano-units a GPU hour, 7 a million training tokens. */
static bool start(void)
{
    const struct price_rate rates[] = {{"gpu_hour", 0, {1000}}, {"training_token", 0, {7}}};
    tick(NOON);
    l = open_at(dir_new());
    return l && account_with(l, "lab", (struct money){0}, &who) && (training = give("training", 10000)) &&
           ledger_price_set(l, &(struct price_new){.model = "h100", .rates = rates, .n_rates = 2}, NULL, &e) == 0;
}

static void end(void)
{
    json_free(j), j = NULL;
    buf_deinit(&out);
    ledger_close(l);
    dir_drop();
}

/* The error's code, or 0: the answer is in j. */
static int send_text(const char *text)
{
    struct json *body = NULL;
    json_free(j), j = NULL;
    out.len = 0;
    e = (struct err){0};
    if (json_parse(&body, text, strlen(text), &e) < 0)
        return -1;
    int rc = ledger_events(l, &who, body, &out, &e);
    json_free(body);
    return rc < 0 ? -rc : json_parse(&j, out.data, out.len, &e) < 0 ? -2 : 0;
}

static int event(const char *id, const char *type, const char *subject, const char *data)
{
    char text[1024];
    snprintf(text, sizeof text, "{\"specversion\":\"1.0\",\"id\":\"%s\",\"source\":\"slurm\",\"type\":\"sluice.%s\",\"subject\":\"%s\",\"data\":%s}",
             id, type, subject, data);
    return send_text(text);
}
#define OPEN(id, job, data) event(id, "hold.open", job, data)

static bool is(const char *key, const char *want)
{
    if (str_eqz(json_str(json_get(j, key)), want))
        return true;
    printf("%s is not %s: %s\n", key, want, out.data);
    return false;
}

TEST(a_job_from_its_start_to_its_end)
{
    int64_t held;
    CHECK(start());
    CHECK(OPEN("1", "7", "{\"model\":\"h100\",\"most\":{\"gpu_hour\":3},\"lease_seconds\":600}") == 0 && is("state", "open") &&
          is("held", "0.000003"));
    CHECK(balance_now(l, &who, &held) == 7000 && held == 3000 && audit_now(l) == 0);
    CHECK(event("2", "hold.renew", "7", "{\"used\":{\"gpu_second\":3600}}") == 0 && is("held", "0.000003"));
    CHECK(event("3", "hold.renew", "7", "{\"used\":{\"gpu_second\":1800},\"most\":{\"gpu_hour\":4}}") == 0 &&
          is("held", "0.000004")); /* never back */
    CHECK(balance_now(l, &who, &held) == 6000 && held == 4000 && audit_now(l) == 0);
    CHECK(event("4", "hold.capture", "7", "{\"used\":{\"gpu_second\":5400,\"training_token\":1500000}}") == 0 && is("state", "captured"));
    CHECK(is("charged", "0.00000151") && is("waived", "0.00")); /* 1.5 hours and 10.5 nano-units, the even 10 */
    CHECK(balance_now(l, &who, &held) == 8490 && held == 0 && left_of(l, training) == 8490);
    CHECK(booked_at(l, "revenue:training") == -1510 && booked_at(l, "revenue:inference") == 0 && audit_now(l) == 0);
    char id[64];
    snprintf(id, sizeof id, "%s", json_str(json_get(j, "job")).p);
    json_free(j), j = NULL, out.len = 0;
    CHECK(ledger_receipt(l, id, &who, &out, &e) == 0 && json_parse(&j, out.data, out.len, &e) == 0 && json_bool(json_get(j, "agrees")));
    CHECK(json_len(json_get(j, "meters")) == 2 && strstr(out.data, "\"quantity\":5400") && strstr(out.data, "\"per\":\"GPU hour\""));
    /* A refund of a job goes where it came from. */
    CHECK(ledger_refund(l, id, NULL, &(struct deed){.reason = "r"}, NULL, &e) == 0 && booked_at(l, "revenue:training") == 0 && audit_now(l) == 0);
    end();
}

TEST(each_event_once)
{
    const char *open = "{\"model\":\"h100\",\"most\":{\"gpu_hour\":3}}";
    CHECK(start());
    for (int i = 0; i < 3; i++)
        CHECK(OPEN("1", "7", open) == 0 && is("held", "0.000003"));
    CHECK(balance_now(l, &who, NULL) == 7000);
    CHECK(OPEN("1", "8", open) == ERR_CONFLICT && strstr(e.msg, "said something else"));
    CHECK(OPEN("2", "7", open) == ERR_CONFLICT && strstr(e.msg, "opened before"));
    for (int i = 0; i < 3; i++)
        CHECK(event("3", "usage", "", "{}") == ERR_BAD_VALUE && event("4", "hold.capture", "7", "{\"used\":{\"gpu_hour\":1}}") == 0);
    CHECK(OPEN("5", "7", open) == ERR_CONFLICT && event("6", "hold.capture", "7", "{}") == ERR_CONFLICT && strstr(e.msg, "is over"));
    CHECK(balance_now(l, &who, NULL) == 9000 && audit_now(l) == 0);
    ledger_close(l);
    l = open_at(test_dir);
    CHECK(l && event("4", "hold.capture", "7", "{\"used\":{\"gpu_hour\":1}}") == 0 && is("charged", "0.000001"));
    CHECK(balance_now(l, &who, NULL) == 9000 && audit_now(l) == 0);
    /* Another account's events are its own. */
    struct principal lab = who;
    CHECK(account_with(l, "other", USD(1), &who) && OPEN("1", "7", open) == 0 && event("4", "hold.capture", "9", "{}") == ERR_NOT_FOUND);
    who = lab;
    end();
}

TEST(release_usage_and_batches)
{
    CHECK(start() && OPEN("1", "a", "{\"model\":\"h100\",\"most\":{\"gpu_hour\":3}}") == 0 &&
          OPEN("2", "b", "{\"model\":\"h100\",\"most\":{\"gpu_hour\":3}}") == 0);
    CHECK(event("3", "hold.release", "a", "{}") == 0 && is("state", "released") && is("charged", "0.00") && balance_now(l, &who, NULL) == 7000);
    CHECK(event("4", "hold.renew", "b", "{\"used\":{\"gpu_second\":1}}") == 0 && event("5", "hold.release", "b", "{}") == ERR_CONFLICT &&
          strstr(e.msg, "capture it"));
    CHECK(send_text("[{\"specversion\":\"1.0\",\"id\":\"6\",\"source\":\"s\",\"type\":\"sluice.usage\",\"data\":{\"model\":\"h100\",\"used\":{\"gpu_"
                    "hour\":2}}},"
                    "{\"specversion\":\"1.0\",\"id\":\"7\",\"source\":\"s\",\"type\":\"sluice.usage\",\"data\":{\"model\":\"h100\",\"used\":{\"gpu_"
                    "hour\":200}}},"
                    "{\"specversion\":\"1.0\",\"id\":\"6\",\"source\":\"s\",\"type\":\"sluice.usage\",\"data\":{\"model\":\"h100\",\"used\":{\"gpu_"
                    "hour\":2}}},"
                    "{\"id\":\"8\"}]") == 0);
    const struct json *data = json_get(j, "data");
    CHECK(json_len(data) == 4 && str_eqz(json_str(json_get(json_at(data, 0), "charged")), "0.000002") &&
          str_eqz(json_str(json_get(json_get(json_at(data, 1), "error"), "code")), "credit_balance_exhausted") &&
          str_eqz(json_str(json_get(json_at(data, 2), "charged")), "0.000002") &&
          json_int(json_get(json_get(json_at(data, 3), "error"), "status")) == 400);
    CHECK(balance_now(l, &who, NULL) == 5000 && event("9", "hold.capture", "b", "{}") == 0 && balance_now(l, &who, NULL) == 8000 &&
          audit_now(l) == 0);
    end();
}

TEST(what_is_refused)
{
    CHECK(start() && give("inference", 1000000));
    const struct {
        const char *type, *data, *says;
    } bad[] = {
        {"hold.open", "{\"model\":\"h100\"}", "most is missing"},
        {"hold.open", "{\"most\":{\"gpu_hour\":1}}", "model is missing"},
        {"hold.open", "{\"model\":\"nothing\",\"most\":{\"gpu_hour\":1}}", "no price for training"},
        {"hold.open", "{\"model\":\"h100\",\"most\":{\"storage_gb_month\":1}}", "no price for storage"},
        {"hold.open", "{\"model\":\"h100\",\"most\":{\"gpu_hour\":-1}}", "whole number"},
        {"hold.open", "{\"model\":\"h100\",\"most\":{\"gpu_hour\":1.5}}", "whole number"},
        {"hold.open", "{\"model\":\"h100\",\"most\":{\"gpu_hour\":9007199254740993}}", "whole number"},
        {"hold.open", "{\"model\":\"h100\",\"most\":{\"input\":1}}", "no meter of a job"},
        {"hold.open", "{\"model\":\"h100\",\"most\":{\"gpu_hour\":1,\"storage_gb_month\":1}}", "jobs of their own"},
        {"hold.open", "{\"model\":\"h100\",\"most\":{\"gpu_hour\":1},\"used\":{\"gpu_hour\":1}}", "not what it has used"},
        {"hold.open", "{\"model\":\"h100\",\"most\":{\"gpu_hour\":1},\"lease_seconds\":5}", "from 60"},
        {"hold.open", "{\"model\":\"h100\",\"most\":{\"gpu_hour\":11}}", "too short"}, /* credit for inference does not pay a job */
        {"hold.open", "{\"model\":\"h100\",\"most\":{\"training_token\":9007199254740992}}", "too short"},
        {"hold.open", "[]", "must be an object"},
        {"hold.capture", "{}", "there is no job"},
        {"hold.renew", "{\"model\":\"h100\"}", "when it is opened"},
        {"hold.destroy", "{}", "is unknown"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int code = event("x", bad[i].type, "s", bad[i].data);
        CHECK_MSG(code > 0 && strstr(e.msg, bad[i].says), "%s %s: %d %s", bad[i].type, bad[i].data, code, e.msg);
    }
    CHECK(OPEN("1", "", "{}") > 0 && strstr(e.msg, "subject") && send_text("{}") > 0 && send_text("[]") > 0 && send_text("3") > 0);
    CHECK(balance_now(l, &who, NULL) == 1010000 && audit_now(l) == 0);
    /* More than credit covers: a renewal is refused, a capture takes what was held. */
    CHECK(OPEN("2", "s", "{\"model\":\"h100\",\"most\":{\"gpu_hour\":9}}") == 0 &&
          event("3", "hold.renew", "s", "{\"used\":{\"gpu_hour\":11}}") == ERR_QUOTA);
    CHECK(event("4", "hold.capture", "s", "{\"used\":{\"gpu_hour\":11}}") == 0 && is("charged", "0.000009") && is("waived", "0.000002") &&
          audit_now(l) == 0);
    end();
}

TEST(a_job_outlives_the_server_and_not_its_lease)
{
    int64_t held;
    CHECK(start() && OPEN("1", "7", "{\"model\":\"h100\",\"most\":{\"gpu_hour\":3},\"lease_seconds\":600}") == 0);
    CHECK(event("2", "hold.renew", "7", "{\"used\":{\"gpu_second\":3600}}") == 0);
    ledger_close(l);
    tick(now + 24 * HOUR); /* nobody was there to be told */
    l = open_at(test_dir);
    CHECK(l && balance_now(l, &who, &held) == 7000 && held == 3000 && audit_now(l) == 0);
    CHECK(event("3", "hold.renew", "7", "{\"used\":{\"gpu_second\":5400}}") == 0);
    tick(now + 601 * 1000000ll);
    for (int i = 0; i < 3; i++)
        CHECK(queue_flush(l, &e) == 0);
    CHECK(balance_now(l, &who, &held) == 8500 && held == 0 && audit_now(l) == 0);
    CHECK(event("4", "hold.capture", "7", "{\"used\":{\"gpu_second\":9000}}") == ERR_CONFLICT);
    end();
}

TEST_MAIN()
