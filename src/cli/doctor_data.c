/* The data folder: who owns it, who can read it, is there room, is the store sound and are the books right. */
#include "base/clock.h"
#include "base/os.h"
#include "cli/doctor.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

void doctor_settings(struct doctor *d)
{
    if (d->settings)
        doctor_say(d, DOCTOR_OK, "", "settings can be read (sluice serve --print-config shows them)");
    else
        doctor_say(d, DOCTOR_FAIL, "correct the line; sluice serve --help lists the settings", "%s", d->settings_err.msg);
}

void doctor_folder(struct doctor *d)
{
    struct stat st;
    if (stat(d->data, &st) != 0) {
        if (errno == ENOENT)
            doctor_say(d, DOCTOR_WARN, "sluice serve makes it; or name another with --data or SLUICE_DATA", "%s is not there", d->data);
        else
            doctor_say(d, DOCTOR_FAIL, "run as the user that owns it", "%s: %s", d->data, strerror(errno));
        return;
    }
    if (!S_ISDIR(st.st_mode))
        doctor_say(d, DOCTOR_FAIL, "name a folder with --data or SLUICE_DATA", "%s is no folder", d->data);
    else if (access(d->data, R_OK | W_OK | X_OK) != 0)
        doctor_say(d, DOCTOR_FAIL, "run as its owner, or chown it to the user that serves", "%s cannot be written by this user (uid %u; owner %u)",
                   d->data, geteuid(), st.st_uid);
    else if (st.st_mode & 0077)
        doctor_say(d, DOCTOR_FAIL, "chmod 0700 it", "%s can be opened by other users (mode %04o)", d->data, st.st_mode & 07777u);
    else
        doctor_say(d, DOCTOR_OK, "", "%s, mode %04o, owner %u", d->data, st.st_mode & 07777u, st.st_uid);
}

/* Files that only the server's user may read, and that belong to the folder's owner. */
void doctor_private(struct doctor *d)
{
    static const char *const names[] = {"secret", "ledger.db", "ledger.db-wal", "admin.sock", "demo.key", "journal"};
    struct stat folder, st;
    unsigned bad = 0, seen = 0;
    if (stat(d->data, &folder) != 0) {
        doctor_say(d, DOCTOR_SKIP, "", "there is no data folder yet");
        return;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[PATH_LEN];
        if (!doctor_path(d, path, names[i]) || stat(path, &st) != 0)
            continue;
        seen++;
        bool open = (st.st_mode & 0077) != 0 && strcmp(names[i], "ledger.db-wal") != 0;
        if (open && (folder.st_mode & 0077))
            bad++, doctor_say(d, DOCTOR_FAIL, "chmod 0600 it (0700 a folder); if it may have been read, rotate keys",
                              "%s can be read by other users (mode %04o)", path, st.st_mode & 07777u);
        else if (open && (strcmp(names[i], "secret") == 0 || strcmp(names[i], "demo.key") == 0))
            bad++, doctor_say(d, DOCTOR_FAIL, "chmod 0600 it", "%s can be read by other users once the folder is open to them (mode %04o)", path,
                              st.st_mode & 07777u);
        if (st.st_uid != folder.st_uid)
            bad++, doctor_say(d, DOCTOR_FAIL, "chown it to the folder's owner, or the server cannot use it", "%s belongs to uid %u, the folder to %u",
                              path, st.st_uid, folder.st_uid);
    }
    if (!bad)
        doctor_say(d, DOCTOR_OK, "", "%u files, none open to others", seen);
}

void doctor_disk(struct doctor *d)
{
    struct statvfs v;
    if (statvfs(os_exists(d->data) ? d->data : ".", &v) != 0) {
        doctor_say(d, DOCTOR_WARN, "look with: df -h", "the space cannot be found out: %s", strerror(errno));
        return;
    }
    uint64_t mib = (uint64_t)v.f_bavail * v.f_frsize >> 20;
    const char *least_text = d->root[0] ? getenv("SLUICE_DOCTOR_LEAST_MIB") : NULL; /* a test's full disk */
    uint64_t least = 256;
    if (least_text && !str_u64(str_of(least_text), &least))
        least = 256;
    if (v.f_flag & ST_RDONLY)
        doctor_say(d, DOCTOR_FAIL, "mount it for writing", "%s lies on a file system that is read-only", d->data);
    else if (mib < least)
        doctor_say(d, DOCTOR_FAIL, "free some, or move the data folder; a full disk stops billing, and so stops serving", "%llu MiB are free",
                   (unsigned long long)mib);
    else if (mib < 8 * least || (v.f_files && v.f_favail < 1000))
        doctor_say(d, DOCTOR_WARN, "free some soon", "%llu MiB and %llu files are free", (unsigned long long)mib, (unsigned long long)v.f_favail);
    else
        doctor_say(d, DOCTOR_OK, "", "%llu MiB are free", (unsigned long long)mib);
}

/* The URL of a shared ledger; "": it is in the data folder. */
static const char *store_of(const struct doctor *d)
{
    return d->settings ? settings_get(d->settings, "ledger") : "";
}

void doctor_store(struct doctor *d)
{
    struct ledger_health h;
    struct err e = {0};
    char stage[PATH_LEN];
    if (ledger_health(&h, d->data, store_of(d), &e) < 0)
        doctor_say(d, DOCTOR_FAIL, "restore a backup: sluice restore BACKUP --data NEW-FOLDER", "the store cannot be read: %s", e.msg);
    else if (!h.there)
        doctor_say(d, DOCTOR_SKIP, "", "there is no ledger yet; the first serve or account create makes it");
    else if (h.fault[0])
        doctor_say(d, DOCTOR_FAIL, "stop the server; restore a backup: sluice restore BACKUP --data NEW-FOLDER", "ledger.db is damaged: %s", h.fault);
    else if (h.version > h.known_version)
        doctor_say(d, DOCTOR_FAIL, "use the newer program again, or restore the backup from before the upgrade",
                   "the store has version %lld, this program knows %lld", (long long)h.version, (long long)h.known_version);
    else
        doctor_say(d, DOCTOR_OK, "", "sound, version %lld%s", (long long)h.version,
                   h.version < h.known_version ? " (the next start brings it up)" : "");
    if (doctor_path(d, stage, LEDGER_STAGE))
        doctor_say(d, DOCTOR_WARN, "if no backup is running, remove it: it holds a copy of the ledger", "%s was left by a backup", stage);
}

void doctor_audit(struct doctor *d)
{
    char path[PATH_LEN];
    struct json *j = NULL;
    struct err e = {0};
    if (!*store_of(d) && !doctor_path(d, path, "ledger.db")) {
        doctor_say(d, DOCTOR_SKIP, "", "there is no ledger yet");
        return;
    }
    if (admin_do(d->c, HTTP_GET, "/admin/audit", NULL, &j, &e) < 0)
        doctor_say(d, DOCTOR_FAIL, "mend what the message says, then: sluice audit", "the audit could not run: %s", e.msg);
    else if (json_int(json_get(j, "differences")) != 0)
        doctor_say(d, DOCTOR_FAIL, "keep the data folder as it is; compare with a backup; sluice audit lists every difference",
                   "%lld differences in the books", (long long)json_int(json_get(j, "differences")));
    else
        doctor_say(d, DOCTOR_OK, "", "every balance follows from its rows");
    json_free(j);
}

void doctor_clock(struct doctor *d)
{
    struct ledger_health h = {0};
    struct err e = {0};
    char now[32], newest[32];
    int64_t us = clock_now_us();
    if (ledger_health(&h, d->data, store_of(d), &e) < 0)
        h.newest_us = 0; /* doctor_store says it */
    clock_iso(now, us), clock_iso(newest, h.newest_us);
    if (us < 1735689600000000ll) /* 2025 */
        doctor_say(d, DOCTOR_FAIL, "set it (timedatectl set-ntp true): grants, keys and certificates expire by it", "the clock says %s", now);
    else if (h.newest_us > us + 2000000)
        doctor_say(d, DOCTOR_FAIL, "set it (timedatectl set-ntp true): usage would be billed in the past",
                   "the clock says %s, the last request was billed at %s", now, newest);
    else
        doctor_say(d, DOCTOR_OK, "", "%s", now);
}
