#include "net/address.h"
#include "base/str.h"
#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <string.h>

static enum net_class class_v4(uint32_t a)
{
    static const struct {
        uint32_t net;
        int bits;
        enum net_class c;
    } table[] = {
        {0x7f000000, 8, NET_LOOPBACK}, {0x0a000000, 8, NET_PRIVATE},  {0xac100000, 12, NET_PRIVATE}, {0xc0a80000, 16, NET_PRIVATE},
        {0x64400000, 10, NET_PRIVATE}, {0xa9fe0000, 16, NET_LINK},    {0x00000000, 8, NET_SPECIAL},  {0xc0000000, 24, NET_SPECIAL},
        {0xc0000200, 24, NET_SPECIAL}, {0xc6120000, 15, NET_SPECIAL}, {0xc6336400, 24, NET_SPECIAL}, {0xcb007100, 24, NET_SPECIAL},
        {0xc0586300, 24, NET_SPECIAL}, {0xe0000000, 3, NET_SPECIAL}, /* multicast, reserved, broadcast */
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if ((a ^ table[i].net) >> (32 - table[i].bits) == 0)
            return table[i].c;
    return NET_PUBLIC;
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static enum net_class class_v6(const uint8_t a[16])
{
    static const uint8_t zero[16], mapped[12] = {[10] = 0xff, [11] = 0xff}, nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    if (!memcmp(a, zero, 15) && a[15] <= 1)
        return a[15] ? NET_LOOPBACK : NET_SPECIAL;
    if (!memcmp(a, mapped, 12) || !memcmp(a, zero, 12) || !memcmp(a, nat64, 12))
        return class_v4(be32(a + 12));
    if (a[0] == 0x20 && a[1] == 0x02)
        return class_v4(be32(a + 2));
    if ((a[0] & 0xfe) == 0xfc)
        return NET_PRIVATE;
    if (a[0] == 0xfe && (a[1] & 0xc0) == 0x80)
        return NET_LINK;
    if (a[0] == 0xfe && (a[1] & 0xc0) == 0xc0)
        return NET_PRIVATE; /* site-local, deprecated */
    if (a[0] == 0x20 && a[1] == 0x01 && (a[2] == 0x0d ? a[3] == 0xb8 : a[2] < 2))
        return NET_SPECIAL;                                  /* documentation; Teredo and other protocol assignments */
    return (a[0] & 0xe0) == 0x20 ? NET_PUBLIC : NET_SPECIAL; /* 2000::/3 is what is routed */
}

enum net_class net_class_of(const struct sockaddr *a)
{
    if (a->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, a, sizeof v4);
        return class_v4(ntohl(v4.sin_addr.s_addr));
    }
    if (a->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, a, sizeof v6);
        return class_v6(v6.sin6_addr.s6_addr);
    }
    return NET_SPECIAL;
}

const char *net_class_name(enum net_class c)
{
    static const char *const name[] = {"public", "loopback", "private", "link-local", "special"};
    return name[c];
}

static bool plain(const char *z, bool allow_relative)
{
    if (!*z && !allow_relative)
        return false;
    for (; *z; z++)
        if ((unsigned char)*z <= ' ' || *z == 127 || *z == '\\')
            return false;
    return true;
}

static bool part(CURLU *u, CURLUPart which, unsigned flags, char *out, size_t cap)
{
    char *text = NULL;
    bool ok = curl_url_get(u, which, &text, flags) == CURLUE_OK && str_fmt(out, cap, "%s", text);
    curl_free(text);
    return ok;
}

static int take_apart(struct url *out, CURLU *u, struct err *e)
{
    char scheme[16] = "", port[8] = "";
    uint64_t n = 0;
    if (!part(u, CURLUPART_SCHEME, 0, scheme, sizeof scheme) || (!str_eqz(str_of(scheme), "http") && !str_eqz(str_of(scheme), "https")))
        return err_set(e, ERR_BAD_VALUE, "net: only http and https are spoken, not \"%s\"", scheme);
    out->tls = str_eqz(str_of(scheme), "https");
    if (!part(u, CURLUPART_HOST, 0, out->host, sizeof out->host) || !*out->host)
        return err_set(e, ERR_BAD_VALUE, "net: the URL has no host, or one longer than %d bytes", HOST_MAX - 1);
    if (!part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT, port, sizeof port) || !str_u64(str_of(port), &n) || n == 0 || n > 65535)
        return err_set(e, ERR_BAD_VALUE, "net: the URL's port is not 1 to 65535");
    out->port = (uint16_t)n;
    for (char *p = out->host; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p + 32);
    return 0;
}

int url_parse(struct url *out, const char *text, struct err *e)
{
    CURLU *u = curl_url();
    int rc = 0;
    *out = (struct url){0};
    if (!u)
        return err_set(e, ERR_NO_MEMORY, "net: no memory for a URL");
    char *user = NULL;
    if (!plain(text, false) || strlen(text) >= URL_LEN_MAX || curl_url_set(u, CURLUPART_URL, text, 0) != CURLUE_OK)
        rc = err_set(e, ERR_BAD_VALUE, "net: \"%.100s\" is not a URL; it begins with http:// or https://", text);
    else if (curl_url_get(u, CURLUPART_USER, &user, 0) == CURLUE_OK)
        rc = err_set(e, ERR_BAD_VALUE, "net: a URL with a user name in it is not accepted");
    else
        rc = take_apart(out, u, e);
    curl_free(user);
    curl_url_cleanup(u);
    return rc;
}

bool url_same_origin(const struct url *a, const struct url *b)
{
    return a->tls == b->tls && a->port == b->port && !strcmp(a->host, b->host);
}

int url_join(char out[URL_LEN_MAX], const char *base, const char *location, struct err *e)
{
    CURLU *u = curl_url();
    struct url parts;
    int rc = 0;
    *out = 0;
    if (!u)
        return err_set(e, ERR_NO_MEMORY, "net: no memory for a URL");
    if (!plain(location, true) || strlen(location) >= URL_LEN_MAX || curl_url_set(u, CURLUPART_URL, base, 0) != CURLUE_OK ||
        curl_url_set(u, CURLUPART_URL, location, 0) != CURLUE_OK || !part(u, CURLUPART_URL, 0, out, URL_LEN_MAX))
        rc = err_set(e, ERR_BAD_VALUE, "net: the answer leads to \"%.100s\", which is not an http or https URL", location);
    curl_url_cleanup(u);
    return rc ? rc : url_parse(&parts, out, e);
}

bool url_escape(char *out, size_t cap, const char *text, bool keep_slash)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t n = 0;
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        bool same = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~", c) || (c == '/' && keep_slash);
        if (n + 4 > cap)
            return false;
        if (same)
            out[n++] = (char)c;
        else
            out[n++] = '%', out[n++] = hex[c >> 4], out[n++] = hex[c & 15];
    }
    if (n >= cap)
        return false;
    out[n] = 0;
    return true;
}
