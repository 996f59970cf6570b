/* Methods of texts, dicts, lists and loops: those of Python that chat templates use and that change nothing. */
#include "text/jinja/jinja.h"
#include "text/unicode.h"
#include <string.h>

/* Argument i as a text; *given is false where it is absent or none. */
static bool text_arg(struct jrun *r, const struct jargs *a, uint32_t i, const char *name, struct jstr *out, bool *given)
{
    struct jval v;
    *given = jarg(a, i, name, &v) && v.type != J_NONE;
    if (*given && v.type != J_STR)
        return jfail(r, "%s where a text is wanted", jtype_name(&v));
    if (*given)
        *out = v.s;
    return true;
}

static bool int_arg(struct jrun *r, const struct jargs *a, uint32_t i, const char *name, int64_t *out)
{
    struct jval v;
    if (!jarg(a, i, name, &v))
        return true;
    if (v.type != J_INT)
        return jfail(r, "%s where a number is wanted", jtype_name(&v));
    *out = v.i;
    return true;
}

static bool strip(struct jrun *r, struct jstr s, const struct jargs *a, bool left, bool right, struct jval *out)
{
    struct jstr set;
    bool        given;
    out->type = J_STR;
    return text_arg(r, a, 0, "chars", &set, &given) && jstr_strip(r, s, given ? &set : NULL, left, right, &out->s);
}

static bool split(struct jrun *r, struct jstr s, const struct jargs *a, bool right, struct jval *out)
{
    struct jstr sep;
    bool        given;
    int64_t     max = -1;
    return text_arg(r, a, 0, "sep", &sep, &given) && int_arg(r, a, 1, "maxsplit", &max) && jstr_split(r, s, given ? &sep : NULL, max, right, out);
}

static bool starts(struct jstr s, struct jstr with, bool end)
{
    return s.n >= with.n && (with.n == 0 || memcmp(end ? s.p + s.n - with.n : s.p, with.p, with.n) == 0);
}

static bool starts_with(struct jrun *r, struct jstr s, const struct jargs *a, bool end, struct jval *out)
{
    struct jval v;
    *out = jbool(false);
    if (!jarg(a, 0, NULL, &v))
        return jfail(r, "startswith() and endswith() take a text");
    uint32_t     n = v.type == J_LIST ? v.l->n : 1;
    struct jval *one = v.type == J_LIST ? v.l->v : &v;
    for (uint32_t i = 0; i < n; i++) {
        if (one[i].type != J_STR)
            return jfail(r, "startswith() and endswith() take a text, not %s", jtype_name(&one[i]));
        out->b |= starts(s, one[i].s, end);
    }
    return jstep(r, n);
}

static bool cut_affix(struct jrun *r, struct jstr s, const struct jargs *a, bool end, struct jval *out)
{
    struct jstr affix = {0};
    bool        given;
    if (!text_arg(r, a, 0, NULL, &affix, &given))
        return false;
    bool has = given && starts(s, affix, end);
    *out = jstr_val(!has ? s : end ? jstr_cut(s, 0, s.n - affix.n) : jstr_cut(s, affix.n, s.n));
    return true;
}

static bool replace(struct jrun *r, struct jstr s, const struct jargs *a, struct jval *out)
{
    struct jstr old, new;
    bool        g1, g2;
    int64_t     count = -1;
    if (!text_arg(r, a, 0, "old", &old, &g1) || !text_arg(r, a, 1, "new", &new, &g2) || !int_arg(r, a, 2, "count", &count))
        return false;
    out->type = J_STR;
    return g1 && g2 ? jstr_replace(r, s, old, new, count, &out->s) : jfail(r, "replace() takes two texts");
}

/* find, rfind, index and count, in characters. */
static bool find(struct jrun *r, struct jstr s, struct str name, const struct jargs *a, struct jval *out)
{
    struct jstr what;
    bool        given, last = str_eqz(name, "rfind"), count = str_eqz(name, "count");
    int64_t     hits = 0, at_char = -1;
    if (!text_arg(r, a, 0, NULL, &what, &given))
        return false;
    if (!given || !what.n)
        return jfail(r, "%.*s() takes a text that is not empty", (int)name.n, name.p);
    for (size_t at = 0; s.n;) {
        const char *hit = jstr_find(s.p + at, s.n - at, what);
        if (!hit)
            break;
        size_t from = (size_t)(hit - s.p);
        hits++;
        if (count || last || at_char < 0)
            at_char = (int64_t)from; /* a byte, for now */
        if (!count && !last)
            break;
        at = from + (count ? what.n : 1);
        if (!jstep(r, 1))
            return false;
    }
    if (at_char < 0 && str_eqz(name, "index"))
        return jfail(r, "index() of a text that is not there");
    *out = jint(count ? hits : at_char < 0 ? -1 : (int64_t)jstr_chars(jstr_cut(s, 0, (size_t)at_char)));
    return jstep(r, s.n / 32);
}

static bool all_chars(struct jrun *r, struct jstr s, struct str name, struct jval *out)
{
    bool all = s.n > 0;
    for (size_t at = 0; all && at < s.n;) {
        struct uchar c = uchar_at(s.p + at, s.n - at);
        if (str_eqz(name, "isalpha"))
            all = c.class == CLASS_LETTER;
        else if (str_eqz(name, "isspace"))
            all = c.class == CLASS_SPACE;
        else if (str_eqz(name, "isalnum"))
            all = c.class == CLASS_LETTER || c.class == CLASS_NUMBER;
        else if (str_eqz(name, "isupper"))
            all = !unicode_is_lower(c.cp);
        else if (str_eqz(name, "islower"))
            all = !unicode_is_upper(c.cp);
        else /* isdigit, isnumeric, isdecimal */
            all = c.class == CLASS_NUMBER;
        at += c.n;
    }
    *out = jbool(all);
    return jstep(r, s.n / 32);
}

static bool split_lines(struct jrun *r, struct jstr s, struct jval *out)
{
    struct jstr newline = jstr_lit("\n");
    if (!jstr_split(r, s, &newline, -1, false, out))
        return false;
    struct jlist *l = out->l;
    if (l->v[l->n - 1].s.n == 0)
        l->n--; /* no line behind the last newline */
    for (uint32_t i = 0; i < l->n; i++) {
        struct jstr *line = &l->v[i].s;
        if (line->n && line->p[line->n - 1] == '\r')
            line->n--;
    }
    return true;
}

static bool join(struct jrun *r, struct jstr s, const struct jargs *a, struct jval *out)
{
    struct jval  all, sep = jstr_val(s);
    struct jargs with = {.pos = &sep, .n = 1};
    return jarg(a, 0, NULL, &all) ? jfilter(r, STR("join"), &all, &with, out) : jfail(r, "join() takes a list");
}

static bool str_method(struct jrun *r, struct jstr s, struct str name, const struct jargs *a, struct jval *out)
{
    static const char *const finders[] = {"find", "rfind", "index", "count"};
    static const char *const classes[] = {"isdigit", "isnumeric", "isdecimal", "isalpha", "isalnum", "isspace", "isupper", "islower"};
    out->type = J_STR;
    if (str_eqz(name, "strip") || str_eqz(name, "lstrip") || str_eqz(name, "rstrip"))
        return strip(r, s, a, name.p[0] != 'r', name.p[0] != 'l', out);
    if (str_eqz(name, "split") || str_eqz(name, "rsplit"))
        return split(r, s, a, name.p[0] == 'r', out);
    if (str_eqz(name, "startswith") || str_eqz(name, "endswith"))
        return starts_with(r, s, a, name.p[0] == 'e', out);
    if (str_eqz(name, "removeprefix") || str_eqz(name, "removesuffix"))
        return cut_affix(r, s, a, name.p[6] == 's', out);
    if (str_eqz(name, "upper"))
        return jstr_case(r, s, 'U', &out->s);
    if (str_eqz(name, "lower") || str_eqz(name, "casefold"))
        return jstr_case(r, s, 'L', &out->s);
    if (str_eqz(name, "title"))
        return jstr_case(r, s, 'T', &out->s);
    if (str_eqz(name, "capitalize"))
        return jstr_case(r, s, 'C', &out->s);
    if (str_eqz(name, "replace"))
        return replace(r, s, a, out);
    if (str_eqz(name, "splitlines"))
        return split_lines(r, s, out);
    if (str_eqz(name, "join"))
        return join(r, s, a, out);
    for (size_t i = 0; i < sizeof finders / sizeof *finders; i++)
        if (str_eqz(name, finders[i]))
            return find(r, s, name, a, out);
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (str_eqz(name, classes[i]))
            return all_chars(r, s, name, out);
    return jfail(r, "a text has no method %.*s()", (int)(name.n < 32 ? name.n : 32), name.p);
}

static bool dict_list(struct jrun *r, const struct jdict *d, char what, struct jval *out)
{
    if (!jlist_new(r, d->n, out))
        return false;
    for (uint32_t i = 0; i < d->n; i++) {
        struct jval *to = &out->l->v[i];
        if (what != 'i') {
            *to = what == 'k' ? d->k[i] : d->v[i];
            continue;
        }
        if (!jlist_new(r, 2, to))
            return false;
        to->l->tuple = true;
        to->l->v[0] = d->k[i];
        to->l->v[1] = d->v[i];
    }
    return true;
}

/* *known is false when dicts have no such method. */
static bool dict_method(struct jrun *r, const struct jdict *d, struct str name, const struct jargs *a, struct jval *out, bool *known)
{
    struct jval key;
    bool        found;
    *known = true;
    if (str_eqz(name, "items") || str_eqz(name, "keys") || str_eqz(name, "values"))
        return dict_list(r, d, name.p[0], out);
    if (str_eqz(name, "get")) {
        if (!jarg(a, 0, "key", &key))
            return jfail(r, "get() takes a key");
        if (!jdict_get(r, d, &key, out, &found))
            return false;
        if (!found && !jarg(a, 1, "default", out))
            *out = jnone();
        return true;
    }
    *known = false;
    return true;
}

static bool loop_method(struct jrun *r, struct jloop *l, struct str name, const struct jargs *a, struct jval *out)
{
    if (str_eqz(name, "cycle") && a->n) {
        *out = a->pos[l->i % a->n];
        return true;
    }
    if (str_eqz(name, "changed") && a->n) {
        bool same = false;
        if (l->had_last && !jequal(r, &l->last, &a->pos[0], &same))
            return false;
        l->had_last = true;
        l->last = a->pos[0];
        *out = jbool(!same);
        return true;
    }
    return jfail(r, "a loop has no method %.*s()", (int)(name.n < 32 ? name.n : 32), name.p);
}

static bool list_method(struct jrun *r, const struct jlist *l, struct str name, const struct jargs *a, struct jval *out)
{
    struct jval what;
    bool        index = str_eqz(name, "index"), same;
    int64_t     hits = 0;
    if ((!index && !str_eqz(name, "count")) || !jarg(a, 0, NULL, &what))
        return jfail(r, "%.*s() of a list is not available; templates cannot change their values", (int)(name.n < 32 ? name.n : 32), name.p);
    for (uint32_t i = 0; i < l->n; i++) {
        if (!jequal(r, &l->v[i], &what, &same))
            return false;
        if (same && index)
            return *out = jint(i), true;
        hits += same;
    }
    *out = jint(hits);
    return !index || jfail(r, "index() of what is not in the list");
}

bool jmethod(struct jrun *r, const struct jval *self, struct str name, const struct jargs *a, struct jval *out)
{
    struct jval f;
    bool        known = false;
    if (self->type == J_STR)
        return str_method(r, self->s, name, a, out);
    if (self->type == J_LIST)
        return list_method(r, self->l, name, a, out);
    if (self->type == J_LOOP)
        return loop_method(r, self->loop, name, a, out);
    if (self->type == J_DICT && (!dict_method(r, self->d, name, a, out, &known) || known))
        return known && !r->failed;
    return jattr(r, self, name, &f) && jcall(r, &f, a, out);
}
