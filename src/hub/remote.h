/* A hub on the network, as pull sees it: a repository at a revision, the files in it with their sizes and digests, and ranges of their bytes.
 * What differs between hubs is a row of functions (proto_hf.c, proto_modelscope.c); what is the same is here:
 *
 *   - The token belongs to the endpoint's scheme, host and port and is sent nowhere else, whatever a reply says.
 *   - Redirects are followed here, at most REDIRECTS_MAX, to http and https only, never from https to http, and not to addresses of the inside
 *     (loopback, private, link-local) unless the endpoint that the operator chose is itself of that kind.
 *   - Failures that pass (no connection, a cut, 429, 5xx) are tried again after a pause that doubles; others have one error each. */
#pragma once
#include "base/hash.h"
#include "base/json.h"
#include "net/client.h"

enum {
    REDIRECTS_MAX = 5,
    REMOTE_PATH_MAX = 255,
    REMOTE_FILES_MAX = 100000,
    REMOTE_PAGES_MAX = 1000,
    REMOTE_JSON_MAX = 16 << 20, /* bytes of one answer */
    REMOTE_RETRIES = 8,         /* in a row without a byte of progress */
    REMOTE_STALL_MS = 30000,
    REPO_PART_MAX = 96,
    TOKEN_LEN_MAX = 1024
};

struct remote_file {
    char          path[REMOTE_PATH_MAX + 1]; /* in the repository; checked: relative, no "..", no control characters */
    uint64_t      size;
    bool          has_sha256, has_blob;
    struct sha256 sha256;
    struct sha1   blob; /* git's name of the content: small files that are not in LFS */
};
struct remote;
struct proto {
    const char *name;
    const char *default_revision, *token_hint; /* "set HF_TOKEN": how to mend a 401 */
    /* Fills r->files, r->commit and r->licence; asks with remote_json. */
    int (*list)(struct remote *r, struct err *e);
    int (*read_page)(struct remote *r, const struct json *j, struct err *e); /* one answer of list: its files go to r */
    bool (*file_url)(const struct remote *r, const struct remote_file *f, char out[URL_LEN_MAX]);
    const char *auth_cookie; /* the token is sent under this cookie name too; NULL: none */
};
extern const struct proto proto_hf, proto_modelscope;

struct remote {
    const struct proto *proto;
    char                endpoint[512]; /* no final slash; may have a path */
    struct url          origin;
    char                token[TOKEN_LEN_MAX + 1]; /* "": none */
    char                org[REPO_PART_MAX + 1], name[REPO_PART_MAX + 1];
    char                revision[128];
    char                commit[65]; /* what the revision is now; "": the hub does not say */
    char                licence[64];
    struct remote_file *files;
    size_t              n_files, cap_files;
    uint32_t            retries, stall_ms; /* 0: REMOTE_RETRIES, REMOTE_STALL_MS */
    bool                home_known;
    enum net_class      home; /* where the endpoint itself is */
    void (*note)(void *arg, const char *text); /* a line for the operator: what is tried again, and why; may be NULL; any thread */
    void               *note_arg;
};

/* Checks endpoint (a URL) and token (may be "", one line); org, name, revision are the caller's, checked by spec_parse. */
int  remote_init(struct remote *r, const struct proto *p, const char *endpoint, const char *token, struct err *e) MUST_USE;
void remote_deinit(struct remote *r);
int  remote_list(struct remote *r, struct err *e) MUST_USE;

/* GET of a URL on the endpoint's own origin: a parsed JSON answer and, when next is not NULL, the page that its Link header leads to ("":
 * none). ERR_NOT_FOUND, ERR_AUTH, ERR_FORBIDDEN, ERR_BUSY, ERR_UNAVAILABLE, ERR_REMOTE. */
int remote_json(struct remote *r, const char *url, struct json **out, char next[URL_LEN_MAX], struct err *e) MUST_USE;
/* Adds a file that the hub lists. A path that could not be a file's of a repository is left out. ERR_TOO_LARGE past REMOTE_FILES_MAX. */
int remote_add_file(struct remote *r, struct str path, uint64_t size, struct str sha256_hex, struct str blob_hex, struct err *e) MUST_USE;

/* One GET with redirects followed. start: where to begin; final (may be NULL): where the answer came from. from, to: the range [from, to) of
 * bytes; to 0: no Range header. on_data: see client.h; it is asked for answers of 200 and 206 only. on_head sees each answer of the way,
 * redirects too; an error from it ends the way. */
struct remote_get {
    const char     *start;
    char           *final; /* URL_LEN_MAX */
    struct client  *client;
    uint64_t        from, to;
    size_t          answer_max;
    bool (*on_data)(void *arg, const char *p, size_t n);
    bool (*go_on)(void *arg);
    int (*on_head)(void *arg, const struct client_answer *a, bool own, struct err *e);
    void *arg;
};
int remote_get(struct remote *r, struct remote_get *g, struct client_answer *out, struct err *e) MUST_USE;
/* The error of an answer that is neither 2xx nor 3xx; what: "the model", a file's name. */
int remote_status_error(const struct remote *r, const struct client_answer *a, const char *what, struct err *e);
/* Whether the next try may go better. */
bool remote_passes(const struct client_answer *a, int rc);
/* Milliseconds to wait before try number n (1, 2, ...): 250, 500, ... 15000, less a random part; at least what Retry-After says, up to 60 s. */
uint32_t remote_pause_ms(const struct client_answer *a, uint32_t n);
void     remote_note(struct remote *r, const char *fmt, ...) PRINTF(2, 3);
