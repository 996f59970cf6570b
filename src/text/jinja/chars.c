/* What Python says of characters: str.isalpha() and its like. The tables hold what the general category does not tell. */
#include "text/jinja/jinja.h"

struct range {
    uint32_t from, to;
};

/* Unicode's Other_Lowercase and Other_Uppercase. */
static const struct range other_lower[] = {
    {0xaa, 0xaa},     {0xba, 0xba},     {0x2b0, 0x2b8},     {0x2c0, 0x2c1},     {0x2e0, 0x2e4},     {0x345, 0x345},
    {0x37a, 0x37a},   {0x1d2c, 0x1d6a}, {0x1d78, 0x1d78},   {0x1d9b, 0x1dbf},   {0x2071, 0x2071},   {0x207f, 0x207f},
    {0x2090, 0x209c}, {0x2170, 0x217f}, {0x24d0, 0x24e9},   {0x2c7c, 0x2c7d},   {0xa69c, 0xa69d},   {0xa770, 0xa770},
    {0xa7f8, 0xa7f9}, {0xab5c, 0xab5f}, {0x10780, 0x10780}, {0x10783, 0x10785}, {0x10787, 0x107b0}, {0x107b2, 0x107ba},
};
static const struct range other_upper[] = {{0x2160, 0x216f}, {0x24b6, 0x24cf}, {0x1f130, 0x1f149}, {0x1f150, 0x1f169}, {0x1f170, 0x1f189}};
/* Numeric_Type=Digit: superscripts, circled digits. */
static const struct range digit_like[] = {
    {0xb2, 0xb3},     {0xb9, 0xb9},     {0x1369, 0x1371},   {0x19da, 0x19da},   {0x2070, 0x2070},   {0x2074, 0x2079},   {0x2080, 0x2089},
    {0x2460, 0x2468}, {0x2474, 0x247c}, {0x2488, 0x2490},   {0x24ea, 0x24ea},   {0x24f5, 0x24fd},   {0x24ff, 0x24ff},   {0x2776, 0x277e},
    {0x2780, 0x2788}, {0x278a, 0x2792}, {0x10a40, 0x10a43}, {0x10e60, 0x10e68}, {0x11052, 0x1105a}, {0x1f100, 0x1f10a},
};
/* Letters with a Numeric_Value: the ideographs of numbers. */
static const struct range number_like[] = {
    {0x3405, 0x3405},   {0x3483, 0x3483},   {0x382a, 0x382a},   {0x3b4d, 0x3b4d},   {0x4e00, 0x4e00},   {0x4e03, 0x4e03},   {0x4e07, 0x4e07},
    {0x4e09, 0x4e09},   {0x4e5d, 0x4e5d},   {0x4e8c, 0x4e8c},   {0x4e94, 0x4e94},   {0x4e96, 0x4e96},   {0x4ebf, 0x4ec0},   {0x4edf, 0x4edf},
    {0x4ee8, 0x4ee8},   {0x4f0d, 0x4f0d},   {0x4f70, 0x4f70},   {0x5104, 0x5104},   {0x5146, 0x5146},   {0x5169, 0x5169},   {0x516b, 0x516b},
    {0x516d, 0x516d},   {0x5341, 0x5341},   {0x5343, 0x5345},   {0x534c, 0x534c},   {0x53c1, 0x53c4},   {0x56db, 0x56db},   {0x58f1, 0x58f1},
    {0x58f9, 0x58f9},   {0x5e7a, 0x5e7a},   {0x5efe, 0x5eff},   {0x5f0c, 0x5f0e},   {0x5f10, 0x5f10},   {0x62fe, 0x62fe},   {0x634c, 0x634c},
    {0x67d2, 0x67d2},   {0x6f06, 0x6f06},   {0x7396, 0x7396},   {0x767e, 0x767e},   {0x8086, 0x8086},   {0x842c, 0x842c},   {0x8cae, 0x8cae},
    {0x8cb3, 0x8cb3},   {0x8d30, 0x8d30},   {0x9621, 0x9621},   {0x9646, 0x9646},   {0x964c, 0x964c},   {0x9678, 0x9678},   {0x96f6, 0x96f6},
    {0xf96b, 0xf96b},   {0xf973, 0xf973},   {0xf978, 0xf978},   {0xf9b2, 0xf9b2},   {0xf9d1, 0xf9d1},   {0xf9d3, 0xf9d3},   {0xf9fd, 0xf9fd},
    {0x20001, 0x20001}, {0x20064, 0x20064}, {0x200e2, 0x200e2}, {0x20121, 0x20121}, {0x2092a, 0x2092a}, {0x20983, 0x20983}, {0x2098c, 0x2098c},
    {0x2099c, 0x2099c}, {0x20aea, 0x20aea}, {0x20afd, 0x20afd}, {0x20b19, 0x20b19}, {0x22390, 0x22390}, {0x22998, 0x22998}, {0x23b1b, 0x23b1b},
    {0x2626d, 0x2626d}, {0x2f890, 0x2f890},
};

static bool in(const struct range *t, size_t n, uint32_t cp)
{
    for (size_t i = 0; i < n; i++)
        if (cp >= t[i].from && cp <= t[i].to)
            return true;
    return false;
}
#define IN(table, cp) in(table, sizeof(table) / sizeof *(table), cp)

/* Category "Lt" has a lower and an upper form that both differ from it. */
static bool is_title(uint32_t cp)
{
    return cp >= 0x1c5 && unicode_category(cp)[1] == 't';
}
static bool is_upper(uint32_t cp)
{
    return (unicode_is_upper(cp) && !is_title(cp)) || IN(other_upper, cp);
}
static bool is_lower(uint32_t cp)
{
    return unicode_is_lower(cp) || IN(other_lower, cp);
}
static bool is_alpha(uint32_t cp)
{
    return unicode_category(cp)[0] == 'L';
}
static bool is_decimal(uint32_t cp)
{
    return unicode_category(cp)[0] == 'N' && unicode_category(cp)[1] == 'd';
}
static bool is_digit(uint32_t cp)
{
    return is_decimal(cp) || IN(digit_like, cp);
}
static bool is_numeric(uint32_t cp)
{
    return unicode_category(cp)[0] == 'N' || IN(number_like, cp);
}
static bool is_alnum(uint32_t cp)
{
    return is_alpha(cp) || is_numeric(cp);
}

bool jchar_is_space(struct uchar c)
{
    return c.class == CLASS_SPACE || (c.cp >= 0x1c && c.cp <= 0x1f);
}
bool jchar_is_word(uint32_t cp)
{
    return cp == '_' || is_alnum(cp);
}
bool jchar_is_cased(uint32_t cp)
{
    if (cp < 0x80) /* most are: the rest looks into tables */
        return (cp | 32) >= 'a' && (cp | 32) <= 'z';
    return unicode_is_upper(cp) || is_lower(cp) || IN(other_upper, cp);
}

bool jchar_is_printable(uint32_t cp)
{
    const char *c = unicode_category(cp);
    return cp == ' ' || (c[0] != 'C' && c[0] != 'Z');
}

/* The digits of a script stand in a row of ten that begins with its zero. */
int jchar_digit(uint32_t cp)
{
    if (cp < 0x80)
        return cp >= '0' && cp <= '9' ? (int)cp - '0' : -1;
    if (!is_decimal(cp))
        return -1;
    if (cp >= 0x1d7ce && cp <= 0x1d7ff) /* five rows side by side */
        return (int)((cp - 0x1d7ce) % 10);
    int n = 0;
    while (n < 9 && is_decimal(cp - 1 - (uint32_t)n))
        n++;
    return n;
}

static bool is_one(uint32_t cp, int what)
{
    switch (what) {
    case CHARS_DIGIT: return is_digit(cp);
    case CHARS_NUMERIC: return is_numeric(cp);
    case CHARS_DECIMAL: return is_decimal(cp);
    case CHARS_ALPHA: return is_alpha(cp);
    case CHARS_ALNUM: return is_alnum(cp);
    case CHARS_ASCII: return cp < 0x80;
    default: return jchar_is_printable(cp);
    }
}

static bool is_identifier(uint32_t cp, bool first)
{
    const char *c = unicode_category(cp);
    if (cp == '_' || c[0] == 'L' || (c[0] == 'N' && c[1] == 'l'))
        return true;
    return !first && (c[0] == 'M' || (c[0] == 'N' && c[1] == 'd') || (c[0] == 'P' && c[1] == 'c'));
}

/* Words in title case: an upper or title letter only behind what has no case, a lower one only behind a letter with case. */
struct cases {
    bool some, wrong, cased;
};
static void see_case(struct cases *c, uint32_t cp, int what)
{
    bool up = is_upper(cp) || is_title(cp), low = is_lower(cp);
    if (what == CHARS_TITLE)
        c->wrong |= (up && c->cased) || (low && !c->cased);
    else
        c->wrong |= what == CHARS_UPPER ? low || is_title(cp) : up;
    c->some |= what == CHARS_TITLE ? up || low : what == CHARS_UPPER ? is_upper(cp) : low;
    c->cased = up || low;
}

bool jchars_are(struct jrun *r, struct jstr s, int what, bool *out)
{
    struct cases cases = {0};
    bool all = s.n > 0 || what == CHARS_ASCII || what == CHARS_PRINTABLE;
    for (size_t at = 0; all && at < s.n;) {
        struct uchar c = uchar_at(s.p + at, s.n - at);
        if (what == CHARS_UPPER || what == CHARS_LOWER || what == CHARS_TITLE)
            see_case(&cases, c.cp, what);
        else
            all = what == CHARS_SPACE ? jchar_is_space(c) : what == CHARS_IDENTIFIER ? is_identifier(c.cp, at == 0) : is_one(c.cp, what);
        at += c.n;
    }
    bool by_case = what == CHARS_UPPER || what == CHARS_LOWER || what == CHARS_TITLE;
    *out = by_case ? cases.some && !cases.wrong : all;
    return jstep(r, s.n / 4);
}
