/* The route table: rows compiled once, best row first; a request is matched once, on its decoded path segments. */
#pragma once
#include "net/http1.h"
#include "net/server.h"

enum { ROUTE_PARAMS_MAX = 8, ROUTE_SEGMENTS_MAX = 24 };

struct route_table;

/* A matched path: out as http1_path made it; param[i] is the i-th parameter of the row's pattern. */
struct route_match {
    const struct route *route;
    struct http1_span   param[ROUTE_PARAMS_MAX];
    unsigned            allow; /* when route is NULL: a bit (1 << method) for each method that the path has; 0: no such path */
};

int  route_table_new(struct route_table **out, const struct route *rows, size_t n, struct err *e) MUST_USE;
void route_table_free(struct route_table *t);
/* path: the decoded segments joined by '/', where each lies, and how many there are. HEAD falls back to GET. */
void route_match(const struct route_table *t, enum http_method m, const char *path, const struct http1_span *seg, int n, struct route_match *out);
/* Which parameter of the pattern has this name: 0 .., or -1. */
int route_param(const struct route *r, const char *name);
