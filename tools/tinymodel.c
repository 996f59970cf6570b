/* tinymodel OUT.gguf [key=value ...]: writes a GGUF file of any family, size and type with seeded random weights (tools/tiny.h).
 *   arch=llama|qwen2|qwen3|mistral3|smollm3|deci|phi3 type= embd_type=... embd= layers= heads= kv= ff= vocab= ctx=
 *   head_dim= v_dim= seed= tied=0|1 qkv_bias= o_bias= ffn_bias= qk_norm= qkv_in_one=0|1 window= window_every= (in all layers but each n-th)
 *   layer_heads=4/0/2 layer_kv= layer_ff= (one for each layer) n_rot= rope_theta= rope_linear= rope_factors=0|1
 *   rope=yarn|longrope|dynamic|linear|none rope_factor= rope_ctx= rope_attn= yarn_fast= yarn_slow= yarn_log= yarn_attn=
 *   q_scale= (mistral3's temperature) label= (the file's name for the family)
 *   type: f32 f16 bf16 q4_0 q4_1 q5_0 q5_1 q8_0 q2_k q3_k q4_k q5_k q6_k iq4_nl iq4_xs mxfp4
 *   parts=N: OUT is the stem of OUT-00001-of-0000N.gguf and so on
 *   like=qwen2.5-0.5b (first: sizes and vocabulary of that model)
 * Example: tinymodel /tmp/half.gguf like=qwen2.5-0.5b type=q4_0 embd_type=q8_0 */
#include "tiny.h"
#include <stdio.h>

int main(int argc, char **argv)
{
    struct tiny o = tiny_default("llama");
    struct err e = {0};
    if (argc < 2 || strchr(argv[1], '=')) {
        fprintf(stderr, "usage: tinymodel OUT.gguf [key=value ...], see tools/tinymodel.c\n");
        return 2;
    }
    for (int i = 2; i < argc; i++) {
        struct str v = str_of(argv[i]), key = str_split(&v, '=');
        if (!v.p || !tiny_set(&o, key, v)) {
            fprintf(stderr, "tinymodel: %s is not understood, see tools/tinymodel.c\n", argv[i]);
            return 2;
        }
    }
    if (o.n_heads == 0 || o.n_layers == 0 || o.n_embd == 0 || tiny_save(&o, argv[1], &e)) {
        fprintf(stderr, "%s\n", *e.msg ? e.msg : "tinymodel: a size is 0");
        return 1;
    }
    return 0;
}
