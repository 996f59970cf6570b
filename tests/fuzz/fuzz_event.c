/* Events of jobs as anybody may send them: what is taken is complete, within its bounds, and read the same twice. */
#include "base/json.h"
#include "ledger/job.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static struct job_event v, again;
    struct json *j = NULL;
    struct err e = {0};
    if (json_parse(&j, (const char *)p, n, &e) < 0)
        return 0;
    if (job_event_read(&v, j, &e) < 0) {
        ASSERT(e.code && e.msg[0]);
    } else {
        bool makes = v.type == JOB_OPEN || v.type == JOB_USAGE;
        ASSERT(v.id[0] && v.source[0] && (v.subject[0] || v.type == JOB_USAGE) && (makes == (v.model[0] != 0)));
        ASSERT(!v.lease_us || (v.lease_us >= JOB_LEASE_MIN_US && v.lease_us <= JOB_LEASE_MAX_US));
        for (int i = 0; i < METER_COUNT; i++)
            ASSERT(v.most.of[i] <= 2 * JOB_QUANTITY_MAX && v.used.of[i] <= 2 * JOB_QUANTITY_MAX &&
                   (!(v.most.of[i] | v.used.of[i]) || meters[i].scope == v.scope));
        ASSERT(job_event_read(&again, j, &e) == 0 && memcmp(&v, &again, sizeof v) == 0);
    }
    json_free(j);
    return 0;
}
