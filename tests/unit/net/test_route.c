/* Which row answers a path, and what its parameters are. */
#include "base/err.h"
#include "net/route.h"
#include "test.h"

static void f(struct http *r, void *app) { (void)r, (void)app; }

static const struct route rows[] = {
    {HTTP_GET, "/v1/models/{model*}", 0, f},  {HTTP_GET, "/", 0, f},
    {HTTP_GET, "/v1/models", 0, f},           {HTTP_DELETE, "/v1/models/{model*}", 0, f},
    {HTTP_GET, "/v1/{kind}/list", 0, f},      {HTTP_GET, "/v1/models/list", 0, f},
    {HTTP_POST, "/v1/{kind}/{id}/x", 0, f},   {HTTP_HEAD, "/v1/models", 0, f},
    {HTTP_POST, "/v1/files/{id}/text", 0, f}, {HTTP_GET, "/assets/{file}", 0, f},
};

static struct route_match m;
static char               decoded[512];

/* "PATTERN name=value ..." of the row that answers, or "404", or "405 bits". */
static const char *route(enum http_method method, const char *path, const char *param)
{
    static char         text[700];
    struct route_table *t;
    struct err          e;
    struct http1_span   seg[HTTP1_SEGMENTS_MAX];
    if (route_table_new(&t, rows, sizeof rows / sizeof *rows, &e) != 0)
        return "no table";
    int n = http1_path(str_of(path), decoded, seg);
    route_match(t, method, decoded, seg, n, &m);
    if (!m.route)
        snprintf(text, sizeof text, m.allow ? "405 %u" : "404", m.allow);
    else if (!param)
        snprintf(text, sizeof text, "%s", m.route->pattern);
    else {
        int i = route_param(m.route, param);
        snprintf(text, sizeof text, "%s %s=%.*s", m.route->pattern, param, i < 0 ? 1 : m.param[i].n, i < 0 ? "-" : decoded + m.param[i].at);
    }
    route_table_free(t);
    return text;
}

#define IS(method, path, param, want) CHECK_MSG(strcmp(route(method, path, param), want) == 0, "%s", route(method, path, param))

TEST(literals_win)
{
    IS(HTTP_GET, "/v1/models/list", NULL, "/v1/models/list");
    IS(HTTP_GET, "/v1/files/list", "kind", "/v1/{kind}/list kind=files");
    IS(HTTP_GET, "/v1/models/other", "model", "/v1/models/{model*} model=other");
    IS(HTTP_POST, "/v1/files/7/text", "id", "/v1/files/{id}/text id=7");
    IS(HTTP_POST, "/v1/x/7/x", "id", "/v1/{kind}/{id}/x id=7");
    IS(HTTP_POST, "/v1/x/7/x", "kind", "/v1/{kind}/{id}/x kind=x");
    IS(HTTP_POST, "/v1/x/7/x", "nope", "/v1/{kind}/{id}/x nope=-");
}

TEST(the_rest)
{
    IS(HTTP_GET, "/v1/models/org/name", "model", "/v1/models/{model*} model=org/name");
    IS(HTTP_GET, "/v1/models/org%2Fname", "model", "/v1/models/{model*} model=org/name");
    IS(HTTP_GET, "/v1/models/a/b%2fc/d", "model", "/v1/models/{model*} model=a/b/c/d");
    IS(HTTP_GET, "/v1/models/list/x", "model", "/v1/models/{model*} model=list/x");
    IS(HTTP_GET, "/assets/a.js", "file", "/assets/{file} file=a.js");
    IS(HTTP_GET, "/assets/a/b.js", NULL, "404");
}

TEST(not_found)
{
    IS(HTTP_GET, "/", NULL, "/");
    IS(HTTP_GET, "/v1", NULL, "404");
    IS(HTTP_GET, "/v1/models/", NULL, "404");
    IS(HTTP_GET, "/v1/models//", NULL, "404");
    IS(HTTP_GET, "/v1/models/a//b", NULL, "404");
    IS(HTTP_GET, "//v1/models", NULL, "404");
    IS(HTTP_GET, "/V1/models", NULL, "404");
    IS(HTTP_GET, "/assets//", NULL, "404");
}

TEST(methods)
{
    char want[32];
    snprintf(want, sizeof want, "405 %u", 1u << HTTP_GET | 1u << HTTP_HEAD | 1u << HTTP_DELETE);
    IS(HTTP_POST, "/v1/models/x", NULL, want);
    snprintf(want, sizeof want, "405 %u", 1u << HTTP_GET | 1u << HTTP_HEAD);
    IS(HTTP_OTHER, "/", NULL, want);
    IS(HTTP_OPTIONS, "/", NULL, want);
    IS(HTTP_DELETE, "/v1/models/list", "model", "/v1/models/{model*} model=list");
    IS(HTTP_HEAD, "/", NULL, "/");
    CHECK(m.route->method == HTTP_GET);
    IS(HTTP_HEAD, "/v1/models", NULL, "/v1/models");
    CHECK(m.route->method == HTTP_HEAD);
}

TEST(bad_patterns)
{
    static const struct route bad[] = {{HTTP_GET, "", 0, f}, {HTTP_GET, "x", 0, f}, {HTTP_GET, "/{a*}/b", 0, f}, {HTTP_GET, "/x", 0, NULL},
                                       {HTTP_GET, "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}", 0, f}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct route_table *t;
        struct err          e;
        CHECK_MSG(route_table_new(&t, &bad[i], 1, &e) == -ERR_INTERNAL && strncmp(e.msg, "net: route", 10) == 0, "%zu", i);
    }
}

TEST_MAIN()
