/* A backend that computes nothing, in its own thread and in time: for programs that ask what everything around an engine costs and loses.
 *
 * Like the engine it works in steps on a thread of its own: a step journals the counts of all sequences that it serves with one call, then posts
 * their events to the loop. Each token is the letter a, so that who reads an answer can count its tokens.
 *
 *   fake-20ms    all of an answer after 20 ms
 *   fake-stream  a token every 20 ms
 *   fake-slow    the first after 20 ms, then one every 100 ms
 *   fake-fast    a token every millisecond
 *   fake-faulty  the same, and every eighth answer breaks after as many tokens as its number says
 *
 * The witness is a file that is mapped and so outlives a killed process: for each answer the tokens that were about to be journaled, and those
 * that were handed over, which happens after they were journaled. It is written by no code of the program under test. */
#pragma once
#include "api/api.h"

struct fake;
struct witness_entry {
    char id[25]; /* 24 hex digits of x-request-id */
    uint8_t ended;
    uint16_t life; /* of the server, from 1 */
    uint32_t input, asked, handed;
};
enum { WITNESS_MAX = 4 << 20 };
struct witness {
    _Atomic uint32_t n, life;
    struct witness_entry entry[WITNESS_MAX];
};

/* dir: where its vocabulary is written. witness: a file, made when it is absent, or NULL. */
int fake_new(struct fake **out, const char *dir, const char *witness, struct err *e) MUST_USE;
void fake_backend(struct fake *f, struct backend *out);
void fake_start(struct fake *f, struct server *s, struct api *a); /* its thread */
void fake_free(struct fake *f);
