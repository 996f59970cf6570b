#include "api/choices.h"
#include "api/answer.h"

/* ---- a plain answer ---- */

static void reply(struct call *c)
{
    const struct choices_form *f = c->wire->form;
    struct jw w;
    answer_scratch(c, &w);
    answer_head(&w, c, f->prefix, f->object);
    jw_key(&w, "choices");
    jw_arr(&w);
    for (uint32_t i = 0; i < c->n_choices; i++) {
        jw_obj(&w);
        f->whole(&w, &c->choices[i]);
        answer_finish(&w, &c->choices[i]);
        jw_obj_end(&w);
    }
    jw_arr_end(&w);
    answer_usage(&w, c);
    jw_obj_end(&w);
    answer_reply(c);
}

/* ---- a streamed answer ---- */

static void send_chunk(struct choice *ch, enum choices_part part, const char *p, size_t n)
{
    struct call *c = ch->call;
    const struct choices_form *f = c->wire->form;
    struct jw w;
    answer_scratch(c, &w);
    answer_head(&w, c, f->prefix, f->chunk);
    jw_key(&w, "choices");
    jw_arr(&w);
    jw_obj(&w);
    f->part(&w, ch, part, p, n);
    if (part == CHOICES_LAST)
        answer_finish(&w, ch);
    else
        jw_key(&w, "finish_reason"), jw_null(&w);
    jw_obj_end(&w);
    jw_arr_end(&w);
    if (c->q.include_usage)
        jw_key(&w, "usage"), jw_null(&w);
    else if (part == CHOICES_LAST && !c->n_live)
        answer_bill(&w, c);
    jw_obj_end(&w);
    answer_event(c);
}

static void send_usage(struct call *c)
{
    struct jw w;
    answer_scratch(c, &w);
    answer_head(&w, c, c->wire->form->prefix, c->wire->form->chunk);
    jw_key(&w, "choices");
    jw_arr(&w);
    jw_arr_end(&w);
    answer_usage(&w, c);
    jw_obj_end(&w);
    answer_event(c);
}

/* ---- what call.c calls ---- */

void choices_open(struct call *c)
{
    if (!c->q.stream)
        return;
    answer_open(c);
    for (uint32_t i = 0; c->wire->form->first && i < c->n_choices && c->r; i++)
        send_chunk(&c->choices[i], CHOICES_FIRST, "", 0);
}

void choices_text(struct choice *ch, const char *p, size_t n)
{
    if (ch->call->q.stream)
        send_chunk(ch, CHOICES_TEXT, p, n);
    else
        buf_add(&ch->text, p, n);
}

void choices_ended(struct choice *ch)
{
    if (ch->call->q.stream)
        send_chunk(ch, CHOICES_LAST, "", 0);
}

void choices_done(struct call *c, struct choice *last)
{
    if (!c->q.stream) {
        reply(c);
        return;
    }
    send_chunk(last, CHOICES_LAST, "", 0);
    if (c->q.include_usage)
        send_usage(c);
    answer_end(c);
}
