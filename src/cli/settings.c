/* Settings of serve: config file, then environment, then flags; the later one wins. */
#include "base/os.h"
#include "cli/cli_int.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *dflt, *text;
} table[] = {
#define SETTING(name, dflt, text) {name, dflt, text},
#include "cli/settings.def"
#undef SETTING
};
enum { N_SETTINGS = sizeof table / sizeof table[0], VALUE_MAX = 512, FROM_MAX = PATH_LEN + 16 };

struct settings {
    struct {
        char value[VALUE_MAX], from[FROM_MAX];
    } s[N_SETTINGS];
};

static size_t find(struct str name)
{
    size_t i = 0;
    while (i < N_SETTINGS && !str_eqz(name, table[i].name))
        i++;
    return i;
}

bool settings_known(struct str name)
{
    return find(name) < N_SETTINGS;
}

void settings_help(void)
{
    for (size_t i = 0; i < N_SETTINGS; i++)
        printf("      --%-14s %s%s%s%s\n", table[i].name, table[i].text, *table[i].dflt ? " (" : "", table[i].dflt, *table[i].dflt ? ")" : "");
}

static int set(struct settings *s, size_t i, struct str value, const char *from, struct err *e)
{
    if (!str_fmt(s->s[i].value, VALUE_MAX, "%.*s", (int)value.n, value.p ? value.p : ""))
        return err_set(e, ERR_USAGE, "%s: the value of %s is too long", from, table[i].name);
    str_fmt(s->s[i].from, FROM_MAX, "%s", from);
    return 0;
}

static int read_line(struct settings *s, struct str line, const char *path, int n, struct err *e)
{
    char from[FROM_MAX];
    struct str rest = str_trim(line);
    if (!rest.n || rest.p[0] == '#')
        return 0;
    bool has = memchr(rest.p, '=', rest.n) != NULL;
    struct str name = str_trim(str_split(&rest, '='));
    size_t i = find(name);
    if (!has)
        return err_set(e, ERR_USAGE, "%s:%d: not of the form name = value", path, n);
    if (i == N_SETTINGS)
        return err_set(e, ERR_USAGE, "%s:%d: there is no setting %.*s; see: sluice serve --print-config", path, n, (int)(name.n < 40 ? name.n : 40),
                       name.p);
    str_fmt(from, sizeof from, "%s:%d", path, n);
    return set(s, i, str_trim(rest), from, e);
}

static int read_file(struct settings *s, const char *path, struct err *e)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    int rc = os_read_file(&b, path, e);
    struct str rest = {b.data, b.len};
    for (int n = 1; rc >= 0 && rest.n; n++)
        rc = read_line(s, str_split(&rest, '\n'), path, n, e);
    buf_deinit(&b);
    return rc;
}

static int read_env(struct settings *s, struct err *e)
{
    for (size_t i = 0; i < N_SETTINGS; i++) {
        char name[64] = "SLUICE_";
        for (size_t k = 0; table[i].name[k] && k < 50; k++)
            name[7 + k] = table[i].name[k] == '-' ? '_' : (char)toupper((unsigned char)table[i].name[k]);
        const char *v = getenv(name);
        char from[96];
        str_fmt(from, sizeof from, "environment %s", name);
        int rc = v ? set(s, i, str_of(v), from, e) : 0;
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int read_flags(struct settings *s, const struct cli *c, struct err *e)
{
    for (size_t i = 0; i < N_SETTINGS; i++) {
        const char *v = args_flag(c, table[i].name);
        int rc = v ? set(s, i, str_of(v), "flag", e) : 0;
        if (rc < 0)
            return rc;
    }
    return 0;
}

int settings_load(struct settings **out, const struct cli *c, const char *dir, struct err *e)
{
    char path[PATH_LEN];
    const char *flag = c ? args_flag(c, "config") : NULL;
    struct settings *s = mem_must(sizeof *s);
    int rc = data_file(path, dir, "sluice.conf", e);
    for (size_t i = 0; i < N_SETTINGS && rc >= 0; i++)
        rc = set(s, i, str_of(table[i].dflt), "default", e);
    if (rc >= 0 && flag)
        rc = read_file(s, flag, e);
    else if (rc >= 0 && os_exists(path))
        rc = read_file(s, path, e);
    if (rc >= 0)
        rc = read_env(s, e);
    if (rc >= 0 && c)
        rc = read_flags(s, c, e);
    if (rc < 0) {
        settings_free(s);
        return rc;
    }
    *out = s;
    return 0;
}

void settings_free(struct settings *s)
{
    mem_free(s);
}

void settings_print(const struct settings *s, const char *dir)
{
    printf("%-14s = %-20s # --data, $SLUICE_DATA or the default\n", "data", dir);
    for (size_t i = 0; i < N_SETTINGS; i++)
        printf("%-14s = %-20s # %s; %s\n", table[i].name, s->s[i].value, s->s[i].from, table[i].text);
}

const char *settings_get(const struct settings *s, const char *name)
{
    size_t i = find(str_of(name));
    ASSERT(i < N_SETTINGS);
    return s->s[i].value;
}

int settings_yes(const struct settings *s, const char *name, bool *out, struct err *e)
{
    size_t i = find(str_of(name));
    ASSERT(i < N_SETTINGS);
    const struct str value = str_of(s->s[i].value);
    *out = str_eqz(value, "yes");
    if (*out || str_eqz(value, "no"))
        return 0;
    return err_set(e, ERR_USAGE, "%s = %s (from %s) must be yes or no", name, s->s[i].value, s->s[i].from);
}

int settings_u64(const struct settings *s, const char *name, uint64_t max, uint64_t *out, struct err *e)
{
    size_t i = find(str_of(name));
    ASSERT(i < N_SETTINGS);
    if (str_u64(str_of(s->s[i].value), out) && *out <= max)
        return 0;
    return err_set(e, ERR_USAGE, "%s = %s (from %s) must be a whole number from 0 to %llu", name, s->s[i].value, s->s[i].from,
                   (unsigned long long)max);
}
