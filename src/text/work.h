/* Counts what encoding does: characters looked at, entries moved in heaps, probes of tables, bytes hashed. The tests hold it against the
 * length of the text: a clock would tell of the machine's other work too. */
#pragma once
#include <stdint.h>

extern _Thread_local uint64_t text_work;
static inline void work(uint64_t n) { text_work += n; }
