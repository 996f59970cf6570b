#include "console/console.h"
#include "page.h" /* made from page/ by tools/embed.c */

static const struct embedded *find(struct str name)
{
    for (size_t i = 0; i < sizeof page_files / sizeof page_files[0]; i++)
        if (str_eqz(name, page_files[i].name))
            return &page_files[i];
    return NULL;
}

void console_page(struct http *r)
{
    struct str name = http_param(r, "file");
    const struct embedded *f = find(name.n ? name : STR("index.html"));
    struct err e;
    if (!f) {
        err_set(&e, ERR_NO_ROUTE, "there is no such page");
        http_reply_err(r, &e);
        return;
    }
    http_header_add(r, "content-security-policy",
                    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'");
    http_header_add(r, "x-content-type-options", "nosniff");
    http_header_add(r, "referrer-policy", "no-referrer");
    http_header_add(r, "cache-control", "no-cache");
    http_reply(r, 200, f->mime, f->data, f->size);
}
