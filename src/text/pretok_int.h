/* What the stages of the pre-tokenizers share. */
#pragma once
#include "text/pretok.h"
#include "text/unicode.h"
#include "text/work.h"

static inline bool is_newline(uint32_t cp)
{
    return cp == '\r' || cp == '\n';
}

size_t run_of(const char *p, size_t n, size_t at, uint8_t mask); /* the end of the row of characters of these kinds that begins at `at` */
size_t contraction(const char *p, size_t n, bool any_case);
size_t blanks(const char *p, size_t n);             /* `\s+(?!\S)|\s+` at p, which begins with a blank */
size_t line_ends(const char *p, size_t n);          /* `\s*[\r\n]+` at p, or 0 */
size_t digits_of(const char *p, size_t n, int max); /* `\p{N}{1,max}` at p, or 0 */

/* Every stage, as pretok.def names them. */
pretok_stage gpt2, llama3, qwen2, qwen35, minicpm5, ufakzeka, seed_coder, exaone_moe;
pretok_stage o200k, tekken, o200k_digit, kimi;
pretok_stage digit, digits, three_numbers, three_digits, grouped_digits, thousands_head, thousands, numbers_head, numbers_by_three;
pretok_stage punctuation, punctuation_grave, newline, newline_runs, space_steps, han, bloom_words, trailing_blanks;
pretok_stage deepseek_letters, deepseek_punctuation, deepseek_cjk, deepseek3_cjk, deepseek3, spark, coder_letters, coder_punctuation;
pretok_stage youtu_scripts, afmoe_scripts;
