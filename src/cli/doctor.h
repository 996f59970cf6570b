/* sluice doctor: what is wrong with this set-up, and the mend. A check is one function and one line in doctor.def; it says what it saw with
 * doctor_say, once or more often. */
#pragma once
#include "cli/cli_int.h"
#include "hub/hub.h"

enum verdict { DOCTOR_OK, DOCTOR_SKIP, DOCTOR_WARN, DOCTOR_FAIL };
struct doctor {
    const struct cli *c;
    char              data[PATH_LEN];
    char              root[PATH_LEN]; /* before /proc, /sys, /etc and /run: "" but in tests ($SLUICE_DOCTOR_ROOT) */
    struct settings  *settings;       /* NULL: they cannot be read */
    struct err        settings_err;
    bool              serving;        /* a server answers at DATA/admin.sock */
    const char       *check;          /* the name of the one that runs */
    struct jw         out;            /* an array of {check, verdict, text, mend} */
    unsigned          count[DOCTOR_FAIL + 1];
};
/* mend: what to do about it; "" for DOCTOR_OK and DOCTOR_SKIP. */
void doctor_say(struct doctor *d, enum verdict v, const char *mend, const char *fmt, ...) PRINTF(4, 5);
bool doctor_path(const struct doctor *d, char out[PATH_LEN], const char *in_data); /* a path in the data folder, when it is there */

#define CHECK(name, fn) void fn(struct doctor *d);
#include "cli/doctor.def"
#undef CHECK
