/* Threads, mutexes and condition variables: POSIX with names and without return codes that nobody can handle. */
#pragma once
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct mutex { pthread_mutex_t m; };
struct cond { pthread_cond_t c; }; /* on the monotonic clock */
struct thread { pthread_t t; bool started; };

void mutex_init(struct mutex *m);
void mutex_deinit(struct mutex *m);
void mutex_lock(struct mutex *m);
void mutex_unlock(struct mutex *m);
void cond_init(struct cond *c);
void cond_deinit(struct cond *c);
void cond_wait(struct cond *c, struct mutex *m);
bool cond_wait_ms(struct cond *c, struct mutex *m, uint32_t ms); /* false: time is up */
void cond_signal(struct cond *c);
void cond_broadcast(struct cond *c);
bool thread_start(struct thread *t, const char *name /* <= 15 bytes */, void (*fn)(void *), void *arg);
void thread_join(struct thread *t);
int  thread_cpus(void); /* CPUs this process may use */
