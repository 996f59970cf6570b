/* sluice doctor: runs the checks of doctor.def and prints what they say. */
#include "base/os.h"
#include "cli/doctor.h"
#include "net/client.h"
#include <stdarg.h>
#include <stdlib.h>

static const char *const words[] = {"ok", "skipped", "warning", "fault"};

static const struct check {
    const char *name;
    void (*fn)(struct doctor *d);
} checks[] = {
#define CHECK(name, fn) {name, fn},
#include "cli/doctor.def"
#undef CHECK
};

void doctor_say(struct doctor *d, enum verdict v, const char *mend, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    d->count[v]++;
    jw_obj(&d->out);
    jw_key(&d->out, "check"), jw_str(&d->out, d->check);
    jw_key(&d->out, "verdict"), jw_str(&d->out, words[v]);
    jw_key(&d->out, "text"), jw_str(&d->out, text);
    jw_key(&d->out, "mend"), jw_str(&d->out, mend);
    jw_obj_end(&d->out);
}

bool doctor_path(const struct doctor *d, char out[PATH_LEN], const char *in_data)
{
    return data_file(out, d->data, in_data, NULL) >= 0 && os_exists(out);
}

static bool answers(const struct doctor *d)
{
    char sock[PATH_LEN];
    struct client_answer a = {0};
    struct client_req q = {.method = "GET", .url = "http://localhost/health", .unix_socket = sock};
    bool ok = doctor_path(d, sock, "admin.sock") && client_do(&a, &q, NULL) >= 0;
    client_answer_deinit(&a);
    return ok;
}

static void print(const struct doctor *d, const struct json *list)
{
    for (size_t i = 0; i < json_len(list); i++) {
        const struct json *j = json_at(list, i);
        struct str mend = json_str(json_get(j, "mend"));
        printf("%-8s %-14s %s\n", json_str(json_get(j, "verdict")).p, json_str(json_get(j, "check")).p, json_str(json_get(j, "text")).p);
        if (mend.n)
            printf("%-8s %-14s -> %s\n", "", "", mend.p);
    }
    printf("%u ok, %u skipped, %u warnings, %u faults\n", d->count[DOCTOR_OK], d->count[DOCTOR_SKIP], d->count[DOCTOR_WARN], d->count[DOCTOR_FAIL]);
}

int cmd_doctor(const struct cli *c, struct err *e)
{
    struct doctor d = {.c = c};
    const char *root = getenv("SLUICE_DOCTOR_ROOT");
    struct json *list = NULL;
    struct buf b;
    int rc;
    if ((rc = args_count(c, 0, 0, e)) < 0 || (rc = data_dir(c, d.data, e)) < 0)
        return rc;
    if (!str_fmt(d.root, sizeof d.root, "%s", root ? root : ""))
        return err_set(e, ERR_USAGE, "SLUICE_DOCTOR_ROOT is too long");
    if (settings_load(&d.settings, c, d.data, &d.settings_err) < 0)
        d.settings = NULL;
    d.serving = answers(&d);
    buf_init(&b, 0);
    jw_init(&d.out, &b);
    jw_arr(&d.out);
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        d.check = checks[i].name;
        checks[i].fn(&d);
    }
    jw_arr_end(&d.out);
    if ((rc = json_parse(&list, b.data, b.len, e)) >= 0 && args_flag(c, "json"))
        json_print(list);
    else if (rc >= 0)
        print(&d, list);
    json_free(list);
    buf_deinit(&b);
    settings_free(d.settings);
    return rc < 0 ? rc : d.count[DOCTOR_FAIL] > 0;
}
