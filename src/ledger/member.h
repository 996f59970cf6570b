/* People: who is a member of which account in which role, and the sessions of those who have signed in.
 *
 * A person is an identity that a provider has told us of: (issuer, subject). A member is a row of an account: an address with a role. A row that
 * nobody has taken yet is an invitation: the first identity with this address, verified by the provider, takes it for good. The provider's groups
 * may say who is a member too: those rows follow the groups at each sign-in. */
#pragma once
#include "ledger/ledger.h"

/* Each may do what those before it may. */
enum role { ROLE_NONE, ROLE_VIEWER, ROLE_DEVELOPER, ROLE_ADMIN, ROLE_OWNER, ROLE_COUNT };
extern const char *const role_names[ROLE_COUNT];
enum role role_named(struct str name); /* ROLE_NONE: there is none of this name */

enum { LEDGER_EMAIL_MAX = 255, SESSION_TOKEN_MAX = 2 * 32 + 1 };

/* Adds a member, or changes the role of one. by: the role of who does it: nobody gives or takes a role above the own one; the operator is
 * ROLE_OWNER. The last owner of an account cannot be made less, or go. [wait] */
int ledger_member_set(struct ledger *l, struct org_id org, const char *email, enum role role, enum role by, struct err *e) MUST_USE;
int ledger_member_rm(struct ledger *l, struct org_id org, const char *email, enum role by, struct err *e) MUST_USE;
int ledger_report_members(struct ledger *l, const char *account, struct buf *out, struct err *e) MUST_USE; /* NULL: all [wait] */

/* Who signs in, as the provider says. */
struct identity {
    const char *issuer, *subject;
    const char *email; /* that the provider has verified; NULL: none */
    struct str *groups;
    size_t n_groups;
};
/* "GROUP=ACCOUNT:ROLE, ...": what a provider's group is here; and whether strangers may open an account. */
struct sign_in_rules {
    const char *groups;
    bool signup;        /* an identity with a verified address and no account may open one, once */
    struct money grant; /* free credit for it */
    uint32_t seconds;   /* that a session lasts */
};
/* Checks the text of a setting; accounts may be made later. */
int ledger_groups_check(const char *groups, struct err *e) MUST_USE;
/* Takes the rows that are this identity's, follows its groups, opens an account when that is allowed, and begins a session. ERR_FORBIDDEN: it is
 * nobody's member. [wait] */
int ledger_sign_in(struct ledger *l, const struct identity *who, const struct sign_in_rules *rules, char token[SESSION_TOKEN_MAX],
                   struct err *e) MUST_USE;

/* Who a session's token belongs to. */
struct signed_in {
    int64_t person;
    enum role role; /* in the account; ROLE_NONE: it is no member of it */
    char email[LEDGER_EMAIL_MAX];
};
/* account: its name; empty: the only one of which the person is a member. who: without a key; its org is 0 when no account is meant. The same
 * ERR_AUTH text for a token that is missing, unknown and over. [any] */
int ledger_session(struct ledger *l, struct str token, struct str account, struct signed_in *out, struct principal *who, struct err *e) MUST_USE;
int ledger_session_end(struct ledger *l, struct str token, struct err *e) MUST_USE;               /* [wait] */
int ledger_sessions_end(struct ledger *l, const char *email, int64_t *n, struct err *e) MUST_USE; /* of everybody with this address [wait] */
/* {"email":, "accounts": [{"account":, "role":}]} [any] */
void ledger_report_person(struct ledger *l, const struct signed_in *who, struct buf *out);
/* An HMAC-SHA256 under the data folder's secret, for a purpose of the api's. [any] */
void ledger_mac(struct ledger *l, const char *purpose, struct str text, struct sha256 *out);
