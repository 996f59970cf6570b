/* The end of a server: signals, and the time that running answers have. A thread of its own waits for the signals.
 *
 * The first signal: new work is answered with 503 and Retry-After, what runs goes on for d->ms; then it ends with an error that says so. The
 * listener stays open meanwhile, so that a load balancer sees /health say no. When nothing runs any more the server stops. A second signal
 * ends the process at once: what was computed stands in the journal, and the next start bills it. */
#include "base/clock.h"
#include "base/log.h"
#include "cli/cli_int.h"
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { LOOK_MS = 20, CANCELLED_MS = 3000, LAST_BYTES_MS = 2000 };

static sigset_t stop_signals(void)
{
    sigset_t s;
    sigemptyset(&s);
    sigaddset(&s, SIGTERM), sigaddset(&s, SIGINT), sigaddset(&s, SIGUSR2);
    struct sigaction hup; /* the terminal was closed; nohup says that it does not matter */
    if (sigaction(SIGHUP, NULL, &hup) == 0 && hup.sa_handler != SIG_IGN)
        sigaddset(&s, SIGHUP);
    return s;
}

void drain_block_signals(void)
{
    sigset_t set = stop_signals();
    pthread_sigmask(SIG_BLOCK, &set, NULL); /* before any thread starts: all inherit it */
}

static void look(void *arg)
{
    struct drain *d = arg;
    timer_free(d->timer);
    d->timer = NULL;
    if (!api_busy(d->api) || clock_ns() >= d->until_ns || !(d->timer = server_timer(d->server, LOOK_MS, look, d)))
        server_stop(d->server, LAST_BYTES_MS);
}

static void begin(void *arg)
{
    struct drain *d = arg;
    api_drain(d->api, d->ms);
    server_farewell(d->server);
    d->until_ns = clock_ns() + (d->ms + CANCELLED_MS) * 1000000ull;
    look(d);
}

static void wait_for_signals(void *arg)
{
    struct drain *d = arg;
    sigset_t set = stop_signals();
    int sig = 0;
    if (sigwait(&set, &sig) != 0 || sig == SIGUSR2) /* USR2: server_run has ended by itself */
        return;
    notify("STOPPING=1\nSTATUS=running answers are finishing");
    const char *name = sig == SIGTERM ? "SIGTERM" : sig == SIGINT ? "SIGINT" : "SIGHUP";
    log_line(LOG_INFO, "stop", "%s: running answers have %u s; a second signal ends at once", name, d->ms / 1000);
    server_post(d->server, begin, d);
    if (sigwait(&set, &sig) != 0 || sig == SIGUSR2)
        return;
    log_line(LOG_WARN, "stop", "second signal: ending now; the next start bills what was computed, from the journal");
    _exit(128 + sig);
}

int drain_start(struct drain *d, struct err *e)
{
    return thread_start(&d->thread, "signals", wait_for_signals, d)
               ? 0
               : err_set(e, ERR_UNAVAILABLE, "no thread could be started; raise the limit on processes");
}

void drain_stop(struct drain *d)
{
    if (d->thread.started)
        kill(getpid(), SIGUSR2);
    thread_join(&d->thread);
}
