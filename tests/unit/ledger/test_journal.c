/* The journal: every record both ways, a tail torn at every byte, changed bytes, rotation, and what is left behind. */
#include "base/rng.h"
#include "ledger/ledger_int.h"
#include "lib.h"

#include <dirent.h>
#include <sys/stat.h>

static struct journal_rec seen[4096];
static char seen_text[4096][3][64];
static size_t n_seen;

static int collect(void *arg, const struct journal_rec *r, struct err *e)
{
    (void)arg, (void)e;
    if (n_seen == 4096)
        return err_set(e, ERR_INTERNAL, "too many");
    seen[n_seen] = *r;
    const struct str s[] = {r->request, r->model, r->revision};
    for (int i = 0; i < 3; i++)
        snprintf(seen_text[n_seen][i], 64, "%.*s", (int)s[i].n, s[i].p ? s[i].p : "");
    n_seen++;
    return 0;
}

static bool read_all(const char *folder, uint64_t *torn)
{
    struct err e = {0};
    n_seen = 0;
    if (journal_read(folder, collect, NULL, torn, &e) == 0)
        return true;
    printf("journal_read: %s\n", e.msg);
    return false;
}

static struct journal_rec sample(enum journal_type t, uint64_t hold)
{
    return (struct journal_rec){.type = t,
                                .hold = hold,
                                .org = 1,
                                .project = 2,
                                .key = 3,
                                .price = 4,
                                .input = 5,
                                .output = 6,
                                .amount_scope = 7,
                                .amount_any = INT64_MAX - 7,
                                .created_us = -9,
                                .digest = {{1, 2, 3}},
                                .request = STR("req"),
                                .model = STR("a/b"),
                                .revision = STR("r@1:f"),
                                .counts = {10, 11, 12, 13, 14, UINT32_MAX},
                                .reason = FINISH_CANCEL,
                                .stream = true,
                                .status = 499,
                                .start_us = 20,
                                .first_us = 21,
                                .end_us = INT64_MIN};
}

static bool write_some(struct journal *j, uint64_t from, uint64_t n)
{
    struct buf b;
    struct err e;
    buf_init(&b, 0);
    for (uint64_t i = from; i < from + n; i++)
        for (int t = JOURNAL_HOLD; t <= JOURNAL_FINISH; t++) {
            struct journal_rec r = sample((enum journal_type)t, i);
            journal_put(&b, &r);
        }
    bool ok = journal_append(j, &b, &e) == 0;
    buf_deinit(&b);
    return ok;
}

TEST(records_both_ways)
{
    struct journal j;
    struct err e;
    uint64_t torn;
    CHECK(journal_open(&j, dir_new(), &e) == 0 && journal_rotate(&j, NULL, NULL, &e) == 0 && write_some(&j, 100, 2));
    CHECK(read_all(j.path, &torn) && torn == 0 && n_seen == 8);
    CHECK(seen[0].type == JOURNAL_HOLD && seen[0].hold == 100 && seen[0].org == 1 && seen[0].project == 2 && seen[0].key == 3 && seen[0].price == 4);
    CHECK(seen[0].input == 5 && seen[0].output == 6 && seen[0].amount_scope == 7 && seen[0].amount_any == INT64_MAX - 7 && seen[0].created_us == -9);
    CHECK(seen[0].digest.b[2] == 3 && !strcmp(seen_text[0][0], "req") && !strcmp(seen_text[0][1], "a/b") && !strcmp(seen_text[0][2], "r@1:f"));
    CHECK(seen[1].type == JOURNAL_MORE && seen[1].output == 6 && seen[1].amount_any == INT64_MAX - 7 && seen[5].hold == 101);
    CHECK(seen[2].type == JOURNAL_STEP && seen[2].counts.input == 10 && seen[2].counts.accepted_draft == UINT32_MAX);
    CHECK(seen[3].type == JOURNAL_FINISH && seen[3].reason == FINISH_CANCEL && seen[3].stream && seen[3].status == 499 &&
          seen[3].counts.reasoning == 14);
    CHECK(seen[3].start_us == 20 && seen[3].first_us == 21 && seen[3].end_us == INT64_MIN);
    journal_close(&j);
    dir_drop();
}

/* Cut after every byte: exactly the whole records before the cut are read. Then every byte changed: no record after it, none invented. */
TEST(torn_and_changed_at_every_byte)
{
    struct journal j;
    struct err e;
    uint64_t torn;
    char path[1200], cut[128], folder[100];
    static char whole[8192];
    CHECK(journal_open(&j, dir_new(), &e) == 0 && journal_rotate(&j, NULL, NULL, &e) == 0 && write_some(&j, 1, 3));
    snprintf(path, sizeof path, "%s/%016x", j.path, 1);
    journal_close(&j);
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(whole, 1, sizeof whole, f) : 0;
    CHECK(f && n > 500 && n < sizeof whole);
    fclose(f);
    snprintf(folder, sizeof folder, "%s/cut", test_dir);
    CHECK(mkdir(folder, 0700) == 0);
    snprintf(cut, sizeof cut, "%s/%016x", folder, 1);
    size_t last = 0;
    for (size_t k = 0; k <= n; k++) {
        f = fopen(cut, "wb");
        CHECK(f && fwrite(whole, 1, k, f) == k);
        fclose(f);
        CHECK(read_all(folder, &torn) && n_seen >= last && n_seen <= last + 1 && (torn == 0) == (n_seen > last || k == 0 || k == 32));
        last = n_seen;
    }
    CHECK(last == 12);
    for (size_t k = 0; k < n; k++) {
        whole[k] ^= 1;
        f = fopen(cut, "wb");
        CHECK(f && fwrite(whole, 1, n, f) == n);
        fclose(f);
        whole[k] ^= 1;
        CHECK_MSG(read_all(folder, &torn) && n_seen < 12 && torn > 0, "byte %zu", k);
        for (size_t i = 0; i < n_seen; i++)
            CHECK(seen[i].hold == 1 + i / 4 && seen[i].type == (enum journal_type)(1 + i % 4));
    }
    dir_drop();
}

TEST(noise_is_no_record)
{
    struct err e;
    uint64_t torn;
    char path[128], folder[100];
    (void)e;
    snprintf(folder, sizeof folder, "%s/journal", dir_new());
    CHECK(mkdir(folder, 0700) == 0);
    for (uint64_t i = 0; i < 300; i++) {
        snprintf(path, sizeof path, "%s/%016llx", folder, (unsigned long long)i);
        FILE *f = fopen(path, "wb");
        CHECK(f);
        for (uint64_t k = 0; k < i * 3; k++)
            fputc((int)(rng_u64(5, 0, i * 1000 + k, 0) & 255), f);
        fclose(f);
    }
    snprintf(path, sizeof path, "%s/README", folder);
    fclose(fopen(path, "wb"));
    CHECK(read_all(folder, &torn) && n_seen == 0 && torn > 0);
    dir_drop();
}

/* Puts a record of this type and payload into a segment, with a checksum that is right. *read: how many records are read. */
static bool with_record(uint8_t type, const void *payload, uint16_t n, size_t *read)
{
    struct buf b;
    struct err e;
    uint64_t number = 1;
    uint32_t zero = 0, crc;
    size_t whole;
    buf_init(&b, 0);
    buf_add(&b, "SLJRNL\x00\x01", 8);
    buf_add(&b, &number, 8);
    buf_add(&b, &number, 8);
    buf_add(&b, &zero, 4);
    crc = crc32_of(b.data, b.len);
    buf_add(&b, &crc, 4);
    buf_add(&b, &zero, 4);
    buf_add(&b, &n, 2);
    buf_add(&b, &type, 1);
    buf_char(&b, 1);
    buf_add(&b, payload, n);
    crc = crc32_of(b.data + 36, b.len - 36);
    memcpy(b.data + 32, &crc, 4);
    n_seen = 0;
    bool ok = !b.failed && journal_parse((const uint8_t *)b.data, b.len, number, collect, NULL, &whole, &e) == 0 && whole == (n_seen ? b.len : 32);
    *read = n_seen;
    buf_deinit(&b);
    return ok;
}

/* A right checksum is not enough: the length must be the type's, amounts are amounts, a reason is one of the six. */
TEST(a_record_of_the_wrong_shape_is_refused)
{
    uint8_t step[33] = {9}, more[32] = {9}, finish[64] = {9};
    size_t read;
    CHECK(with_record(JOURNAL_STEP, step, 32, &read) && read == 1 && seen[0].hold == 9);
    CHECK(with_record(JOURNAL_STEP, step, 33, &read) && read == 0);
    CHECK(with_record(JOURNAL_STEP, step, 31, &read) && read == 0);
    CHECK(with_record(JOURNAL_STEP, step, 0, &read) && read == 0);
    CHECK(with_record(0, step, 32, &read) && read == 0 && with_record(6, step, 32, &read) && read == 0);
    CHECK(with_record(JOURNAL_COVER, step, 32, &read) && read == 1 && with_record(JOURNAL_COVER, step, 33, &read) && read == 0);
    step[31] = 0x80; /* the sign of units */
    CHECK(with_record(JOURNAL_COVER, step, 32, &read) && read == 0);
    step[31] = 0;
    CHECK(with_record(JOURNAL_HOLD, step, 32, &read) && read == 0);
    CHECK(with_record(JOURNAL_MORE, more, 32, &read) && read == 1);
    more[23] = 0x80; /* the sign of amount_scope */
    CHECK(with_record(JOURNAL_MORE, more, 32, &read) && read == 0);
    memset(more + 16, 0xff, 16);
    more[23] = more[31] = 0x7f; /* two amounts whose sum is none */
    CHECK(with_record(JOURNAL_MORE, more, 32, &read) && read == 0);
    CHECK(with_record(JOURNAL_FINISH, finish, 64, &read) && read == 1);
    finish[32] = FINISH_CRASH + 1;
    CHECK(with_record(JOURNAL_FINISH, finish, 64, &read) && read == 0);
}

/* The scope at a hold's end: there when it is not inference, and then one of the scopes, so that each record has one form. */
TEST(the_scope_of_a_hold)
{
    struct journal_rec r = sample(JOURNAL_HOLD, 9);
    struct buf b;
    size_t read;
    buf_init(&b, 0);
    journal_put(&b, &r);
    buf_add(&b, "\0\0", 2);
    CHECK(!b.failed);
    uint8_t *payload = (uint8_t *)b.data + 8;
    const uint16_t n = (uint16_t)(b.len - 8 - 2);
    CHECK(with_record(JOURNAL_HOLD, payload, n, &read) && read == 1 && seen[0].scope == 0);
    for (uint8_t scope = 0; scope < 6; scope++) {
        payload[n] = scope;
        CHECK(with_record(JOURNAL_HOLD, payload, (uint16_t)(n + 1), &read) && read == (scope > 0 && scope < JOURNAL_SCOPES ? 1 : 0));
        CHECK(read == 0 || seen[0].scope == scope);
        CHECK(with_record(JOURNAL_HOLD, payload, (uint16_t)(n + 2), &read) && read == 0);
    }
    buf_deinit(&b);
}

static size_t files_in(const char *folder)
{
    DIR *d = opendir(folder);
    size_t n = 0;
    for (struct dirent *f; d && (f = readdir(d));)
        n += f->d_name[0] != '.';
    if (d)
        closedir(d);
    return n;
}

/* Many small segments while requests are open: the snapshot carries the open ones over, and only one segment stays. */
TEST(rotation_keeps_what_is_open)
{
    struct ledger *l = open_at(dir_new());
    struct principal who;
    struct err e;
    uint64_t torn;
    CHECK(l && account_with(l, "acme", USD(1), &who) && price_now(l, "m", 1000000, 1000000));
    struct hold_answer keep = hold_now(l, &who, "kept", "m", 10, 1000);
    CHECK(keep.err.code == ERR_OK);
    atomic_store(&l->segment_bytes, 4096);
    uint64_t first = l->journal.number;
    for (uint32_t i = 0; i < 200; i++) {
        char request[32];
        snprintf(request, sizeof request, "r%u", i);
        struct hold_answer a = hold_now(l, &who, request, "m", 10, 10);
        CHECK(a.err.code == ERR_OK);
        CHECK(ledger_journal(l, (struct journal_step[]){{a.hold, {.input = 10, .output = 5}}, {keep.hold, {.input = 10, .output = i + 1}}}, 2, &e) ==
              0);
        CHECK(finish_now(l, a.hold, 10, 6, NULL) == 0);
    }
    CHECK(queue_flush(l, &e) == 0 && l->journal.number > first + 5 && files_in(l->journal.path) <= 2 && audit_now(l) == 0);
    CHECK(read_all(l->journal.path, &torn) && torn == 0);
    uint32_t last = 0;
    bool hold = false;
    for (size_t i = 0; i < n_seen; i++) {
        hold |= seen[i].type == JOURNAL_HOLD && seen[i].hold == keep.hold.v && !strcmp(seen_text[i][0], "kept");
        if (seen[i].type == JOURNAL_STEP && seen[i].hold == keep.hold.v)
            last = seen[i].counts.output;
    }
    CHECK(hold && last == 200);
    char folder[1024];
    memcpy(folder, l->journal.path, sizeof folder);
    ledger_close(l); /* one hold is open: the journal stays, and the next start finishes it */
    CHECK(files_in(folder) >= 1);
    l = open_at(test_dir);
    CHECK(l && balance_now(l, &who, NULL) == USD(1).nano - 200 * 16 - 210 && audit_now(l) == 0);
    ledger_close(l);
    CHECK(files_in(folder) == 0); /* nothing open: nothing left */
    dir_drop();
}

TEST_MAIN()
