/* Patterns that cut a text by sets of characters: digits, punctuation, scripts (DeepSeek, Falcon, Bloom and others). A stage that isolates
 * matches leaves what stands between them whole. */
#include "text/pretok_int.h"
#include <string.h>

struct range {
    uint32_t from, to;
};

static bool in(const struct range *r, size_t n, uint32_t cp)
{
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (cp > r[mid].to)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && cp >= r[lo].from;
}
#define IN(ranges, cp) in(ranges, sizeof(ranges) / sizeof *(ranges), cp)

/* Which set a character is of; 0: none. A match is a row of characters of one set. */
typedef int set_of(struct uchar c);
enum lead { NO_LEAD, LEAD_SPACE /* ` ?` */, LEAD_BLANK /* `\s?` */ };

/* The set of the match that begins at p, 0 when none does; *from is where its row begins behind the lead. */
static int match_set(const char *p, size_t n, set_of *set, enum lead lead, size_t *from)
{
    struct uchar c = uchar_at(p, n);
    bool leads = (lead == LEAD_SPACE && c.cp == ' ') || (lead == LEAD_BLANK && c.is == U_SPACE);
    int s = leads && c.n < n ? set(uchar_at(p + c.n, n - c.n)) : 0;
    *from = s ? c.n : 0;
    return s ? s : set(c);
}

/* `lead?[set]+`: the match at p, or what stands before the next one. */
static size_t isolate(const char *p, size_t n, set_of *set, enum lead lead)
{
    size_t at = 0, from;
    int s = match_set(p, n, set, lead, &from);
    if (s) {
        for (at = from; at < n;) {
            struct uchar c = uchar_at(p + at, n - at);
            if (set(c) != s)
                break;
            at += c.n;
        }
        return at;
    }
    do
        at += uchar_at(p + at, n - at).n;
    while (at < n && !match_set(p + at, n - at, set, lead, &from));
    return at;
}

/* ---- digits ---- */

static int is_number(struct uchar c)
{
    return c.is == U_NUMBER;
}

/* `\p{N}+` */
size_t digits(const char *p, size_t n)
{
    return isolate(p, n, is_number, NO_LEAD);
}

/* `\p{N}{1,max}` */
static size_t numbers(const char *p, size_t n, int max)
{
    size_t len = digits_of(p, n, max);
    return len ? len : isolate(p, n, is_number, NO_LEAD);
}
size_t digit(const char *p, size_t n)
{
    return numbers(p, n, 1);
}
size_t three_numbers(const char *p, size_t n)
{
    return numbers(p, n, 3);
}

/* `[0-9][0-9][0-9]` */
size_t three_digits(const char *p, size_t n)
{
    size_t run = 0;
    for (size_t at = 0; at < n; at++) {
        work(1);
        run = p[at] >= '0' && p[at] <= '9' ? run + 1 : 0;
        if (run == 3)
            return at == 2 ? 3 : at - 2;
    }
    return n;
}

/* `\d{1,3}(?=(?:\d{3})*\b)` in three stages, each linear: first the rows of digits that end at the end of a word, then of a row what is
 * too much for groups of three, then the groups. */
size_t grouped_digits(const char *p, size_t n)
{
    for (size_t at = 0, end; at < n; at = end) {
        struct uchar c = uchar_at(p + at, n - at);
        end = at + c.n;
        if (!unicode_is_digit(c.cp))
            continue;
        for (; end < n && unicode_is_digit((c = uchar_at(p + end, n - end)).cp); end += c.n)
            ;
        if (end == n || !unicode_is_word(c.cp))
            return at ? at : end;
    }
    return n;
}

static int is_digit(struct uchar c)
{
    return unicode_is_digit(c.cp);
}

/* The length of the first characters of p, at most `max`. */
static size_t chars(const char *p, size_t n, size_t max)
{
    size_t at = 0;
    for (; max && at < n; max--)
        at += uchar_at(p + at, n - at).n;
    return at;
}

static size_t head(const char *p, size_t n, set_of *set)
{
    size_t at = 0, count = 0;
    for (struct uchar c; at < n && set(c = uchar_at(p + at, n - at)); at += c.n)
        count++;
    return at == n && count % 3 ? chars(p, n, count % 3) : n;
}

/* A piece that begins and ends with a digit is digits throughout: the stages before see to that. */
static size_t by_three(const char *p, size_t n, set_of *set)
{
    size_t last = n - 1;
    while (last > 0 && ((uint8_t)p[last] & 0xc0) == 0x80)
        last--;
    return set(uchar_at(p, n)) && set(uchar_at(p + last, n - last)) ? chars(p, n, 3) : n;
}

size_t thousands_head(const char *p, size_t n)
{
    return head(p, n, is_digit);
}
size_t thousands(const char *p, size_t n)
{
    return by_three(p, n, is_digit);
}

/* `\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))` inside rows of numbers */
size_t numbers_head(const char *p, size_t n)
{
    return head(p, n, is_number);
}
size_t numbers_by_three(const char *p, size_t n)
{
    return by_three(p, n, is_number);
}

/* ---- punctuation and blanks ---- */

static int is_punctuation(struct uchar c)
{
    return c.is == U_PUNCT || (c.cp < 0x80 && c.cp && strchr("$+<=>^~|", (int)c.cp));
}
static int is_punctuation_grave(struct uchar c)
{
    return is_punctuation(c) || c.cp == '`';
}

/* `[\p{P}\$\+<=>\^~\|]+`, and with the grave accent */
size_t punctuation(const char *p, size_t n)
{
    return isolate(p, n, is_punctuation, NO_LEAD);
}
size_t punctuation_grave(const char *p, size_t n)
{
    return isolate(p, n, is_punctuation_grave, NO_LEAD);
}

/* `[\r\n]` */
size_t newline(const char *p, size_t n)
{
    size_t at = 0;
    while (at < n && !is_newline((uint8_t)p[at]))
        at++;
    work(at + 1);
    return at ? at : 1;
}

/* `[^\n]+|[\n]+` */
size_t newline_runs(const char *p, size_t n)
{
    size_t at = 1;
    while (at < n && (p[at] == '\n') == (p[0] == '\n'))
        at++;
    work(at);
    return at;
}

/* `\s+$` */
size_t trailing_blanks(const char *p, size_t n)
{
    size_t from = n;
    for (size_t at = 0; at < n;) {
        struct uchar c = uchar_at(p + at, n - at);
        if (c.is != U_SPACE)
            from = n;
        else if (from == n)
            from = at;
        at += c.n;
    }
    return from ? from : n;
}

/* `\s{512}(?!\S)|\s{256}(?!\S)|...|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}` inside a row of blanks that llama3 cut; rows that end a line stay. */
size_t space_steps(const char *p, size_t n)
{
    size_t last = n - 1;
    while (last > 0 && ((uint8_t)p[last] & 0xc0) == 0x80)
        last--;
    struct uchar z = uchar_at(p + last, n - last);
    if (uchar_at(p, n).is != U_SPACE || z.is != U_SPACE || is_newline(z.cp))
        return n;
    size_t at = 0, end = 0;
    for (int chars = 1; at < n && chars <= 512; chars++) {
        at += uchar_at(p + at, n - at).n;
        if (chars != 3 && (chars & (chars - 1)) == 0)
            end = at;
    }
    return end;
}

/* ` ?[^(\s|.,!?…。，、।۔،)]+` */
static int is_bloom(struct uchar c)
{
    static const struct range shut[] = {{0x60c, 0x60c}, {0x6d4, 0x6d4}, {0x964, 0x964}, {0x2026, 0x2026}, {0x3001, 0x3002}, {0xff0c, 0xff0c}};
    return c.is != U_SPACE && !(c.cp < 0x80 && c.cp && strchr("(|.,!?)", (int)c.cp)) && !IN(shut, c.cp);
}
size_t bloom_words(const char *p, size_t n)
{
    return isolate(p, n, is_bloom, LEAD_SPACE);
}

/* ---- scripts ---- */

/* `\s?[A-Za-zµÀ-Ö...]+`: the letters of scripts with case */
static int is_cased_letter(struct uchar c)
{
    static const struct range r[] = {
        {0x41, 0x5a},       {0x61, 0x7a},       {0xb5, 0xb5},      {0xc0, 0xd6},       {0xd8, 0xf6},       {0xf8, 0x1ba},      {0x1bc, 0x1bf},
        {0x1c4, 0x293},     {0x295, 0x2af},     {0x370, 0x373},    {0x376, 0x376},     {0x377, 0x377},     {0x37b, 0x37d},     {0x37f, 0x37f},
        {0x386, 0x386},     {0x388, 0x38a},     {0x38c, 0x38c},    {0x38e, 0x3a1},     {0x3a3, 0x3f5},     {0x3f7, 0x481},     {0x48a, 0x52f},
        {0x531, 0x556},     {0x10a0, 0x10c5},   {0x13a0, 0x13f5},  {0x13f8, 0x13fd},   {0x1c90, 0x1cba},   {0x1cbd, 0x1cbf},   {0x1d00, 0x1d2b},
        {0x1d6b, 0x1d77},   {0x1d79, 0x1d9a},   {0x1e00, 0x1f15},  {0x1f18, 0x1f1d},   {0x1f20, 0x1f45},   {0x1f48, 0x1f4d},   {0x1f50, 0x1f57},
        {0x1f59, 0x1f59},   {0x1f5b, 0x1f5b},   {0x1f5d, 0x1f5d},  {0x1f5f, 0x1f7d},   {0x1f80, 0x1fb4},   {0x1fb6, 0x1fbc},   {0x1fbe, 0x1fbe},
        {0x1fc2, 0x1fc4},   {0x1fc6, 0x1fcc},   {0x1fd0, 0x1fd3},  {0x1fd6, 0x1fdb},   {0x1fe0, 0x1fec},   {0x1ff2, 0x1ff4},   {0x1ff6, 0x1ffc},
        {0x2102, 0x2102},   {0x2107, 0x2107},   {0x210a, 0x2113},  {0x2115, 0x2115},   {0x2119, 0x211d},   {0x2124, 0x2124},   {0x2126, 0x2126},
        {0x2128, 0x2128},   {0x212a, 0x212d},   {0x212f, 0x2134},  {0x2139, 0x2139},   {0x213c, 0x213f},   {0x2145, 0x2149},   {0x214e, 0x214e},
        {0x2183, 0x2183},   {0x2184, 0x2184},   {0x2c00, 0x2c7b},  {0x2c7e, 0x2ce4},   {0x2ceb, 0x2cee},   {0x2cf2, 0x2cf2},   {0x2cf3, 0x2cf3},
        {0xa640, 0xa66d},   {0xa680, 0xa69b},   {0xa722, 0xa76f},  {0xa771, 0xa787},   {0xa78b, 0xa78e},   {0xab70, 0xabbf},   {0xfb00, 0xfb06},
        {0xfb13, 0xfb17},   {0xff21, 0xff3a},   {0xff41, 0xff5a},  {0x10400, 0x1044f}, {0x104b0, 0x104d3}, {0x104d8, 0x104fb}, {0x10c80, 0x10cb2},
        {0x10cc0, 0x10cf2}, {0x118a0, 0x118df}, {0x1e900, 0x1e943}};
    return IN(r, c.cp);
}
size_t deepseek_letters(const char *p, size_t n)
{
    return isolate(p, n, is_cased_letter, LEAD_BLANK);
}

/* `\s?[!-/:-~！-／：-～‘-‟　-。]+`: from ':' to '~' there are letters too */
static int is_wide_punctuation(struct uchar c)
{
    static const struct range r[] = {{0x21, 0x2f}, {0x3a, 0x7e}, {0x2018, 0x201f}, {0x3000, 0x3002}, {0xff01, 0xff0f}, {0xff1a, 0xff5e}};
    return IN(r, c.cp);
}
size_t deepseek_punctuation(const char *p, size_t n)
{
    return isolate(p, n, is_wide_punctuation, LEAD_BLANK);
}

/* `[一-龥ࠀ-一가-퟿]+` */
static int is_asian(struct uchar c)
{
    return (c.cp >= 0x800 && c.cp <= 0x9fa5) || (c.cp >= 0xac00 && c.cp <= 0xd7ff);
}
size_t deepseek_cjk(const char *p, size_t n)
{
    return isolate(p, n, is_asian, NO_LEAD);
}

/* `\s?\p{L}+`, `\s?\p{P}+` */
static int is_letter(struct uchar c)
{
    return (c.is & U_LETTER) != 0;
}
static int is_punct(struct uchar c)
{
    return c.is == U_PUNCT;
}
size_t coder_letters(const char *p, size_t n)
{
    return isolate(p, n, is_letter, LEAD_BLANK);
}
size_t coder_punctuation(const char *p, size_t n)
{
    return isolate(p, n, is_punct, LEAD_BLANK);
}

/* `[一-龥぀-ゟ゠-ヿ]+` */
static int is_chinese_or_kana(struct uchar c)
{
    return (c.cp >= 0x4e00 && c.cp <= 0x9fa5) || (c.cp >= 0x3040 && c.cp <= 0x30ff);
}
size_t deepseek3_cjk(const char *p, size_t n)
{
    return isolate(p, n, is_chinese_or_kana, NO_LEAD);
}

/* `[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+` */
static int youtu_set(struct uchar c)
{
    static const struct range korean[] = {{0x3131, 0x318e}, {0xac00, 0xd7a3}}, bopomofo[] = {{0x3105, 0x312f}},
                              marks[] = {{0x2014, 0x2014}, {0x2018, 0x2019}, {0x201c, 0x201d}, {0x2026, 0x2026}, {0x3001, 0x303f},
                                         {0xfe30, 0xfe4f}, {0xff01, 0xff01}, {0xff0c, 0xff0c}, {0xff1a, 0xff1b}};
    return IN(korean, c.cp) ? 1 : IN(marks, c.cp) ? 2 : IN(bopomofo, c.cp) ? 3 : is_chinese_or_kana(c) ? 4 : 0;
}
size_t youtu_scripts(const char *p, size_t n)
{
    return isolate(p, n, youtu_set, NO_LEAD);
}

/* `[一-鿿㐀-䶿豈-﫿぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-힯ᄀ-ᇿ]+` */
static int is_afmoe(struct uchar c)
{
    static const struct range r[] = {{0xe40, 0xeff},   {0x1000, 0x109f}, {0x1100, 0x11ff}, {0x1780, 0x17ff}, {0x2f00, 0x2fdf},
                                     {0x3040, 0x30ff}, {0x3400, 0x4dbf}, {0x4e00, 0x9fff}, {0xa9e0, 0xa9ff}, {0xaa60, 0xaa7f},
                                     {0xac00, 0xd7af}, {0xf900, 0xfaff}, {0xff65, 0xff9f}};
    return IN(r, c.cp);
}
size_t afmoe_scripts(const char *p, size_t n)
{
    return isolate(p, n, is_afmoe, NO_LEAD);
}

/* ---- DeepSeek V3 ---- */

static bool is_ascii_mark(struct uchar c)
{
    return c.cp < 0x80 && (c.is & (U_PUNCT | U_SYMBOL));
}
static bool is_ascii_letter(struct uchar c)
{
    return c.cp < 0x80 && (c.is & U_LETTER);
}

/* `[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+` at p, or 0 */
static size_t word_or_marks(const char *p, size_t n)
{
    struct uchar c = uchar_at(p, n), next = c.n < n ? uchar_at(p + c.n, n - c.n) : (struct uchar){0};
    if (is_ascii_mark(c) && is_ascii_letter(next)) {
        size_t at = 2;
        while (at < n && is_ascii_letter(uchar_at(p + at, n - at)))
            at++;
        return at;
    }
    if (c.is & (U_LETTER | U_MARK))
        return run_of(p, n, 0, U_LETTER | U_MARK);
    bool may_lead = !(c.is & (U_PUNCT | U_SYMBOL)) && !is_newline(c.cp);
    if (may_lead && next.is & (U_LETTER | U_MARK))
        return run_of(p, n, c.n, U_LETTER | U_MARK);
    if (c.is & (U_PUNCT | U_SYMBOL) || (c.cp == ' ' && next.is & (U_PUNCT | U_SYMBOL)))
        return run_of(p, n, c.n, U_PUNCT | U_SYMBOL);
    return 0;
}

/* `word_or_marks[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`; the newlines only after marks */
static size_t match3(const char *p, size_t n)
{
    size_t len = word_or_marks(p, n);
    if (!len) {
        len = line_ends(p, n);
        return len ? len : blanks(p, n);
    }
    struct uchar first = uchar_at(p, n);
    size_t lead = first.cp == ' ' && len > 1;
    if (uchar_at(p + lead, n - lead).is & (U_PUNCT | U_SYMBOL) && !is_ascii_letter(uchar_at(p + len - 1, 1)))
        while (len < n && is_newline((uint8_t)p[len]))
            len++;
    return len;
}

static size_t match_spark(const char *p, size_t n)
{
    size_t len = word_or_marks(p, n);
    return len ? len : is_newline((uint8_t)p[0]) ? 1 : blanks(p, n);
}

/* Digits and controls match nothing: they stay together until something does. */
static size_t or_gap(const char *p, size_t n, size_t (*match)(const char *p, size_t n))
{
    size_t len = match(p, n), at = 0;
    while (!len && (at += uchar_at(p + at, n - at).n) < n)
        if (match(p + at, n - at))
            break;
    return len ? len : at;
}
size_t deepseek3(const char *p, size_t n)
{
    return or_gap(p, n, match3);
}
size_t spark(const char *p, size_t n)
{
    return or_gap(p, n, match_spark);
}
