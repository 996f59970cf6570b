/* What works on single rows. The last values of a row go through the same instructions as the others, in a vector padded with zeros:
 * a value's result does not depend on where the row ends. */
#include "kernel/avx2/vec_int.h"

void quantize_avx2(struct act8 *out, const float *x, size_t n_blocks)
{
    const __m256i abs = _mm256_set1_epi32(0x7fffffff);
    for (; n_blocks--; out++, x += KERNEL_BLOCK) {
        __m256  v[4];
        __m256i top = _mm256_setzero_si256(), q[4];
        for (int i = 0; i < 4; i++) { /* as integers, absolute values keep their order, and what is not finite comes last */
            v[i] = _mm256_loadu_ps(x + i * LANES);
            top = _mm256_max_epi32(top, _mm256_and_si256(_mm256_castps_si256(v[i]), abs));
        }
        __m128i t = _mm_max_epi32(_mm256_castsi256_si128(top), _mm256_extracti128_si256(top, 1));
        t = _mm_max_epi32(t, _mm_shuffle_epi32(t, 0x4e));
        t = _mm_max_epi32(t, _mm_shuffle_epi32(t, 0xb1));
        float amax = _mm_cvtss_f32(_mm_castsi128_ps(t));
        bool  finite = isfinite(amax);
        float id = finite && amax > 1e-35f ? 127.0f / amax : 0;
        out->d = !finite ? NAN : id != 0 ? amax / 127.0f : 0;
        if (id == 0) {
            out->sum[0] = out->sum[1] = 0;
            memset(out->q, 0, sizeof out->q);
            act8_sums(out);
            continue;
        }
        for (int i = 0; i < 4; i++)
            q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], _mm256_set1_ps(id)));
        __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
        bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
        _mm256_storeu_si256((__m256i *)(void *)out->q, bytes);
        __m256i sums = _mm256_hadd_epi32(_mm256_add_epi32(q[0], q[1]), _mm256_add_epi32(q[2], q[3])); /* of both halves, in each lane */
        __m128i s = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
        s = _mm_packs_epi32(_mm_hadd_epi32(s, s), s);
        int both = _mm_cvtsi128_si32(s);
        memcpy(out->sum, &both, sizeof out->sum);
        act8_sums(out);
    }
}

INLINE __m256d squares(__m256d s, __m256 v)
{
    __m256d lo = _mm256_cvtps_pd(_mm256_castps256_ps128(v)), hi = _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1));
    return _mm256_fmadd_pd(hi, hi, _mm256_fmadd_pd(lo, lo, s));
}

void rmsnorm_avx2(float *y, const float *x, const float *gain, float eps, size_t n)
{
    __m256d s = _mm256_setzero_pd();
    double  part[4];
    size_t  i = 0;
    for (; i + LANES <= n; i += LANES)
        s = squares(s, _mm256_loadu_ps(x + i));
    s = squares(s, vec_get_n_f32(x + i, n - i));
    _mm256_storeu_pd(part, s);
    float  scale = (float)(1 / sqrt((part[0] + part[1] + part[2] + part[3]) / (double)n + (double)eps));
    __m256 f = _mm256_set1_ps(scale);
    for (i = 0; i + LANES <= n; i += LANES)
        _mm256_storeu_ps(y + i, _mm256_mul_ps(_mm256_mul_ps(_mm256_loadu_ps(x + i), f), _mm256_loadu_ps(gain + i)));
    vec_put_n(y + i, _mm256_mul_ps(_mm256_mul_ps(vec_get_n_f32(x + i, n - i), f), vec_get_n_f32(gain + i, n - i)), n - i);
}

void add_avx2(float *a, const float *b, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        _mm256_storeu_ps(a + i, _mm256_add_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i)));
    for (; i < n; i++)
        a[i] += b[i];
}

INLINE __m256 swiglu(__m256 g, __m256 u)
{
    const __m256 one = _mm256_set1_ps(1);
    __m256 e = vec_exp(_mm256_sub_ps(_mm256_setzero_ps(), g));
    return _mm256_mul_ps(_mm256_div_ps(g, _mm256_add_ps(one, e)), u);
}

void swiglu_avx2(float *y, const float *gate, const float *up, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        _mm256_storeu_ps(y + i, swiglu(_mm256_loadu_ps(gate + i), _mm256_loadu_ps(up + i)));
    vec_put_n(y + i, swiglu(vec_get_n_f32(gate + i, n - i), vec_get_n_f32(up + i, n - i)), n - i);
}

/* One pair; fused as the vectors are. */
INLINE void rotate(float *a, float *b, float c, float s)
{
    float x = *a, y = *b;
    *a = fmaf(x, c, -(y * s));
    *b = fmaf(y, c, x * s);
}

void rope_neox_avx2(float *x, const float *cos, const float *sin, int n_heads, int head_dim, int n_rot)
{
    for (int h = 0, half = n_rot / 2; h < n_heads; h++, x += head_dim) {
        int i = 0;
        for (; i + LANES <= half; i += LANES) {
            __m256 a = _mm256_loadu_ps(x + i), b = _mm256_loadu_ps(x + half + i), c = _mm256_loadu_ps(cos + i), s = _mm256_loadu_ps(sin + i);
            _mm256_storeu_ps(x + i, _mm256_fmsub_ps(a, c, _mm256_mul_ps(b, s)));
            _mm256_storeu_ps(x + half + i, _mm256_fmadd_ps(b, c, _mm256_mul_ps(a, s)));
        }
        for (; i < half; i++)
            rotate(&x[i], &x[i + half], cos[i], sin[i]);
    }
}

void rope_norm_avx2(float *x, const float *cos, const float *sin, int n_heads, int head_dim, int n_rot)
{
    const __m256i twice = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
    for (int h = 0; h < n_heads; h++, x += head_dim) {
        int i = 0;
        for (; i + 4 <= n_rot / 2; i += 4) {
            __m256 v = _mm256_loadu_ps(x + 2 * i);
            __m256 c = _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(cos + i)), twice);
            __m256 s = _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(sin + i)), twice);
            __m256 swapped = _mm256_permute_ps(v, 0xb1);
            _mm256_storeu_ps(x + 2 * i, _mm256_fmaddsub_ps(v, c, _mm256_mul_ps(swapped, s)));
        }
        for (; i < n_rot / 2; i++)
            rotate(&x[2 * i], &x[2 * i + 1], cos[i], sin[i]);
    }
}

INLINE __m128i to_f16(__m256 v)
{
    v = _mm256_max_ps(_mm256_set1_ps(-65504), _mm256_min_ps(_mm256_set1_ps(65504), v)); /* a NaN in v stays */
    return _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

void to_f16_avx2(f16 *out, const float *x, size_t n)
{
    size_t i = 0;
    f16    part[LANES];
    for (; i + LANES <= n; i += LANES)
        _mm_storeu_si128((__m128i *)(void *)(out + i), to_f16(_mm256_loadu_ps(x + i)));
    _mm_storeu_si128((__m128i *)(void *)part, to_f16(vec_get_n_f32(x + i, n - i)));
    memcpy(out + i, part, (n - i) * sizeof *out);
}
