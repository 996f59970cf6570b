/* The revenue policy as its text says it: rules in order, the first that fits is used. */
#pragma once
#include "ledger/report_int.h"

enum treatment {
    TREAT_REVENUE, /* all of it is recognised */
    TREAT_CASH,    /* the part that was paid for is recognised, the rest is contra */
    TREAT_CONTRA,  /* all of it is contra */
    TREAT_MEMO,    /* told beside revenue */
    TREATMENTS
};
enum { POLICY_TEXT_MAX = 64 << 10, POLICY_RULES_MAX = 500, POLICY_WORD_MAX = 64 };
struct policy_use { int funding, scope; enum treatment how; }; /* scope SCOPE_ANY: every one */
struct policy_product {
    char model[LEDGER_NAME_MAX]; /* an alias, "*", or with * at its end */
    int scope;
    char segment[POLICY_WORD_MAX], product[POLICY_WORD_MAX];
    bool ai;
};
struct policy_publisher { char model[LEDGER_NAME_MAX]; bool principal; };
struct policy {
    int64_t version;
    struct VEC(struct policy_use) use;
    struct VEC(struct policy_product) product;
    struct VEC(struct policy_publisher) publisher;
    bool breakage[FUNDING_COUNT]; /* expired credit's cash is revenue */
    int64_t machine_hour;         /* nano-units */
    int64_t weight[CUBE_SUMS];    /* of a token's share of the machine, by CUBE_INPUT to CUBE_REASONING */
};
int policy_parse(struct policy *out, struct str text, struct err *e) MUST_USE; /* ERR_BAD_VALUE names the line */
void policy_deinit(struct policy *p);
int policy_load(struct policy *out, struct ledger *l, int64_t version, struct err *e) MUST_USE; /* within a report */
enum treatment policy_use_of(const struct policy *p, int funding, int scope);
/* Never NULL: the last rule catches all. */
const struct policy_product *policy_product_of(const struct policy *p, const char *model, int scope);
/* Whether revenue of a publisher's model is all of it (the publisher is a supplier), or what is left after its share, as the books have it. */
bool policy_principal(const struct policy *p, const char *model);
