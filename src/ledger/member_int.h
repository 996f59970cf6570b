/* Inside member.c, session.c and sign_in.c. */
#pragma once
#include "ledger/ledger_int.h"
#include "ledger/member.h"

struct membership {
    struct org *org;
    enum role role;
};
/* Of a person with a session. Under lock; the ledger thread alone changes it. */
struct person {
    int64_t id;
    char email[LEDGER_EMAIL_MAX];
    struct VEC(struct membership) in;
};
struct session {
    int64_t expires_us; /* 0: it was ended */
    struct person *of;
};

/* Reads what the store says of a person with sessions into memory; of others nothing. Ledger thread. */
int person_view(struct ledger *l, int64_t id, struct err *e) MUST_USE;
struct person *person_find(const struct ledger *l, int64_t id);
struct person *person_make(struct ledger *l, int64_t id, struct err *e); /* found, or made and read */
int session_begin(struct ledger *l, int64_t person, uint32_t seconds, char token[SESSION_TOKEN_MAX], struct err *e) MUST_USE;
/* In small letters; false: it is no address. */
bool email_fold(char out[LEDGER_EMAIL_MAX], struct str email);
