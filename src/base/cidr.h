/* Networks of IP addresses as people write them: "10.0.0.0/8", "2001:db8::/32", "192.0.2.7" (itself alone).
 *
 * IPv4 and IPv6 are two families: no network of the one holds an address of the other, but an IPv4 address inside IPv6 (::ffff:10.0.0.1) is
 * that IPv4 address. */
#pragma once
#include "base/err.h"
#include "base/str.h"

enum { CIDR_TEXT_MAX = 64 }; /* bytes with the final NUL */

struct cidr {
    bool    v6;
    uint8_t bits;     /* of the mask: 0 to 32, or to 128 */
    uint8_t addr[16]; /* network byte order; IPv4 has the first four */
};

/* A network, or one address. ERR_BAD_VALUE: what it is not, or that it has bits beyond its mask. */
int cidr_parse(struct cidr *out, struct str text, struct err *e) MUST_USE;
/* As it is stored and shown: always with its mask. */
void cidr_text(char out[CIDR_TEXT_MAX], const struct cidr *c);
/* Whether the network holds the address; false for what is no address. */
bool cidr_has(const struct cidr *net, struct str address);
