/* Tokens of fill-in-the-middle: those that the file names, else those with the names that published models use (the list of llama.cpp). */
#include "text/text_int.h"

#define UL "\xe2\x96\x81"

static const char *const names[][3] = {
    {"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"}, /* Qwen 2.5 Coder, StarCoder 2 */
    {"<fim_prefix>", "<fim_suffix>", "<fim_middle>"},       /* StarCoder, Granite */
    {"<fim-prefix>", "<fim-suffix>", "<fim-middle>"},
    {"<\xef\xbd\x9c"
     "fim" UL "begin\xef\xbd\x9c>",
     "<\xef\xbd\x9c"
     "fim" UL "hole\xef\xbd\x9c>",
     "<\xef\xbd\x9c"
     "fim" UL "end\xef\xbd\x9c>"}, /* DeepSeek */
    {"<PRE>", "<SUF>", "<MID>"},   /* Code Llama */
    {UL "<PRE>", UL "<SUF>", UL "<MID>"},
    {"<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"}, /* GLM 4.5 */
    {"<|prefix|>", "<|suffix|>", "<|middle|>"},                /* Falcon H1 */
};

bool vocab_fim(const struct vocab *v, struct fim_tokens *out)
{
    *out = (struct fim_tokens){v->fim[0], v->fim[1], v->fim[2]};
    for (size_t i = 0; i < sizeof names / sizeof *names && (out->prefix < 0 || out->suffix < 0 || out->middle < 0); i++)
        *out = (struct fim_tokens){vocab_find(v, str_of(names[i][0])), vocab_find(v, str_of(names[i][1])), vocab_find(v, str_of(names[i][2]))};
    return out->prefix >= 0 && out->suffix >= 0 && out->middle >= 0;
}
