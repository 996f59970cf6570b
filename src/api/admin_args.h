/* Private to api/: what the operator's acts (admin_*.c) share. Arguments are an object of strings (and numbers), or NULL; errors name the field. */
#pragma once
#include "api/api_int.h"

/* The rows of admin.def. */
#define ADMIN(name, method, path) int admin_##name(struct ledger *l, const struct json *args, struct buf *out, struct err *e) MUST_USE;
#include "api/admin.def"
#undef ADMIN

/* *out: NULL when it is not there; the text lives as long as args. */
int arg_text(const struct json *args, const char *name, bool needed, const char **out, struct err *e) MUST_USE;
/* Not negative. */
int arg_money(const struct json *args, const char *name, struct money dflt, bool needed, struct money *out, struct err *e) MUST_USE;
/* Microseconds since 1970; 0 when it is not there. */
int arg_date(const struct json *args, const char *name, int64_t *out, struct err *e) MUST_USE;
/* An integer as a number or, from a query, as text. */
int arg_int(const struct json *args, const char *name, int64_t min, int64_t max, int64_t dflt, int64_t *out, struct err *e) MUST_USE;
bool arg_given(const struct json *args, const char *name);
/* The account of the argument "account", by its name. */
int arg_account(struct ledger *l, const struct json *args, struct org_id *out, struct err *e) MUST_USE;
int arg_grant(const struct json *args, struct grant_id *out, struct err *e) MUST_USE;
/* Who, why, and the key under which it is done once. */
int arg_deed(const struct json *args, struct deed *out, struct err *e) MUST_USE;

/* Of an act that a member asks for (member.c): the member's role, which the route puts in. */
#define MEMBER_ROLE_ARG "by_role"

/* admin_reserve.c: the ledger learns how fast the models are, which it sells against. Loop thread. */
void admin_tell_speeds(struct api *a);

/* The answer {key: value}. */
void reply_field(struct buf *out, const char *key, const char *value);
void reply_id(struct buf *out, const char *key, int64_t value);
