/* Telling the service manager (systemd, Type=notify) how we are: one datagram a message to $NOTIFY_SOCKET, as sd_notify(3) describes it. */
#include "cli/cli_int.h"
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void notify(const char *what)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    size_t n = path ? strlen(path) : 0;
    if (n < 2 || n >= sizeof a.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(a.sun_path, path, n);
    if (a.sun_path[0] == '@') /* an abstract name begins with a NUL */
        a.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    /* Nobody listens any more: then nobody is left to tell. */
    (void)!sendto(fd, what, strlen(what), MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&a,
                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
    close(fd);
}

uint32_t notify_watchdog_ms(void)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    uint64_t us, id;
    if (!usec || !str_u64(str_of(usec), &us) || us < 1000 || us / 2000 > UINT32_MAX)
        return 0;
    return pid && (!str_u64(str_of(pid), &id) || id != (uint64_t)getpid()) ? 0 : (uint32_t)(us / 2000); /* twice as often as asked */
}
