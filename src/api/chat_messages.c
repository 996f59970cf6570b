#include "api/chat.h"

static const char *const roles[][2] = {{"system", "system"}, {"developer", "system"}, {"user", "user"}, {"assistant", "assistant"}};

static const char *role_of(struct str s)
{
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++)
        if (str_eqz(s, roles[i][0]))
            return roles[i][1];
    return NULL;
}

static int read_role(const struct json *m, size_t i, const char **out, struct err *e)
{
    char at[64];
    const struct json *role = json_get(m, "role");
    str_fmt(at, sizeof at, "messages[%zu].role", i);
    if (json_type(role) != JSON_STR)
        return err_param(e, ERR_BAD_REQUEST, at, "%s must be a string, not %s", at, json_type_name(role));
    *out = role_of(json_str(role));
    if (*out)
        return 0;
    bool later = str_eqz(json_str(role), "tool") || str_eqz(json_str(role), "function");
    return later ? err_param(e, ERR_UNSUPPORTED, at, "%s: tool messages are not supported yet", at)
                 : err_param(e, ERR_BAD_VALUE, at, "%s must be system, developer, user or assistant", at);
}

/* Text parts are joined. */
static int read_parts(const struct json *parts, const char *at, struct buf *text, struct err *e)
{
    for (size_t k = 0; k < json_len(parts); k++) {
        const struct json *part = json_at(parts, k), *type = json_get(part, "type"), *t = json_get(part, "text");
        if (json_type(part) != JSON_OBJ || json_type(type) != JSON_STR)
            return err_param(e, ERR_BAD_REQUEST, at, "%s[%zu] must be an object with a type", at, k);
        if (!str_eqz(json_str(type), "text"))
            return err_param(e, ERR_UNSUPPORTED, at, "%s[%zu]: only parts of the type text are supported yet", at, k);
        if (json_type(t) != JSON_STR)
            return err_param(e, ERR_BAD_REQUEST, at, "%s[%zu].text must be a string, not %s", at, k, json_type_name(t));
        buf_add(text, json_str(t).p, json_str(t).n);
    }
    return json_len(parts) ? 0 : err_param(e, ERR_BAD_VALUE, at, "%s is an empty array", at);
}

static int read_message(const struct json *m, size_t i, struct jw *w, struct err *e)
{
    char at[64];
    const char *role;
    str_fmt(at, sizeof at, "messages[%zu]", i);
    if (json_type(m) != JSON_OBJ)
        return err_param(e, ERR_BAD_REQUEST, at, "%s must be an object, not %s", at, json_type_name(m));
    int rc = read_role(m, i, &role, e);
    if (rc < 0)
        return rc;
    const struct json *calls = json_get(m, "tool_calls"), *content = json_get(m, "content");
    if (json_len(calls) || json_type(json_get(m, "function_call")) != JSON_NULL)
        return err_param(e, ERR_UNSUPPORTED, at, "%s: tool calls are not supported yet", at);
    str_fmt(at, sizeof at, "messages[%zu].content", i);
    jw_obj(w);
    jw_key(w, "role"), jw_str(w, role);
    jw_key(w, "content");
    if (json_type(content) == JSON_STR) {
        jw_strn(w, json_str(content).p, json_str(content).n);
    } else if (json_type(content) == JSON_ARR) {
        struct buf text;
        buf_init(&text, JSON_BYTES_MAX);
        rc = read_parts(content, at, &text, e);
        jw_strn(w, text.data ? text.data : "", text.len);
        buf_deinit(&text);
    } else {
        rc = err_param(e, ERR_BAD_REQUEST, at, "%s must be a string or an array of text parts, not %s", at, json_type_name(content));
    }
    jw_obj_end(w);
    return rc;
}

int chat_messages(const struct json *in, struct json **out, struct err *e)
{
    struct buf b;
    struct jw w;
    int rc = 0;
    buf_init(&b, JSON_BYTES_MAX);
    jw_init(&w, &b);
    jw_arr(&w);
    for (size_t i = 0; i < json_len(in) && rc >= 0; i++)
        rc = read_message(json_at(in, i), i, &w, e);
    jw_arr_end(&w);
    if (rc >= 0)
        rc = b.failed ? err_param(e, ERR_TOO_LARGE, "messages", "the messages are too large") : json_parse(out, b.data, b.len, e);
    buf_deinit(&b);
    return rc;
}
