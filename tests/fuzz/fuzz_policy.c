/* A revenue policy from anywhere: what parses says of every use what it is, and of every model its product line; a fault names the parameter. */
#include "ledger/policy.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static const char *const models[] = {"", "m", "guide", "llama-3", "*"};
    struct policy policy;
    struct err e = {0};
    if (policy_parse(&policy, (struct str){(const char *)p, n}, &e) < 0) {
        ASSERT(e.code == ERR_BAD_VALUE && e.msg[0] && !strcmp(e.param, "policy") && !policy.use.n && !policy.product.n);
        return 0;
    }
    ASSERT(n <= POLICY_TEXT_MAX && policy.use.n + policy.product.n <= POLICY_RULES_MAX + 1 && policy.machine_hour >= 0);
    for (int f = 0; f < FUNDING_COUNT; f++)
        for (int s = 0; s < SCOPE_COUNT; s++)
            ASSERT(policy_use_of(&policy, f, s) < TREATMENTS);
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        for (int s = 0; s < SCOPE_COUNT; s++) {
            const struct policy_product *t = policy_product_of(&policy, models[i], s);
            ASSERT(t->segment[0] && t->product[0] && strlen(t->segment) < POLICY_WORD_MAX && strlen(t->product) < POLICY_WORD_MAX);
        }
    policy_deinit(&policy);
    return 0;
}
