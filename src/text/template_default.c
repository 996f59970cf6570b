/* What a model without a usable template gets: the form that its vocabulary speaks for. docs/using/templates.md lists them. */
#include "text/template_int.h"

#define EACH "{% for m in messages %}{% set c = m.content if m.content is string else '' %}"
#define ASK  "{% if add_generation_prompt %}"

/* In the order in which they are tried: a row fits when the vocabulary has all of its tokens. */
static const struct row {
    const char *name, *tokens[3], *source;
} rows[] = {
    {"harmony",
     {"<|start|>", "<|message|>", "<|channel|>"},
     EACH "{{ '<|start|>' }}{% if m.role == 'system' %}{{ 'developer<|message|># Instructions\n\n' ~ c ~ '<|end|>' }}"
          "{% elif m.role == 'assistant' %}{{ 'assistant<|channel|>final<|message|>' ~ c ~ '<|end|>' }}"
          "{% else %}{{ 'user<|message|>' ~ c ~ '<|end|>' }}{% endif %}{% endfor %}" ASK "{{ '<|start|>assistant' }}{% endif %}"},
    {"kimi",
     {"<|im_user|>", "<|im_middle|>", "<|im_end|>"},
     EACH "{% if m.role in ['system', 'assistant'] %}{{ '<|im_' ~ m.role ~ '|>' ~ m.role }}{% else %}{{ '<|im_user|>user' }}{% endif %}"
          "{{ '<|im_middle|>' ~ c ~ '<|im_end|>' }}{% endfor %}" ASK "{{ '<|im_assistant|>assistant<|im_middle|>' }}{% endif %}"},
    {"chatml",
     {"<|im_start|>", "<|im_end|>", NULL},
     EACH "{{ '<|im_start|>' ~ m.role ~ '\n' ~ c ~ '<|im_end|>\n' }}{% endfor %}" ASK "{{ '<|im_start|>assistant\n' }}{% endif %}"},
    {"llama-3",
     {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"},
     "{{ bos_token }}" EACH "{{ '<|start_header_id|>' ~ m.role ~ '<|end_header_id|>\n\n' ~ c | trim ~ '<|eot_id|>' }}{% endfor %}" ASK
     "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"},
    {"gemma",
     {"<start_of_turn>", "<end_of_turn>", NULL},
     "{{ bos_token }}{% set ns = namespace(system='') %}" EACH "{% if m.role == 'system' %}{% set ns.system = ns.system ~ c | trim ~ '\n\n' %}"
     "{% elif m.role == 'assistant' %}{{ '<start_of_turn>model\n' ~ c | trim ~ '<end_of_turn>\n' }}"
     "{% else %}{{ '<start_of_turn>user\n' ~ ns.system ~ c | trim ~ '<end_of_turn>\n' }}{% set ns.system = '' %}{% endif %}{% endfor %}" ASK
     "{{ '<start_of_turn>model\n' }}{% endif %}"},
    {"deepseek",
     {"<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>"},
     "{{ bos_token }}" EACH "{% if m.role == 'system' %}{{ c }}{% elif m.role == 'assistant' %}"
     "{{ '<｜Assistant｜>' ~ c ~ '<｜end▁of▁sentence｜>' }}{% else %}{{ '<｜User｜>' ~ c }}{% endif %}{% endfor %}" ASK
     "{{ '<｜Assistant｜>' }}{% endif %}"},
    {"command-r",
     {"<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "<|CHATBOT_TOKEN|>"},
     "{{ bos_token }}" EACH "{{ '<|START_OF_TURN_TOKEN|>' }}{% if m.role == 'system' %}{{ '<|SYSTEM_TOKEN|>' }}"
     "{% elif m.role == 'assistant' %}{{ '<|CHATBOT_TOKEN|>' }}{% else %}{{ '<|USER_TOKEN|>' }}{% endif %}"
     "{{ c | trim ~ '<|END_OF_TURN_TOKEN|>' }}{% endfor %}" ASK "{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' }}{% endif %}"},
    {"glm-4",
     {"[gMASK]", "<sop>", "<|user|>"},
     "{{ '[gMASK]<sop>' }}" EACH "{{ '<|' ~ m.role ~ '|>\n' ~ c }}{% endfor %}" ASK "{{ '<|assistant|>\n' }}{% endif %}"},
    {"phi",
     {"<|user|>", "<|assistant|>", "<|end|>"},
     EACH "{{ '<|' ~ m.role ~ '|>\n' ~ c ~ '<|end|>\n' }}{% endfor %}" ASK "{{ '<|assistant|>\n' }}{% endif %}"},
    {"mistral",
     {"[INST]", "[/INST]", NULL},
     "{{ bos_token }}{% set ns = namespace(system='') %}" EACH "{% if m.role == 'system' %}{% set ns.system = ns.system ~ c ~ '\n\n' %}"
     "{% elif m.role == 'assistant' %}{{ c ~ eos_token }}"
     "{% else %}{{ '[INST]' ~ ns.system ~ c ~ '[/INST]' }}{% set ns.system = '' %}{% endif %}{% endfor %}"},
    {"llama-2",
     {"<s>", "</s>", NULL}, /* and 32,000 tokens in all */
     "{% set ns = namespace(system='') %}" EACH "{% if m.role == 'system' %}{% set ns.system = '<<SYS>>\n' ~ c ~ '\n<</SYS>>\n\n' %}"
     "{% elif m.role == 'assistant' %}{{ ' ' ~ c | trim ~ ' ' ~ eos_token }}"
     "{% else %}{{ bos_token ~ '[INST] ' ~ ns.system ~ c | trim ~ ' [/INST]' }}{% set ns.system = '' %}{% endif %}{% endfor %}"},
    {"plain", {NULL}, EACH "{{ m.role | capitalize ~ ': ' ~ c ~ '\n' }}{% endfor %}" ASK "{{ 'Assistant:' }}{% endif %}"},
};
enum { LLAMA_2_TOKENS = 32000, N_ROWS = sizeof rows / sizeof *rows };

static bool fits(const struct row *d, const struct vocab *v)
{
    for (size_t i = 0; i < 3 && d->tokens[i]; i++)
        if (!v || vocab_find(v, str_of(d->tokens[i])) == TOKEN_NONE)
            return false;
    return !str_eqz(str_of(d->name), "llama-2") || vocab_size(v) == LLAMA_2_TOKENS;
}

const char *template_default(const struct vocab *v, struct str *source)
{
    size_t i = 0;
    while (i + 1 < N_ROWS && !fits(&rows[i], v))
        i++;
    *source = str_of(rows[i].source);
    return rows[i].name;
}
