/* Chat templates: the public face of jinja/. */
#include "text/template_int.h"
#include "text/jinja/jinja.h"
#include <stdio.h>
#include <string.h>

enum { OUTPUT_DEFAULT = 4 << 20, OUTPUT_MAX = 64 << 20 };

struct chat_template {
    struct arena mem;
    char *source; /* "\r\n" made "\n" */
    struct jnode *root;
    struct str *names; /* variables by number */
    size_t n_names;
    uint32_t caller_name, loop_name, varargs_name, kwargs_name;
    struct named {
        char *name;
        struct chat_template *t;
    } named[TEMPLATE_NAMED_MAX];
    size_t n_named;
};

/* Jinja reads every kind of line end as "\n". */
static size_t copy_source(char *to, struct str from)
{
    size_t n = 0;
    for (size_t i = 0; i < from.n; i++) {
        if (from.p[i] != '\r')
            to[n++] = from.p[i];
        else if (i + 1 == from.n || from.p[i + 1] != '\n')
            to[n++] = '\n';
    }
    return n;
}

static bool number_name(struct jparse *p, const char *name, uint32_t *out)
{
    struct str s = str_of(name);
    for (*out = 0; *out < p->names.n; ++*out)
        if (str_eq(p->names.p[*out], s))
            return true;
    return vec_push(&p->names, s);
}

static int parse(struct chat_template *t, struct str source, struct err *e)
{
    struct jtokens tokens = {0};
    struct err own = {0};
    struct jparse p = {.mem = &t->mem, .e = &own};
    int rc = jinja_lex(&tokens, source, &own);
    p.t = tokens.p;
    if (!rc && (!(t->root = jinja_parse(&p)) || !number_name(&p, "caller", &t->caller_name) || !number_name(&p, "loop", &t->loop_name) ||
                !number_name(&p, "varargs", &t->varargs_name) || !number_name(&p, "kwargs", &t->kwargs_name)))
        rc = own.code ? -(int)own.code : err_set(&own, ERR_NO_MEMORY, "template: no memory for its names");
    t->names = p.names.p;
    t->n_names = p.names.n;
    vec_deinit(&tokens);
    if (rc && e)
        *e = own;
    return rc;
}

int template_compile(struct chat_template **out, struct str source, struct err *e)
{
    *out = NULL;
    if (source.n > TEMPLATE_SOURCE_MAX)
        return err_set(e, ERR_TEMPLATE, "template: %zu bytes of source, the limit is %d", source.n, TEMPLATE_SOURCE_MAX);
    if (!utf8_valid(source.p, source.n))
        return err_set(e, ERR_TEMPLATE, "template: the source is not UTF-8");
    struct chat_template *t = mem_new(sizeof *t);
    if (!t || !(t->source = mem_array(source.n + 1, 1))) {
        mem_free(t);
        return err_set(e, ERR_NO_MEMORY, "template: no memory for its source");
    }
    arena_init(&t->mem, JINJA_TREE_MAX);
    int rc = parse(t, (struct str){t->source, copy_source(t->source, source)}, e);
    if (rc)
        template_free(t);
    else
        *out = t;
    return rc;
}

void template_free(struct chat_template *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->n_named; i++) {
        mem_free(t->named[i].name);
        template_free(t->named[i].t);
    }
    arena_deinit(&t->mem);
    mem_free(t->names);
    mem_free(t->source);
    mem_free(t);
}

/* ---- the templates of a model ---- */

static const char key[] = "tokenizer.chat_template", key_default[] = "tokenizer.chat_template.default", key_list[] = "tokenizer.chat_templates";

static int load_default(struct chat_template **out, const struct modelfile *f, const struct vocab *v, char warning[256], struct err *e)
{
    struct str source, instead;
    struct err why = {0};
    const char *form = template_default(v, &instead), *at = modelfile_meta(f, key) ? key : key_default;
    if (!modelfile_meta(f, at))
        snprintf(warning, 256, "the model has no chat template; the form \"%s\" is used, which its vocabulary speaks for", form);
    else if (modelfile_str(f, at, &source, &why) == 0 && template_compile(out, source, &why) == 0)
        return 0;
    else if (why.code == ERR_NO_MEMORY)
        return err_set(e, ERR_NO_MEMORY, "%s", why.msg); /* of which the template is not guilty */
    else
        snprintf(warning, 256, "the model's chat template cannot be used, the form \"%s\" is: %.150s", form, why.msg);
    return template_compile(out, instead, e);
}

/* Adds the template of the metadata m, which is called `name`; what does not work is a warning. */
static int add_named(struct chat_template *t, const struct modelfile *f, const struct meta *m, struct str name, char warning[256], struct err *e)
{
    struct named *to = &t->named[t->n_named];
    struct str source;
    struct err why = {0};
    char full[256];
    if (t->n_named == TEMPLATE_NAMED_MAX || !str_fmt(full, sizeof full, "%.*s", (int)(m->key.n < 256 ? m->key.n : 256), m->key.p)) {
        snprintf(warning, 256, "the model has more than %d named chat templates, or long names; the rest is left out", TEMPLATE_NAMED_MAX);
        return 0;
    }
    if (modelfile_str(f, full, &source, &why) || template_compile(&to->t, source, &why)) {
        if (why.code == ERR_NO_MEMORY)
            return err_set(e, ERR_NO_MEMORY, "%s", why.msg);
        snprintf(warning, 256, "the model's chat template \"%.40s\" cannot be used: %.150s", full + sizeof key, why.msg);
        return 0;
    }
    if (!(to->name = mem_array(name.n + 1, 1))) {
        template_free(to->t);
        return err_set(e, ERR_NO_MEMORY, "template: no memory for its name");
    }
    memcpy(to->name, name.p, name.n);
    t->n_named++;
    return 0;
}

/* Names that the file lists and has no template for: converters write the list and the templates one by one. */
static void check_list(const struct chat_template *t, const struct modelfile *f, char warning[256])
{
    const struct meta *list = modelfile_meta(f, key_list);
    for (uint64_t i = 0; list && list->strings && i < list->n; i++) {
        struct str name = list->strings[i];
        char full[256];
        int n = name.n < 128 ? (int)name.n : 128;
        if (*warning || str_eqz(name, "default") || template_named(t, name))
            continue;
        if (!str_fmt(full, sizeof full, "%s.%.*s", key, n, name.p) || !modelfile_meta(f, full))
            snprintf(warning, 256, "the model lists a chat template \"%.*s\" and does not have it", n < 40 ? n : 40, name.p);
    }
}

int template_load(struct chat_template **out, const struct modelfile *f, const struct vocab *v, char warning[256], struct err *e)
{
    warning[0] = 0;
    int rc = load_default(out, f, v, warning, e);
    for (size_t i = 0; rc == 0 && i < f->n_meta; i++) {
        const struct meta *m = &f->meta[i];
        if (!str_starts(m->key, key) || m->key.n <= sizeof key || m->key.p[sizeof key - 1] != '.' || str_eqz(m->key, key_default))
            continue;
        rc = add_named(*out, f, m, (struct str){m->key.p + sizeof key, m->key.n - sizeof key}, warning, e);
    }
    if (rc) {
        template_free(*out);
        *out = NULL;
    } else
        check_list(*out, f, warning);
    return rc;
}

const struct chat_template *template_named(const struct chat_template *t, struct str name)
{
    if (!name.n || str_eqz(name, "default"))
        return t;
    for (size_t i = 0; i < t->n_named; i++)
        if (str_eqz(name, t->named[i].name))
            return t->named[i].t;
    return NULL;
}

void template_names(const struct chat_template *t, struct buf *out)
{
    for (size_t i = 0; i < t->n_named; i++)
        buf_fmt(out, "%s%s", i ? ", " : "", t->named[i].name);
}

/* ---- a run ---- */

/* Roles become part of markers ('<|' + role + '|>'), so the words that are roles count as the template's own. */
static void trust_roles(struct jval *messages)
{
    static const char *const roles[] = {"system", "user", "assistant", "tool", "developer", "function", "ipython", "model", "observation"};
    for (uint32_t i = 0; i < messages->l->n; i++) {
        struct jval *m = &messages->l->v[i];
        for (uint32_t k = 0; m->type == J_DICT && k < m->d->n; k++) {
            if (!str_eqz(jstr_raw(m->d->k[k].s), "role") || m->d->v[k].type != J_STR)
                continue;
            for (size_t w = 0; w < sizeof roles / sizeof *roles; w++)
                if (str_eqz(jstr_raw(m->d->v[k].s), roles[w]))
                    m->d->v[k].s.trusted = true;
        }
    }
}

/* Binds a variable that the template names; others need no room. */
static bool give(struct jrun *r, const struct chat_template *t, struct str name, struct jval v)
{
    for (size_t i = 0; i < t->n_names; i++)
        if (str_eq(t->names[i], name))
            return jbind(r, r->globals, (uint32_t)i, v);
    return true;
}

static bool give_json(struct jrun *r, const struct chat_template *t, const char *name, const struct json *j, bool messages)
{
    struct jval v;
    if (!jfrom_json(r, j, &v))
        return false;
    if (messages && v.type != J_LIST)
        return jfail(r, "messages is %s, not a list", jtype_name(&v));
    if (messages)
        trust_roles(&v);
    return give(r, t, str_of(name), v);
}

bool template_owns(struct str variable)
{
    static const char *const owned[] = {"messages", "tools", "bos_token", "eos_token", "add_generation_prompt"};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        if (str_eqz(variable, owned[i]))
            return true;
    return false;
}

static bool give_all(struct jrun *r, const struct chat_template *t, const struct render_in *in)
{
    struct jval bos = jstr_val((struct jstr){in->bos.p ? in->bos.p : "", NULL, (uint32_t)in->bos.n, true, false});
    struct jval eos = jstr_val((struct jstr){in->eos.p ? in->eos.p : "", NULL, (uint32_t)in->eos.n, true, false});
    struct str variable;
    const struct json *value;
    if (!give(r, t, STR("documents"), jnone()) ||
        (in->effort.n && !give(r, t, STR("reasoning_effort"), jstr_val(jstr_data(in->effort.p, in->effort.n)))))
        return false;
    for (void *it = NULL; in->extra && json_each(in->extra, &it, &variable, &value);) {
        struct jval v;
        if (!jfrom_json(r, value, &v) || !give(r, t, variable, v))
            return false;
    }
    return give_json(r, t, "messages", in->messages, true) && give_json(r, t, "tools", in->tools, false) && give(r, t, STR("bos_token"), bos) &&
           give(r, t, STR("eos_token"), eos) && give(r, t, STR("add_generation_prompt"), jbool(in->add_generation_prompt));
}

/* Runs of equally trusted bytes. */
static int spans_of(struct rendered *out, const struct buf *taint, struct err *e)
{
    size_t n = 0;
    for (size_t i = 0; i < taint->len; i++)
        n += i == 0 || taint->data[i] != taint->data[i - 1];
    out->spans = mem_array(n ? n : 1, sizeof *out->spans);
    if (!out->spans)
        return err_set(e, ERR_NO_MEMORY, "template: no memory for %zu spans", n);
    for (size_t i = 0; i < taint->len; i++) {
        if (i == 0 || taint->data[i] != taint->data[i - 1])
            out->spans[out->n_spans++] = (struct text_span){(uint32_t)i, 0, taint->data[i] != 0};
        out->spans[out->n_spans - 1].n++;
    }
    return 0;
}

int template_render(const struct chat_template *t, const struct render_in *in, struct rendered *out, struct err *e)
{
    struct err own = {0};
    struct jframe globals = {0};
    struct jout o;
    struct jrun r = {.e = &own,
                     .frame = &globals,
                     .globals = &globals,
                     .out = &o,
                     .now_us = in->now_us,
                     .caller_name = t->caller_name,
                     .loop_name = t->loop_name,
                     .varargs_name = t->varargs_name,
                     .kwargs_name = t->kwargs_name};
    r.output_max = in->output_max && in->output_max < OUTPUT_MAX ? in->output_max : in->output_max ? OUTPUT_MAX : OUTPUT_DEFAULT;
    *out = (struct rendered){0};
    arena_init(&r.mem, JINJA_MEMORY_MAX);
    jout_init(&o, r.output_max);
    int rc = give_all(&r, t, in) && jexec(&r, t->root) ? spans_of(out, &o.taint, &own) : -(int)own.code;
    out->steps = r.steps, out->memory = r.mem.used;
    arena_deinit(&r.mem);
    if (rc) {
        jout_deinit(&o);
        if (e)
            *e = own;
        return rc;
    }
    out->text = o.text;
    buf_deinit(&o.taint);
    return 0;
}

void rendered_deinit(struct rendered *r)
{
    buf_deinit(&r->text);
    mem_free(r->spans);
    *r = (struct rendered){0};
}
