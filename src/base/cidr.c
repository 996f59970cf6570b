#include "base/cidr.h"
#include <arpa/inet.h>
#include <string.h>

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

/* One address, its mask all ones. */
static bool address(struct cidr *out, struct str text)
{
    char z[INET6_ADDRSTRLEN];
    if (!str_fmt(z, sizeof z, "%.*s", text.n < sizeof z ? (int)text.n : (int)sizeof z, text.p ? text.p : ""))
        return false;
    *out = (struct cidr){.bits = 32};
    if (strlen(z) != text.n)
        return false; /* a NUL inside */
    if (inet_pton(AF_INET, z, out->addr) == 1)
        return true;
    out->v6 = true, out->bits = 128;
    return inet_pton(AF_INET6, z, out->addr) == 1;
}

/* IPv4 inside IPv6 becomes IPv4. */
static void unmap(struct cidr *c)
{
    if (!c->v6 || c->bits < 96 || memcmp(c->addr, mapped, sizeof mapped) != 0)
        return;
    memmove(c->addr, c->addr + 12, 4);
    memset(c->addr + 4, 0, 12);
    c->v6 = false, c->bits = (uint8_t)(c->bits - 96);
}

/* Clears what lies beyond the mask; whether there was anything. */
static bool mask(struct cidr *c)
{
    bool any = false;
    for (unsigned i = 0; i < sizeof c->addr; i++) {
        unsigned keep = c->bits > i * 8 ? c->bits - i * 8 : 0;
        uint8_t m = (uint8_t)(keep >= 8 ? 0xffu : 0xff00u >> keep);
        any |= (c->addr[i] & ~m) != 0;
        c->addr[i] = (uint8_t)(c->addr[i] & m);
    }
    return any;
}

int cidr_parse(struct cidr *out, struct str text, struct err *e)
{
    int shown = (int)(text.n < 60 ? text.n : 60);
    const char *p = text.p ? text.p : "";
    struct str rest = text, addr = str_split(&rest, '/');
    uint64_t bits;
    if (!address(out, addr))
        return err_set(e, ERR_BAD_VALUE, "'%.*s' is no network; write 10.0.0.0/8, 2001:db8::/32 or one address", shown, p);
    if (rest.p) {
        if (!str_u64(rest, &bits) || bits > out->bits)
            return err_set(e, ERR_BAD_VALUE, "'%.*s': the mask of an IPv%d network is 0 to %d", shown, p, out->v6 ? 6 : 4, out->bits);
        out->bits = (uint8_t)bits;
    }
    unmap(out);
    if (mask(out)) {
        char net[CIDR_TEXT_MAX];
        cidr_text(net, out);
        return err_set(e, ERR_BAD_VALUE, "'%.*s' has bits beyond its mask; the network is %s", shown, p, net);
    }
    return 0;
}

void cidr_text(char out[CIDR_TEXT_MAX], const struct cidr *c)
{
    char addr[INET6_ADDRSTRLEN];
    ASSERT(inet_ntop(c->v6 ? AF_INET6 : AF_INET, c->addr, addr, sizeof addr) && str_fmt(out, CIDR_TEXT_MAX, "%s/%d", addr, c->bits));
}

bool cidr_has(const struct cidr *net, struct str text)
{
    struct cidr a;
    if (!address(&a, text))
        return false;
    unmap(&a);
    if (a.v6 != net->v6)
        return false;
    a.bits = net->bits;
    mask(&a);
    return memcmp(a.addr, net->addr, sizeof a.addr) == 0;
}
