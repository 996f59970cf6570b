/* What the operator reads of charges, the audit and the backup. */
#include "api/admin_args.h"

/* Of any account's request. */
int admin_receipt(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    const char *id;
    char request[REQUEST_NAME_MAX];
    int rc;
    if ((rc = arg_text(args, "request", true, &id, e)) < 0 || (rc = request_name(request, str_of(id), "request", e)) < 0)
        return rc;
    return ledger_receipt(l, request, NULL, out, e);
}

/* Differences are an answer, not a failure: {"differences": n, "report": text}. */
int admin_audit(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct buf report;
    uint64_t n = 0;
    struct jw w;
    (void)args;
    buf_init(&report, 16 << 20);
    int rc = ledger_audit(l, &report, &n, e);
    if (rc >= 0 || rc == -ERR_AUDIT) {
        jw_init(&w, out);
        jw_obj(&w);
        jw_key(&w, "differences"), jw_u64(&w, n);
        jw_key(&w, "report"), jw_strn(&w, report.data ? report.data : "", report.len);
        jw_obj_end(&w);
        if (e)
            e->code = ERR_OK;
        rc = 0;
    }
    buf_deinit(&report);
    return rc;
}

/* A copy of the ledger, consistent at one moment, in the data folder: sluice backup takes it from there. */
int admin_backup(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    (void)args;
    int rc = ledger_stage(l, e);
    if (rc >= 0)
        reply_field(out, "stage", LEDGER_STAGE);
    return rc;
}
