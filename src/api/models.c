/* GET /v1/models and /v1/models/{model}. */
#include "api/api_int.h"

bool model_allowed(struct api *a, const struct principal *who, const struct backend_model *m)
{
    return who->all_models || ledger_key_model(a->ledger, who->key, str_of(m->alias));
}

const struct backend_model *model_for(struct api *a, const struct principal *who, struct str name, struct err *e)
{
    const struct backend_model *m = a->backend.model_find(a->backend.self, name);
    if (m && model_allowed(a, who, m))
        return m;
    err_param(e, ERR_NO_MODEL, "model", "the model %.*s does not exist, or this key may not use it; GET /v1/models lists those that it may",
              (int)(name.n < 255 ? name.n : 255), name.p);
    return NULL;
}

static void put_model(struct jw *w, struct api *a, const struct backend_model *m)
{
    struct backend_model_status st = {.state = "loaded"};
    if (a->backend.model_status)
        a->backend.model_status(a->backend.self, m, &st);
    else
        st.n_ctx = m->n_ctx;
    jw_obj(w);
    jw_key(w, "id"), jw_str(w, m->alias);
    jw_key(w, "object"), jw_str(w, "model");
    jw_key(w, "created"), jw_i64(w, m->created_us / 1000000);
    jw_key(w, "owned_by"), jw_str(w, "sluice");
    if (st.n_ctx) /* not known before the first load */
        jw_key(w, "context_length"), jw_u64(w, st.n_ctx);
    jw_key(w, "state"), jw_str(w, st.state);
    jw_obj_end(w);
}

static void send(struct api *a, struct http *r, const char *route)
{
    if (a->scratch.failed) {
        struct err e;
        err_set(&e, ERR_NO_MEMORY, "out of memory");
        errors_reply(r, &e);
        return;
    }
    log_answer(r, route, 200);
    http_reply(r, 200, "application/json", a->scratch.data, a->scratch.len);
}

void route_models(struct http *r, void *app)
{
    struct api *a = app;
    const struct principal *who = http_user(r);
    struct jw w;
    buf_clear(&a->scratch);
    jw_init(&w, &a->scratch);
    jw_obj(&w);
    jw_key(&w, "object"), jw_str(&w, "list");
    jw_key(&w, "data");
    jw_arr(&w);
    for (size_t i = 0; i < a->backend.n_models(a->backend.self); i++) {
        const struct backend_model *m = a->backend.model_at(a->backend.self, i);
        if (model_allowed(a, who, m))
            put_model(&w, a, m);
    }
    jw_arr_end(&w);
    jw_obj_end(&w);
    send(a, r, "models");
}

void route_model(struct http *r, void *app)
{
    struct api *a = app;
    struct err e;
    const struct backend_model *m = model_for(a, http_user(r), http_param(r, "model"), &e);
    struct jw w;
    if (!m) {
        errors_reply(r, &e);
        return;
    }
    buf_clear(&a->scratch);
    jw_init(&w, &a->scratch);
    put_model(&w, a, m);
    send(a, r, "model");
}
