/* The walk over statements, and where what they print goes. */
#include "text/jinja/jinja.h"
#include <string.h>

enum flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE, FLOW_FAIL };

static enum flow exec(struct jrun *r, const struct jnode *list);

void jout_init(struct jout *o, size_t max)
{
    buf_init(&o->text, max);
    buf_init(&o->taint, max);
}

void jout_deinit(struct jout *o)
{
    buf_deinit(&o->text);
    buf_deinit(&o->taint);
}

static bool emit(struct jrun *r, struct jstr s)
{
    struct jout *o = r->out;
    if (!s.n)
        return true;
    if (!jstep(r, s.n / 32) || !buf_reserve(&o->text, s.n) || !buf_reserve(&o->taint, s.n))
        return jfail(r, "the rendered conversation is longer than %zu bytes", r->output_max);
    buf_add(&o->text, s.p, s.n);
    if (s.taint)
        buf_add(&o->taint, s.taint, s.n);
    else {
        memset(o->taint.data + o->taint.len, s.trusted, s.n);
        o->taint.len += s.n;
        o->taint.data[o->taint.len] = 0;
    }
    return true;
}

/* What o holds, as a text of the arena. */
static bool captured(struct jrun *r, const struct jout *o, struct jstr *out)
{
    *out = (struct jstr){NULL, NULL, (uint32_t)o->text.len, false, false};
    char *p = jnew(r, o->text.len + 1, 1);
    uint8_t *t = p ? jnew(r, o->text.len + 1, 1) : NULL;
    if (t && o->text.len) {
        memcpy(p, o->text.data, o->text.len);
        memcpy(t, o->taint.data, o->taint.len);
    }
    out->p = p, out->taint = t;
    return t != NULL;
}

bool jcapture(struct jrun *r, const struct jnode *list, struct jframe *frame, struct jstr *out)
{
    struct jframe *f = r->frame;
    struct jout *before = r->out, o;
    jout_init(&o, r->output_max);
    r->frame = frame;
    r->out = &o;
    bool ok = exec(r, list) != FLOW_FAIL;
    r->frame = f;
    r->out = before;
    ok = ok && captured(r, &o, out);
    jout_deinit(&o);
    return ok;
}

static bool print(struct jrun *r, const struct jnode *n)
{
    struct jval v;
    struct jstr s;
    return jeval(r, n->a, &v) && jto_str(r, &v, &s) && emit(r, s);
}

/* Puts v where a target says: a name, ns.name, or several names. */
static bool assign(struct jrun *r, const struct jnode *target, struct jval v)
{
    struct jval ns, *items;
    uint32_t n, i = 0;
    if (target->kind == X_LIST) {
        if (v.type == J_UNDEF || !jitems(r, &v, &items, &n))
            return jfail(r, "%s cannot be taken apart into several names", jtype_name(&v));
        for (const struct jnode *t = target->list; t; t = t->next, i++)
            if (i < n && !assign(r, t, items[i]))
                return false;
        return i == n || jfail(r, "%u names for %u values", i, n);
    }
    if (!target->a)
        return jbind(r, r->frame, target->name, v);
    if (!jlookup(r, target, &ns))
        return false;
    if (ns.type != J_NS)
        return jfail(r, "only namespaces can be changed, not %s", jtype_name(&ns));
    return jdict_set(r, ns.d, target->a->val, v);
}

static bool exec_set(struct jrun *r, const struct jnode *n)
{
    struct jval v;
    if (n->b)
        return jeval(r, n->b, &v) && assign(r, n->a, v);
    struct jframe *f = jnew(r, 1, sizeof *f);
    if (!f)
        return false;
    f->parent = r->frame;
    v.type = J_STR;
    return jcapture(r, n->list, f, &v.s) && (!n->c || jeval(r, n->c, &v)) && assign(r, n->a, v);
}

static enum flow exec_if(struct jrun *r, const struct jnode *n)
{
    for (const struct jnode *b = n->list; b; b = b->next) {
        struct jval is = jbool(true);
        if (b->a && !jeval(r, b->a, &is))
            return FLOW_FAIL;
        if (jtruthy(&is))
            return exec(r, b->list);
    }
    return FLOW_ON;
}

/* The items for which `for ... if c` holds; the target is bound in the frame of the loop meanwhile. */
static bool keep(struct jrun *r, const struct jnode *n, struct jval **items, uint32_t *count)
{
    struct jval *kept = jnew(r, *count, sizeof *kept);
    uint32_t k = 0;
    if (!kept)
        return false;
    for (uint32_t i = 0; i < *count; i++) {
        struct jval is;
        r->frame->n = 0;
        if (!assign(r, n->a, (*items)[i]) || !jeval(r, n->c, &is))
            return false;
        if (jtruthy(&is))
            kept[k++] = (*items)[i];
    }
    *items = kept;
    *count = k;
    return true;
}

/* The rounds of a loop in the frame that is current. Else runs when no round came to its end: that is how Jinja2 compiles it. */
static enum flow run_loop(struct jrun *r, struct jloop *loop)
{
    const struct jnode *n = loop->node;
    bool through = false;
    enum flow flow = FLOW_ON;
    for (; loop->i < loop->n && flow != FLOW_BREAK; loop->i++) {
        r->frame->n = 0; /* what the last round set is gone */
        if (!jbind(r, r->frame, r->loop_name, (struct jval){.type = J_LOOP, .loop = loop}) || !assign(r, n->a, loop->items[loop->i]))
            return FLOW_FAIL;
        flow = exec(r, n->list);
        if (flow == FLOW_FAIL)
            return flow;
        through |= flow == FLOW_ON;
    }
    return through ? FLOW_ON : exec(r, n->other);
}

static enum flow loop_over(struct jrun *r, const struct jnode *n, struct jframe *outer, const struct jval *seq, uint32_t depth0)
{
    struct jval *items;
    uint32_t count;
    struct jframe *before = r->frame, *f;
    struct jloop *loop;
    if (!jitems(r, seq, &items, &count) || !(f = jnew(r, 1, sizeof *f)) || !(loop = jnew(r, 1, sizeof *loop)))
        return FLOW_FAIL;
    f->parent = outer;
    r->frame = f;
    enum flow flow = FLOW_FAIL;
    if (!n->c || keep(r, n, &items, &count)) {
        *loop = (struct jloop){.items = items, .n = count, .depth0 = depth0, .node = n, .outer = outer};
        flow = run_loop(r, loop);
    }
    r->frame = before;
    return flow;
}

static enum flow exec_for(struct jrun *r, const struct jnode *n)
{
    struct jval seq;
    if (!jeval(r, n->b, &seq))
        return FLOW_FAIL;
    if (seq.type == J_NONE) /* more lenient than Jinja: templates for tools loop over tools, which are none in a plain chat */
        seq = jundef(jstr_lit("none"));
    return loop_over(r, n, r->frame, &seq, 0);
}

bool jloop_call(struct jrun *r, const struct jloop *l, const struct jargs *a, struct jval *out)
{
    struct jout *before = r->out, o;
    if (!l->node->op)
        return jfail(r, "loop() of a loop that is not recursive; write {%% for ... recursive %%}");
    if (!jargs_fit(r, STR("loop"), a, "iterable", 1))
        return false;
    struct jval seq = a->n ? a->pos[0] : a->kw[0].v;
    if (++r->depth > JINJA_WALK_MAX)
        return jfail(r, "loops call one another too deeply");
    jout_init(&o, r->output_max);
    r->out = &o;
    bool ok = loop_over(r, l->node, l->outer, &seq, l->depth0 + 1) != FLOW_FAIL;
    r->out = before;
    r->depth--;
    out->type = J_STR;
    ok = ok && captured(r, &o, &out->s);
    jout_deinit(&o);
    return ok;
}

static bool macro_new(struct jrun *r, const struct jnode *n, const struct jnode *params, struct jstr name, struct jval *out)
{
    struct jmacro *m = jnew(r, 1, sizeof *m);
    if (!m)
        return false;
    *m = (struct jmacro){.params = params, .body = n->list, .hidden = n->op, .frame = r->frame, .name = name};
    *out = (struct jval){.type = J_MACRO, .m = m};
    return true;
}

static bool exec_macro(struct jrun *r, const struct jnode *n)
{
    struct jval m;
    return macro_new(r, n, n->a, n->val.s, &m) && jbind(r, r->frame, n->name, m);
}

/* {% call f(x) %}...{% endcall %}: f sees the body as caller(). */
static bool exec_call(struct jrun *r, const struct jnode *n)
{
    const struct jnode *last = n->a->kind == X_CHAIN ? n->a->list : NULL;
    struct jval f, with;
    struct jmacro *m;
    struct jargs args;
    struct jstr s;
    if (!last || last->next || last->kind != P_CALL)
        return jfail(r, "{%% call %%} takes a call of a macro");
    if (!jeval(r, n->a->a, &f) || !jargs_eval(r, last->list, &args))
        return false;
    if (f.type != J_MACRO || !(m = jnew(r, 1, sizeof *m)))
        return jfail(r, "{%% call %%} of %s", jtype_name(&f));
    *m = *f.m;
    if (!(m->hidden & MACRO_CALLER))
        return jfail(r, "{%% call %%} of the macro %.*s, which does not use caller()", (int)(m->name.n < 64 ? m->name.n : 64), m->name.p);
    m->has_caller = true;
    if (!macro_new(r, n, n->b, jstr_lit("caller"), &m->caller))
        return false;
    with = (struct jval){.type = J_MACRO, .m = m};
    return jcall(r, &with, &args, &f) && jto_str(r, &f, &s) && emit(r, s);
}

static bool exec_filter(struct jrun *r, const struct jnode *n)
{
    struct jval v = {.type = J_STR};
    struct jstr s;
    struct jframe *f = jnew(r, 1, sizeof *f);
    if (!f)
        return false;
    f->parent = r->frame;
    return jcapture(r, n->list, f, &v.s) && jeval(r, n->a, &v) && jto_str(r, &v, &s) && emit(r, s);
}

/* with: its values see the names outside, its body also those that it sets. */
static enum flow exec_with(struct jrun *r, const struct jnode *n)
{
    struct jframe *before = r->frame, *f = jnew(r, 1, sizeof *f);
    if (!f)
        return FLOW_FAIL;
    f->parent = before;
    for (const struct jnode *s = n->a; s; s = s->next) {
        struct jval v;
        if (!jeval(r, s->b, &v))
            return FLOW_FAIL;
        r->frame = f;
        bool ok = assign(r, s->a, v);
        r->frame = before;
        if (!ok)
            return FLOW_FAIL;
    }
    r->frame = f;
    enum flow flow = exec(r, n->list);
    r->frame = before;
    return flow;
}

static enum flow flow_of(bool ok)
{
    return ok ? FLOW_ON : FLOW_FAIL;
}

static enum flow exec_one(struct jrun *r, const struct jnode *n)
{
    switch (n->kind) {
    case S_TEXT: return flow_of(emit(r, n->val.s));
    case S_PRINT: return flow_of(print(r, n));
    case S_IF: return exec_if(r, n);
    case S_FOR: return exec_for(r, n);
    case S_SET: return flow_of(exec_set(r, n));
    case S_MACRO: return flow_of(exec_macro(r, n));
    case S_CALL: return flow_of(exec_call(r, n));
    case S_FILTER: return flow_of(exec_filter(r, n));
    case S_BREAK: return FLOW_BREAK;
    case S_CONTINUE: return FLOW_CONTINUE;
    case S_BLOCK: return exec(r, n->list);
    case S_WITH: return exec_with(r, n);
    default: return flow_of(jfail(r, "a statement of unknown kind"));
    }
}

static enum flow exec(struct jrun *r, const struct jnode *list)
{
    enum flow flow = FLOW_ON;
    if (++r->depth > JINJA_WALK_MAX)
        return flow_of(jfail(r, "macros call one another too deeply"));
    for (const struct jnode *n = list; n && flow == FLOW_ON; n = n->next) {
        r->line = n->line;
        flow = jstep(r, 1) ? exec_one(r, n) : FLOW_FAIL;
    }
    r->depth--;
    return flow;
}

bool jexec(struct jrun *r, const struct jnode *list)
{
    return exec(r, list) != FLOW_FAIL;
}
