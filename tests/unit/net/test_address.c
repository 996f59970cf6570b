/* Classes of addresses, URLs, and a client that keeps away from addresses of the inside. */
#include "base/mem.h"
#include "net/client.h"
#include "test.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

static enum net_class class_of(const char *ip)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, ip, &v4.sin_addr) == 1)
        return net_class_of((struct sockaddr *)&v4);
    return inet_pton(AF_INET6, ip, &v6.sin6_addr) == 1 ? net_class_of((struct sockaddr *)&v6) : NET_SPECIAL;
}

TEST(classes)
{
    static const struct {
        const char *ip;
        enum net_class want;
    } all[] = {
        {"8.8.8.8", NET_PUBLIC},
        {"1.1.1.1", NET_PUBLIC},
        {"126.255.255.255", NET_PUBLIC},
        {"128.0.0.0", NET_PUBLIC},
        {"127.0.0.1", NET_LOOPBACK},
        {"127.255.255.255", NET_LOOPBACK},
        {"::1", NET_LOOPBACK},
        {"::ffff:127.0.0.1", NET_LOOPBACK},
        {"10.0.0.0", NET_PRIVATE},
        {"10.255.255.255", NET_PRIVATE},
        {"9.255.255.255", NET_PUBLIC},
        {"11.0.0.0", NET_PUBLIC},
        {"172.16.0.0", NET_PRIVATE},
        {"172.31.255.255", NET_PRIVATE},
        {"172.15.255.255", NET_PUBLIC},
        {"172.32.0.0", NET_PUBLIC},
        {"192.168.0.0", NET_PRIVATE},
        {"192.168.255.255", NET_PRIVATE},
        {"192.167.255.255", NET_PUBLIC},
        {"192.169.0.0", NET_PUBLIC},
        {"100.64.0.0", NET_PRIVATE},
        {"100.127.255.255", NET_PRIVATE},
        {"100.63.255.255", NET_PUBLIC},
        {"100.128.0.0", NET_PUBLIC},
        {"169.254.169.254", NET_LINK},
        {"169.253.255.255", NET_PUBLIC},
        {"169.255.0.0", NET_PUBLIC},
        {"0.0.0.0", NET_SPECIAL},
        {"0.1.2.3", NET_SPECIAL},
        {"224.0.0.1", NET_SPECIAL},
        {"255.255.255.255", NET_SPECIAL},
        {"240.0.0.1", NET_SPECIAL},
        {"192.0.2.1", NET_SPECIAL},
        {"198.18.0.1", NET_SPECIAL},
        {"198.51.100.7", NET_SPECIAL},
        {"203.0.113.9", NET_SPECIAL},
        {"2606:4700::1", NET_PUBLIC},
        {"fe80::1", NET_LINK},
        {"febf::1", NET_LINK},
        {"fec0::1", NET_PRIVATE},
        {"fc00::1", NET_PRIVATE},
        {"fdff::1", NET_PRIVATE},
        {"ff02::1", NET_SPECIAL},
        {"::", NET_SPECIAL},
        {"2001:db8::1", NET_SPECIAL},
        {"2001::1", NET_SPECIAL},
        {"::ffff:10.0.0.1", NET_PRIVATE},
        {"::10.0.0.1", NET_PRIVATE},
        {"64:ff9b::10.0.0.1", NET_PRIVATE},
        {"64:ff9b::8.8.8.8", NET_PUBLIC},
        {"2002:a00:1::", NET_PRIVATE},
        {"2002:808:808::", NET_PUBLIC},
        {"::ffff:169.254.1.1", NET_LINK},
        {"4000::1", NET_SPECIAL},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        CHECK_MSG(class_of(all[i].ip) == all[i].want, "%s is %s", all[i].ip, net_class_name(class_of(all[i].ip)));
}

TEST(urls)
{
    static const char *const bad[] = {"",
                                      "x",
                                      "ftp://h/",
                                      "file:///etc/passwd",
                                      "http://",

                                      "http://u@h/",
                                      "http://u:p@h",
                                      "http://h:0/",
                                      "http://h:65536/",
                                      "http://h\\@x/",
                                      "http://h /",
                                      "http://h/\n",
                                      "//h/x",
                                      "http://@h/",
                                      "http://:p@h/",
                                      "javascript:1",
                                      "http://h:x/",
                                      "http://[::1/",
                                      "gopher://h/_x"};
    struct url u, v;
    struct err e;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_MSG(url_parse(&u, bad[i], &e) == -ERR_BAD_VALUE && *e.msg, "%s", bad[i]);
    CHECK(!url_parse(&u, "HTTPS://Example.ORG/x?y#z", &e) && u.tls && u.port == 443 && !strcmp(u.host, "example.org"));
    CHECK(!url_parse(&v, "https://example.org:443", &e) && url_same_origin(&u, &v));
    CHECK(!url_parse(&v, "http://example.org:443", &e) && !url_same_origin(&u, &v));
    CHECK(!url_parse(&v, "https://example.org:444", &e) && !url_same_origin(&u, &v));
    CHECK(!url_parse(&v, "https://example.org.evil", &e) && !url_same_origin(&u, &v));
    CHECK(!url_parse(&u, "http://0x7f.1/", &e) && !strcmp(u.host, "127.0.0.1")); /* as it will be connected to */
    CHECK(!url_parse(&u, "http://[::1]:8/", &e) && !strcmp(u.host, "[::1]") && u.port == 8);
}

TEST(joined_urls)
{
    static const struct {
        const char *base, *location, *want;
    } all[] = {
        {"http://h/a/b/c?q", "d", "http://h/a/b/d"},        {"http://h/a/b/c", "../d", "http://h/a/d"},
        {"http://h/a/b/c", "/d?x=%2F", "http://h/d?x=%2F"}, {"http://h/a", "//other/x", "http://other/x"},
        {"http://h:81/a", "https://k/x", "https://k/x"},    {"http://h/a", "../../../../x", "http://h/x"},
    };
    char out[URL_LEN_MAX];
    struct err e;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        CHECK_MSG(!url_join(out, all[i].base, all[i].location, &e) && !strcmp(out, all[i].want), "%s: %s", all[i].location, out);
    CHECK(url_join(out, "http://h/", "file:///x", &e) < 0 && url_join(out, "http://h/", "http://a b", &e) < 0 &&
          url_join(out, "http://h/", "\\\\k\\x", &e) < 0);
    CHECK(url_escape(out, sizeof out, "a b/ü?#%", true) && !strcmp(out, "a%20b/%C3%BC%3F%23%25"));
    CHECK(url_escape(out, sizeof out, "a/b", false) && !strcmp(out, "a%2Fb") && !url_escape(out, 5, "a/b", false));
}

TEST(an_address_of_the_inside_is_not_asked)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    char url[64];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 8) == 0 && getsockname(fd, (struct sockaddr *)&a, &n) == 0);
    static const char *const hosts[] = {"127.0.0.1", "localhost", "127.1", "0x7f000001", "[::ffff:127.0.0.1]"};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        struct client_answer out;
        struct err e = {0};
        snprintf(url, sizeof url, "http://%s:%u/", hosts[i], ntohs(a.sin_port));
        struct client_req q = {.method = "GET", .url = url, .reach = 1u << NET_PUBLIC | 1u << NET_PRIVATE, .total_ms = 2000};
        int rc = client_do(&out, &q, &e);
        CHECK_MSG(rc == -ERR_REMOTE && out.fault == CLIENT_FORBIDDEN_ADDRESS && strstr(e.msg, "loopback"), "%s: %d %s", hosts[i], rc, e.msg);
        client_answer_deinit(&out);
    }
    struct pollfd came = {.fd = fd, .events = POLLIN};
    CHECK(poll(&came, 1, 0) == 0); /* not even a connection */
    close(fd);
}

TEST_MAIN()
