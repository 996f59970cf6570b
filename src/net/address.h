/* Which part of the network an IP address belongs to, and URLs taken apart by the one parser that also connects (libcurl's), so that what was
 * checked is what is asked. Server-side request forgery is a remote reply (a redirect) that names an address of the inside. */
#pragma once
#include "base/err.h"
#include <stdint.h>
#include <sys/socket.h>

enum net_class {
    NET_PUBLIC,
    NET_LOOPBACK, /* 127/8, ::1 */
    NET_PRIVATE,  /* 10/8, 172.16/12, 192.168/16, fc00::/7, 100.64/10 (carrier's) */
    NET_LINK,     /* 169.254/16 (cloud metadata), fe80::/10 */
    NET_SPECIAL,  /* 0/8, multicast, broadcast, documentation, reserved, not IP */
};
/* IPv4 inside IPv6 (mapped, compatible, NAT64 64:ff9b::/96, 6to4 2002::/16) counts as that IPv4 address. */
enum net_class net_class_of(const struct sockaddr *a);
const char    *net_class_name(enum net_class c);

enum { URL_LEN_MAX = 8192, HOST_MAX = 256 };
struct url { /* http or https */
    bool     tls;
    char     host[HOST_MAX]; /* lower case; an IPv6 address in brackets */
    uint16_t port;
};
/* Takes an absolute URL apart: http or https, a host, no user or password, no control characters, blanks or backslashes. ERR_BAD_VALUE. */
int  url_parse(struct url *out, const char *text, struct err *e) MUST_USE;
bool url_same_origin(const struct url *a, const struct url *b);
/* `location` as seen from `base` (RFC 3986, section 5) into out. ERR_BAD_VALUE when it is no URL, too long, or neither http nor https. */
int url_join(char out[URL_LEN_MAX], const char *base, const char *location, struct err *e) MUST_USE;
/* Percent-encodes what is not unreserved (RFC 3986); '/' stays when keep_slash. false: did not fit. */
bool url_escape(char *out, size_t cap, const char *text, bool keep_slash);
