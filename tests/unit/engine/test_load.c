/* Thirty-two owners start, allow, stop and give up at random; every count must agree with what was delivered, to the token. */
#include "fake.h"
#include "test.h"

enum { OWNERS = 32, ROUNDS = 30 };
static struct model         model;
static struct engine       *g;
static struct engine_model *served[2];
static _Atomic uint32_t     refused, wrong;
static _Atomic uint64_t     delivered;

static void owner(void *arg)
{
    const uint32_t me = (uint32_t)(uintptr_t)arg;
    int32_t        prompt[300];
    uint64_t       r = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        const uint32_t tag = me * ROUNDS + round;
        struct job    *j = &jobs[tag];
        struct err     e;
        for (uint32_t i = 0; i < 300; i++)
            prompt[i] = 1 + (int32_t)(rng_u64(tag, 0, i, 3) % (FAKE_VOCAB - 1));
        uint64_t        dice = rng_u64(me, 1, r++, 0) % 6;
        struct seq_opts o = {
            .model = served[tag % 2],
            .tenant = {.id = me % 5, .weight = 1 + me % 3},
            .priority = dice == 5,
            .prompt = prompt,
            .n_prompt = 1 + (uint32_t)(rng_u64(me, 2, r++, 0) % 300),
            .max_tokens = 1 + (uint32_t)(rng_u64(me, 3, r++, 0) % 120),
            .allowance = dice < 3 ? 10 : UINT32_MAX,
            .sample = {.temperature = 0.8f, .top_p = 0.95f, .seed = tag},
            .ignore_eos = true,
            .tag = tag,
            .on_event = job_event,
            .arg = j,
        };
        while (engine_start(g, &o, &j->seq, &e) < 0) {
            refused++;
            wrong += e.code != ERR_BUSY;
            clock_sleep_ms(1);
        }
        memset(prompt, 0, sizeof prompt); /* it was copied */
        if (dice == 0) { /* slices, to the end */
            for (uint32_t a = 20;; a += 10) {
                uint32_t seen = a / 10 - 1;
                JOB_WAIT(j, j->n_done > 0 || j->n_paused >= seen);
                mutex_lock(&j->mu);
                bool done = j->n_done > 0;
                mutex_unlock(&j->mu);
                if (done)
                    break;
                engine_allow(g, j->seq, a);
            }
        } else if (dice == 1) { /* the money ends */
            JOB_WAIT(j, j->n_done > 0 || j->n_paused > 0);
            engine_stop(g, j->seq, SEQ_END_BUDGET);
        } else if (dice <= 3) { /* leaves after some time */
            clock_sleep_ms((uint32_t)(rng_u64(me, 4, r++, 0) % 8));
            engine_stop(g, j->seq, SEQ_END_CANCEL);
        } else if (dice == 4) { /* leaves at once */
            engine_stop(g, j->seq, SEQ_END_CANCEL);
        }
        JOB_DONE(j);
        mutex_lock(&j->mu);
        wrong += !job_ok(j);
        delivered += j->n_tokens;
        if (dice == 0 || dice == 5) { /* went to its end: the text is the one of a sequence alone */
            static _Thread_local struct expect x;
            for (uint32_t i = 0; i < 300; i++)
                prompt[i] = 1 + (int32_t)(rng_u64(tag, 0, i, 3) % (FAKE_VOCAB - 1));
            fake_expect(&model, &o, 500, &x);
            wrong += j->end != SEQ_END_LENGTH || j->text.len != x.n_text || memcmp(j->text.data, x.text, x.n_text) != 0 ||
                     j->counts.input != o.n_prompt;
        }
        mutex_unlock(&j->mu);
    }
}

static void watch(void *arg)
{
    struct engine_stats st;
    while (!*(_Atomic bool *)arg) {
        engine_stats(g, &st);
        wrong += st.kv_bytes_used > st.kv_bytes_total || st.running + st.paused > 12;
        clock_sleep_ms(1);
    }
}

TEST(owners_at_random)
{
    static struct model second;
    struct thread       threads[OWNERS], watcher;
    struct engine_stats st;
    struct err          e;
    _Atomic bool        over = false;
    jobs_reset();
    fake_model(&model, 500);
    fake_model(&second, 500);
    model.delay_us = second.delay_us = 50;
    second.layers = 2;
    CHECK(engine_new(&g, &(struct engine_opts){.kv_bytes = 24 * 4096, .seqs_max = 6, .queue_max = 16, .chunk = 64, .journal = job_journal}, &e) == 0);
    CHECK(engine_model_add(g, &model, &fake_vocab, &served[0], &e) == 0 && engine_model_add(g, &second, &fake_vocab, &served[1], &e) == 0);
    CHECK(thread_start(&watcher, "watch", watch, &over));
    for (uintptr_t i = 0; i < OWNERS; i++)
        CHECK(thread_start(&threads[i], "owner", owner, (void *)i));
    for (int i = 0; i < OWNERS; i++)
        thread_join(&threads[i]);
    over = true;
    thread_join(&watcher);
    CHECK_MSG(wrong == 0, "%u wrong", wrong);
    STATS_WAIT(g, st, st.pages_used == 0 && st.running + st.waiting + st.paused == 0);
    CHECK(st.pages_used == 0 && st.running + st.waiting + st.paused == 0);
    CHECK_MSG(refused > 0 && st.evictions > 0 && delivered > 1000, "%u refused, %d evictions, %d tokens", refused, (int)st.evictions, (int)delivered);
    engine_free(g);
}

TEST_MAIN()
