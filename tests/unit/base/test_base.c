/* base: parsers of numbers and dates, UTF-8, map, ring, json, digests against published vectors. */
#include "base/arena.h"
#include "base/cidr.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/ring.h"
#include "base/rng.h"
#include "base/thread.h"
#include "base/vec.h"
#include "test.h"
#include <math.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

TEST(err_table)
{
    struct err e;
    CHECK(err_set(&e, ERR_QUOTA, "balance %d", 3) == -(int)ERR_QUOTA);
    CHECK(e.code == ERR_QUOTA && strcmp(e.msg, "balance 3") == 0 && e.param[0] == 0);
    CHECK(err_http(ERR_QUOTA) == 429 && !err_retry(ERR_QUOTA) && strcmp(err_wire_type(ERR_QUOTA), "insufficient_quota") == 0);
    (void)err_wrap(&e, "org %s", "a");
    CHECK(strcmp(e.msg, "org a: balance 3") == 0);
    CHECK(err_http((enum errcode)9999) == 500);
}

TEST(checked_arithmetic)
{
    size_t out;
    CHECK(ck_align(1, 64, &out) && out == 64 && ck_align(64, 64, &out) && out == 64 && ck_align(0, 8, &out) && out == 0);
    CHECK(!ck_align(SIZE_MAX, 64, &out) && !ck_align(8, 3, &out) && !ck_align(8, 0, &out));
    CHECK(mem_array(SIZE_MAX / 2, 3) == NULL && mem_resize(NULL, SIZE_MAX, 2) == NULL);
}

TEST(numbers_are_strict)
{
    static const char *const bad[] = {"", "-", "+1", " 1", "1 ", "0x1", "1e", "18446744073709551616", "--1", "1.", "nan", "inf"};
    uint64_t u;
    int64_t i;
    double f;
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
        CHECK_MSG(!str_u64(str_of(bad[k]), &u) && !str_i64(str_of(bad[k]), &i), "'%s'", bad[k]);
    CHECK(str_u64(STR("18446744073709551615"), &u) && u == UINT64_MAX);
    CHECK(str_i64(STR("-9223372036854775808"), &i) && i == INT64_MIN && !str_i64(STR("9223372036854775808"), &i));
    CHECK(str_f64(STR("-1.5e3"), &f) && f == -1500 && !str_f64(STR("1e999"), &f) && !str_f64(STR("0x1p3"), &f) && !str_f64(STR("nan"), &f));
}

TEST(numbers_are_written_as_printf_does)
{
    static const int64_t some[] = {0, 1, 9, 10, 99, 100, -1, -9, -10, 1234567890123, INT64_MAX, INT64_MIN};
    char has[21], want[32];
    for (uint64_t v = 1, k = 0; k < 64; v <<= 1, k++)
        for (uint64_t d = 0; d < 3; d++) {
            snprintf(want, sizeof want, "%llu", (unsigned long long)(v - 1 + d));
            CHECK_MSG(str_from_u64(has, v - 1 + d) == strlen(want) && strcmp(has, want) == 0, "%s, not %s", has, want);
        }
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        struct buf b;
        struct jw w;
        buf_init(&b, 64), jw_init(&w, &b), jw_i64(&w, some[i]);
        snprintf(want, sizeof want, "%lld", (long long)some[i]);
        CHECK_MSG(b.len == strlen(want) && memcmp(b.data, want, b.len) == 0, "%s", want);
        buf_deinit(&b);
    }
}

TEST(dates)
{
    int64_t us;
    char iso[32];
    CHECK(clock_parse("2026-11-23", &us) && us == 1795392000000000);
    CHECK(clock_parse("2026-11-23T23:30Z", &us) && (clock_iso(iso, us), strcmp(iso, "2026-11-23T23:30:00.000000Z") == 0));
    CHECK(!clock_parse("2026-02-30", &us) && !clock_parse("2026-13-01", &us) && !clock_parse("2026-11-23T", &us) && !clock_parse("2026-1-1", &us));
    clock_iso(iso, -1);
    CHECK(strcmp(iso, "1969-12-31T23:59:59.999999Z") == 0);
}

TEST(durations)
{
    static const struct {
        uint64_t ms;
        const char *text;
    } c[] = {{0, "0s"},          {1, "1ms"},         {999, "999ms"},          {1000, "1s"},           {1001, "1.001s"},
             {1500, "1.5s"},     {1520, "1.52s"},    {59999, "59.999s"},      {60000, "1m0s"},        {60010, "1m0.01s"},
             {360000, "6m0s"},   {3600000, "1h0m0s"}, {86399001, "23h59m59.001s"}, {86400000, "24h0m0s"}, {UINT64_MAX, "5124095576030h25m51.615s"}};
    char text[32];
    for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
        clock_duration(text, c[i].ms);
        CHECK_MSG(strcmp(text, c[i].text) == 0, "%llu: %s", (unsigned long long)c[i].ms, text);
    }
}

TEST(utf8)
{
    static const char *const bad[] = {"\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\x80", "\xE0\x80\x80", "\xFF"};
    uint32_t cp;
    char out[4];
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
        CHECK_MSG(utf8_len(bad[k], strlen(bad[k])) == -1, "%zu", k);
    CHECK(utf8_len("\xE4\xB8", 2) == 0 && utf8_len("", 0) == 0);
    for (uint32_t c = 0; c < 0x110000; c++) {
        if (c >= 0xD800 && c < 0xE000)
            continue;
        size_t n = utf8_encode(out, c);
        CHECK(utf8_decode(out, n, &cp) == (int)n && cp == c);
    }
}

TEST(map_against_a_list)
{
    enum { N = 5000 };
    static bool have[N];
    struct map m;
    memset(have, 0, sizeof have);
    map_init(&m);
    size_t n = 0;
    for (uint64_t step = 0; step < 40000; step++) {
        uint64_t r = rng_u64(7, 0, step, 0), k = r % N;
        union map_value v;
        struct str key = {(const char *)&k, sizeof k};
        if (r >> 32 & 1) {
            n += !have[k];
            have[k] = true;
            CHECK(map_set(&m, key, (union map_value){.u64 = k * 3}));
        } else {
            CHECK(map_del(&m, key, &v) == have[k]);
            n -= have[k];
            have[k] = false;
        }
        CHECK(m.n == n);
    }
    for (uint64_t k = 0; k < N; k++) {
        union map_value v;
        bool found = map_get(&m, (struct str){(const char *)&k, sizeof k}, &v);
        CHECK(found == have[k] && (!found || v.u64 == k * 3));
    }
    map_deinit(&m);
}

enum { RING_EACH = 20000, RING_THREADS = 4 };
static struct ring *shared_ring;
static void produce(void *arg)
{
    for (uint64_t i = 0; i < RING_EACH; i++) {
        uint64_t item = (uint64_t)(uintptr_t)arg << 32 | i;
        while (!ring_push(shared_ring, &item))
            usleep(10);
    }
}

TEST(ring_keeps_each_producers_order)
{
    struct thread t[RING_THREADS];
    uint64_t next[RING_THREADS] = {0}, item;
    shared_ring = ring_new(sizeof item, 64);
    for (size_t i = 0; i < RING_THREADS; i++)
        CHECK(thread_start(&t[i], "producer", produce, (void *)(uintptr_t)i));
    for (size_t got = 0; got < (size_t)RING_THREADS * RING_EACH;) {
        if (!ring_pop(shared_ring, &item))
            continue;
        CHECK((item & 0xFFFFFFFF) == next[item >> 32]++);
        got++;
    }
    for (size_t i = 0; i < RING_THREADS; i++)
        thread_join(&t[i]);
    ring_free(shared_ring);
}

TEST(json_reads_strictly)
{
    static const char *const bad[] = {"", "{", "{\"a\":1,\"a\":2}", "[1] x", "\"\\u0000\"", "\"\xFF\"", "{\"a\":01}", "nul"};
    struct json *j;
    struct err e;
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
        CHECK_MSG(json_parse(&j, bad[k], strlen(bad[k]), &e) < 0 && e.code == ERR_BAD_REQUEST, "'%s'", bad[k]);
    char deep[200];
    memset(deep, '[', 65), memset(deep + 65, ']', 65);
    CHECK(json_parse(&j, deep, 130, &e) < 0 && strstr(e.msg, "deeper"));
    CHECK(json_parse(&j, deep + 1, 128, &e) == 0);
    json_free(j);
}

TEST(json_faults_name_their_member)
{
    static const struct {
        const char *text, *member;
    } t[] = {{"{\"seed\":NaN}", "seed"},
             {"{\"a\":1,\"n\":99999999999999999999}", "n"},
             {"{\"a\":1,\"b\":{\"c\":[1e999]}}", "b"},
             {"{\"a\":1,\"a\":2}", "a"},
             {"{\"a\":\"\\ud800\"}", "a"},
             {"{\"a:b\":x}", ""},
             {"{\"s\":\"x:\\\"y:\",\"t\":x}", "t"},
             {"[x]", ""},
             {"{", ""},
             {"x", ""},
             {"{\"\":x}", ""},
             {"{:x}", ""},
             {"{\"deep\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "deep"}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct json *j;
        struct err e = {0};
        CHECK(json_parse(&j, t[i].text, strlen(t[i].text), &e) < 0);
        CHECK_MSG(strcmp(e.param, t[i].member) == 0, "%s: '%s'", t[i].text, e.param);
    }
    char long_name[200] = "{\"";
    memset(long_name + 2, 'n', 150), memcpy(long_name + 152, "\":x}", 5);
    struct json *j;
    struct err e = {0};
    CHECK(json_parse(&j, long_name, 156, &e) < 0 && e.param[0] == 0); /* no room for it: none */
}

TEST(json_round_trip)
{
    const char *text = "{\"a\":[1,-2,0.1,true,null,\"x\\n\\\"\\u0001\xE4\xB8\xAD\"],\"b\":{}}";
    struct json *j;
    struct buf b;
    buf_init(&b, 0);
    CHECK(json_parse(&j, text, strlen(text), NULL) == 0);
    json_dump(&b, j);
    CHECK_MSG(strcmp(b.data, text) == 0, "%s", b.data);
    CHECK(json_len(json_get(j, "a")) == 6 && json_int(json_at(json_get(j, "a"), 1)) == -2 && json_type(json_get(j, "c")) == JSON_NULL);
    json_free(j);
    buf_deinit(&b);
}

TEST(json_writer_mends_bad_utf8)
{
    struct buf b;
    struct jw w;
    buf_init(&b, 0);
    jw_init(&w, &b);
    jw_strn(&w,
            "a\xFF"
            "b\xE4\xB8",
            5);
    CHECK(strcmp(b.data, "\"a\xEF\xBF\xBD"
                         "b\xEF\xBF\xBD\xEF\xBF\xBD\"") == 0);
    buf_clear(&b);
    jw_init(&w, &b);
    jw_f64(&w, NAN);
    CHECK(strcmp(b.data, "null") == 0);
    buf_deinit(&b);
}

static bool hex_is(const uint8_t *p, size_t n, const char *want)
{
    char hex[129];
    str_to_hex(hex, p, n);
    return strcmp(hex, want) == 0;
}

TEST(crc_of_every_length)
{
    uint8_t p[80];
    for (size_t i = 0; i < sizeof p; i++)
        p[i] = (uint8_t)(i * 37 + 11);
    for (size_t from = 0; from < 8; from++)
        for (size_t n = 0; n <= sizeof p - from; n++) {
            uint32_t c = 0xFFFFFFFFu; /* bit by bit */
            for (size_t i = 0; i < n; i++) {
                c ^= p[from + i];
                for (int k = 0; k < 8; k++)
                    c = c >> 1 ^ (0xEDB88320u & (0u - (c & 1)));
            }
            CHECK_MSG(crc32_of(p + from, n) == ~c, "%zu bytes from %zu", n, from);
        }
}

TEST(digests)
{
    struct sha256 h;
    sha256(&h, "abc", 3); /* FIPS 180-4 */
    CHECK(hex_is(h.b, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    hmac_sha256(&h, "Jefe", 4, "what do ya want for nothing?", 28); /* RFC 4231, case 2 */
    CHECK(hex_is(h.b, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"));
    CHECK(crc32_of("123456789", 9) == 0xCBF43926u);
    uint8_t key[16], text[15];
    for (uint8_t i = 0; i < 16; i++)
        key[i] = i;
    for (uint8_t i = 0; i < 15; i++)
        text[i] = i;
    CHECK(siphash(key, text, 15) == 0xa129ca6149be45e5ull); /* the SipHash paper, appendix A */
}

TEST(rng_is_philox)
{
    /* Random123's known answer: counter 0, key 0 -> 6627e8d5 e169c58d ... */
    CHECK(rng_u64(0, 0, 0, 0) == 0xe169c58d6627e8d5ull);
    double sum = 0;
    for (uint64_t i = 0; i < 100000; i++)
        sum += rng_f64(1, 2, i, 3);
    CHECK(fabs(sum / 100000 - 0.5) < 0.005);
}

TEST(arena_has_a_maximum)
{
    struct arena a;
    arena_init(&a, 1000);
    char *p = arena_fmt(&a, "%s-%d", "x", 7);
    CHECK(p && strcmp(p, "x-7") == 0 && arena_new(&a, 900) && !arena_new(&a, 900) && !arena_array(&a, SIZE_MAX, 2));
    arena_deinit(&a);
}

TEST(buf_has_a_maximum)
{
    struct buf b;
    buf_init(&b, 10);
    buf_str(&b, "12345");
    buf_str(&b, "678901");
    CHECK(b.failed && b.len == 5 && strcmp(b.data, "12345") == 0);
    buf_clear(&b);
    buf_fmt(&b, "%d", 42);
    buf_cut(&b, 1);
    CHECK(!b.failed && strcmp(b.data, "2") == 0);
    buf_deinit(&b);
}

/* Writes a small file below root, with its folders. */
static void put(const char *root, const char *name, const char *text)
{
    char path[256], dir[256];
    struct err e;
    snprintf(path, sizeof path, "%s%s", root, name);
    snprintf(dir, sizeof dir, "%.*s", (int)(strrchr(path, '/') - path), path);
    if (os_mkdirs(dir, 0700, &e) < 0 || os_write_file(path, text, strlen(text), 0600, &e) < 0)
        printf("%s\n", e.msg);
}

TEST(memory_limits_of_cgroups)
{
    char root[] = "/tmp/sluice-base-XXXXXX", to[64];
    struct err e;
    CHECK(mkdtemp(root));
    CHECK(os_cgroup_memory(root) == UINT64_MAX);
    put(root, "/proc/self/cgroup", "0::/system.slice/sluice.service\n");
    put(root, "/sys/fs/cgroup/system.slice/sluice.service/memory.max", "max\n");
    CHECK(os_cgroup_memory(root) == UINT64_MAX);
    put(root, "/sys/fs/cgroup/system.slice/sluice.service/memory.max", "3000000\n");
    CHECK(os_cgroup_memory(root) == 3000000);
    put(root, "/sys/fs/cgroup/system.slice/memory.max", "2000000\n"); /* what stands above counts */
    CHECK(os_cgroup_memory(root) == 2000000);
    put(root, "/proc/self/cgroup", "0::/\n"); /* in a container */
    CHECK(os_cgroup_memory(root) == UINT64_MAX);
    put(root, "/sys/fs/cgroup/memory.max", "4000000\n");
    CHECK(os_cgroup_memory(root) == 4000000);
    put(root, "/proc/self/cgroup", "9:pids:/x\n7:memory:/docker/abc\nbroken\n:::\n");
    put(root, "/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "9223372036854771712\n");
    put(root, "/sys/fs/cgroup/memory/docker/memory.limit_in_bytes", "5000000\n");
    CHECK(os_cgroup_memory(root) == 5000000);
    CHECK(os_memory_bytes() > 1 << 20);
    snprintf(to, sizeof to, "%s-moved", root);
    CHECK(os_rename_folder(root, to, &e) == 0 && !os_exists(root));
    CHECK(mkdir(root, 0700) == 0 && os_rename_folder(to, root, &e) == 0); /* an empty folder gives way */
    CHECK(mkdir(to, 0700) == 0 && os_rename_folder(to, root, &e) < 0 && strstr(e.msg, root));
    CHECK(os_remove_tree(to, &e) == 0 && symlink("/etc", to) == 0 && os_remove_tree(to, &e) == 0 && os_exists("/etc/passwd"));
    CHECK(os_remove_tree(root, &e) == 0 && !os_exists(root) && os_remove_tree(root, &e) == 0);
}

TEST(networks)
{
    static const struct {
        const char *text, *is, *in, *out; /* in, out: addresses with blanks between */
    } good[] = {
        {"10.0.0.0/8", "10.0.0.0/8", "10.0.0.0 10.255.255.255 ::ffff:10.1.2.3", "11.0.0.0 9.255.255.255 ::a00:1 2001:db8::1"},
        {"192.0.2.7", "192.0.2.7/32", "192.0.2.7 ::ffff:192.0.2.7", "192.0.2.6 192.0.2.8"},
        {"0.0.0.0/0", "0.0.0.0/0", "0.0.0.0 255.255.255.255 127.0.0.1", "::1 ::"},
        {"172.16.0.0/12", "172.16.0.0/12", "172.16.0.1 172.31.255.255", "172.32.0.0 172.15.255.255"},
        {"10.1.2.128/25", "10.1.2.128/25", "10.1.2.128 10.1.2.255", "10.1.2.127 10.1.3.128"},
        {"::/0", "::/0", "::1 fe80::1", "10.0.0.1 ::ffff:10.0.0.1"},
        {"2001:DB8::/32", "2001:db8::/32", "2001:db8::1 2001:db8:ffff::", "2001:db9::1 10.0.0.1"},
        {"fe80::/10", "fe80::/10", "fe80::1 febf::1", "fec0::1"},
        {"::1", "::1/128", "::1", "::2 127.0.0.1"},
        {"::ffff:10.0.0.0/104", "10.0.0.0/8", "10.1.1.1", "11.1.1.1"},
    };
    static const char *const bad[] = {"",
                                      "/",
                                      "/8",
                                      "10",
                                      "10.0.0/8",
                                      "10.0.0.0/",
                                      "10.0.0.0/33",
                                      "10.0.0.0/-1",
                                      "10.0.0.0/ 8",
                                      "10.0.0.0/8/8",
                                      "::/129",
                                      "10.0.0.1/8",
                                      "2001:db8::1/32",
                                      "10.0.0.256",
                                      "010.0.0.1",
                                      "localhost",
                                      "fe80::1%lo",
                                      "[::1]",
                                      "10.0.0.0 /8",
                                      "10.0.0.0/99999999999999999999",
                                      "1:2:3:4:5:6:7:8:9",
                                      "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc",
                                      "unix"};
    struct cidr c;
    struct err e;
    char text[CIDR_TEXT_MAX];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        CHECK_MSG(cidr_parse(&c, str_of(good[i].text), &e) == 0, "%s", good[i].text);
        cidr_text(text, &c);
        CHECK_MSG(!strcmp(text, good[i].is), "%s is %s", good[i].text, text);
        struct str in = str_of(good[i].in), out = str_of(good[i].out);
        while (in.p)
            CHECK_MSG(cidr_has(&c, str_split(&in, ' ')), "%s: not all of %s", good[i].text, good[i].in);
        while (out.p)
            CHECK_MSG(!cidr_has(&c, str_split(&out, ' ')), "%s: some of %s", good[i].text, good[i].out);
        for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
            CHECK_MSG(strchr(bad[k], '.') || strchr(bad[k], ':') || !cidr_has(&c, str_of(bad[k])), "%s holds %s", good[i].text, bad[k]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_MSG(cidr_parse(&c, str_of(bad[i]), &e) == -ERR_BAD_VALUE && e.msg[0], "%s is taken", bad[i]);
    CHECK(cidr_parse(&c, STR("10.0.0.1/8"), &e) < 0 && strstr(e.msg, "10.0.0.0/8"));
    CHECK(cidr_parse(&c, (struct str){"10.0.0.1\0x", 10}, &e) < 0 && cidr_parse(&c, (struct str){NULL, 0}, &e) < 0);
}

TEST(files)
{
    char dir[] = "/tmp/sluice-base-XXXXXX", path[128], copy[128];
    struct buf b;
    struct err e;
    int fd, fd2;
    CHECK(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/a/b", dir);
    CHECK(os_mkdirs(path, 0700, &e) == 0 && os_exists(path));
    snprintf(path, sizeof path, "%s/a/b/file", dir);
    snprintf(copy, sizeof copy, "%s/a/copy", dir);
    CHECK(os_write_file(path, "hello", 5, 0600, &e) == 0 && os_copy_file(path, copy, 0400, &e) == 0);
    buf_init(&b, 100);
    CHECK(os_read_file(&b, copy, &e) == 0 && b.len == 5 && memcmp(b.data, "hello", 5) == 0);
    CHECK(os_read_file(&b, "/nonexistent", &e) < 0 && e.code == ERR_NOT_FOUND);
    buf_deinit(&b);
    struct sha256 h, h2;
    sha256(&h2, "hello", 5);
    CHECK(sha256_file(&h, path, NULL, NULL, &e) == 0 && memcmp(&h, &h2, 32) == 0);
    snprintf(path, sizeof path, "%s/lock", dir);
    CHECK(os_lock_file(&fd, path, &e) == 0 && os_lock_file(&fd2, path, &e) < 0 && e.code == ERR_CONFLICT);
    close(fd);
    CHECK(os_rss_bytes() > 0 && os_memory_bytes() > 1 << 20);
    char cmd[160];
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    CHECK(system(cmd) == 0);
}
/* What a child with the guard says and how it ends, when the file is cut to `left` bytes and byte `at` of its map is read. */
static int read_cut(size_t left, size_t at, char *said, size_t n_said)
{
    char path[] = "/tmp/sluice-map-XXXXXX";
    static const char bytes[16384] = {1};
    int fd = mkstemp(path), pipes[2], status;
    if (fd < 0 || write(fd, bytes, sizeof bytes) != sizeof bytes || pipe(pipes) != 0)
        return -1;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        struct os_map other, m;
        struct err e;
        dup2(pipes[1], 2);
        os_map_guard();
        if (os_map_open(&other, "/proc/self/exe", &e) || os_map_open(&m, path, &e) || ftruncate(fd, (off_t)left) != 0)
            _exit(90);
        _exit(*(const volatile uint8_t *)(m.p + at) ? 91 : 92);
    }
    close(pipes[1]);
    ssize_t k = read(pipes[0], said, n_said - 1);
    said[k > 0 ? k : 0] = 0;
    for (ssize_t more; k > 0 && (more = read(pipes[0], said + k, n_said - 1 - (size_t)k)) > 0; k += more)
        said[k + more] = 0;
    close(pipes[0]), close(fd), unlink(path);
    return waitpid(pid, &status, 0) == pid ? status : -1;
}

TEST(a_mapped_file_that_shrinks_is_named)
{
    char said[1024];
    int status = read_cut(4096, 8192, said, sizeof said);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == err_exit(ERR_IO));
    CHECK_MSG(strstr(said, "sluice: /tmp/sluice-map-") && strstr(said, "became shorter"), "said: %s", said);
    status = read_cut(8192, 4096, said, sizeof said); /* what is still there can be read */
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 92 && !*said);
}

TEST_MAIN()
