#!/usr/bin/python3
"""Makes snippets.json: thousands of small templates and what Jinja2 (Debian: python3-jinja2) answers, set up as `transformers` does.
    python3 tests/golden/snippets.py > /tmp/x && mv /tmp/x tests/golden/snippets.json
A group is {"form": a template with $ in it, "rows": [[what stands for $, the answer or null for an error], ...]}. Where sluice differs on
purpose a row has two more: what sluice answers, and the number of the reason in "reasons"."""
import copy, itertools, json, re, sys
import jinja2
from jinja2_env import render

MESSAGES = [{"role": "system", "content": "S <b>"}, {"role": "user", "content": "h\u00e9llo w\u00f6rld"}]
REASONS = []
INT = (-(2**63), 2**63 - 1)


def reason(text):
    if text not in REASONS:
        REASONS.append(text)
    return REASONS.index(text)


# Where sluice differs from Jinja2 on purpose: the first rule whose pattern is in the source and which takes Jinja2's answer.
# -> what sluice answers (None: an error), and why.
RULES = [
    (r"(\.|'|\b)__[a-z]", None, None, "a name that begins with __ is an error at once, not undefined"),
    (r"pprint|wordwrap|\|attr\('|xmlattr", None, None, "the filters attr, pprint, random, urlize, wordwrap and xmlattr are not there: no chat template uses them"),
    (r"block a|autoescape|% print", None, None, "block, autoescape, print, extends, include and import are not there"),
    (r"% generation", None, "x", "{% generation %} of the `transformers` library is known: it is its body"),
    (r"^{% for x in none %}", None, "none", "a loop over none is a loop over nothing: templates for tools then also serve a chat without tools"),
    (r"(self|lipsum) is defined", None, "False", "self and lipsum are not there"),
    (r"range\(3\) == ", None, "True", "where Python has ranges, views and generators sluice has lists"),
    (r"batch\((0|'a')\)", None, None, "batch takes rows of at least one item"),
    (r"\.(real|imag) ", None, "", "numbers have no attributes and no methods"),
    (r"\.(conjugate|bit_length|is_integer)\(", None, None, "numbers have no attributes and no methods"),
    (r"\\N{", None, None, "\\N{NAME} is not there"),
    (r"\\ud83d", None, None, "half of a surrogate pair is no character"),
    (r"'\\\u00e9'", None, "\\\u00e9", "a backslash before a letter that is not ASCII stays as it is; Jinja2 writes the letter as an escape"),
    (r"'abc'\['a':\]|'abc'\[1\.0:\]|{'a': 1}\[0:1\]|{ 5\[0:1\]|none\[1:\]", lambda out: out == "", None,
     "what cannot be sliced is an error: so it is in Jinja2, too, but where it folds constants"),
    (r"is (odd|string) (if|in|not in) ", lambda out: out is None, "True", "a test without an argument may stand before if, in and not in"),
    (r"(?<!')\d|int", lambda out: out and re.fullmatch(r"-?\d+", out) and not INT[0] <= int(out) <= INT[1], None, "whole numbers have 64 bits; what does not fit is an error"),
    (r"{ -9223372036854775808 }", None, None, "the sign is no part of a number, and 9223372036854775808 has more than 64 bits"),
    (r"\*\*", lambda out: out and "j)" in out, None, "there are no complex numbers"),
]

STRINGS = ["''", "'a'", "'abc'", "'Hello World'", "'  x '", "'12'", "'-3'", "'1.5'", "'a,b,,c'", "'\u00e4\u00d6\u00df'", "'\u4f60\u597d'", "'\U0001f600'",
           "\"it's\"", "'a\\nb\\r\\nc\\n'", "'<b>&\"x\"'", "'x y  z'", "'FOO bar'", "'0x1f'", "'\u01c4'", "'\u0130i'"]
NUMBERS = ["0", "1", "-1", "2", "3", "10", "-7", "2.5", "-2.5", "0.5", "1e3", "1.0", "0.0", "1e20"]
LISTS = ["[]", "[1]", "[1, 2, 3]", "[3, 1, 2]", "['a', 'b']", "['b', 'A', 'a', 'B']", "[1, 'a']", "[[1, 2], [3]]", "[none]", "[true, false, 1, 0]", "()", "(1,)", "(1, 2)",
         "[{'n': 2, 's': 'x'}, {'n': 1, 's': 'y'}]", "[1.5, 2]", "['', 'x']"]
DICTS = ["{}", "{'a': 1}", "{'b': 2, 'a': 1}", "{'a': {'b': [1, 2]}}", "{1: 'x'}", "{'B': 1, 'a': 2}"]
OTHERS = ["true", "false", "none", "u", "namespace(a=1)", "messages", "messages[1]"]
ALL = STRINGS + NUMBERS + LISTS + DICTS + OTHERS

FILTERS = """abs capitalize count d default e escape first float forceescape int items last length list lower max min reverse round safe sort string sum
title tojson trim unique upper wordcount join striptags urlencode center batch(2) slice(2) dictsort filesizeformat truncate wordwrap indent pprint""".split()
LAZY_FILTERS = {"unique", "reverse", "batch(2)", "slice(2)", "items"}
TESTS = """defined undefined none string mapping iterable sequence number integer float boolean true false callable odd even upper lower escaped divisibleby(2)
divisibleby(0) sameas(1) sameas(none) eq(1) ne(1) lt(2) le(2) gt(1) ge(1) in([1,'a',none]) in('abc') filter test""".split()


def join(values, forms):
    return [f.replace("@", v) for v in values for f in forms]


def groups():
    yield "{{ $ }}", [f"{v}|{f}|list" if f in LAZY_FILTERS else f"{v}|{f}" for f in FILTERS for v in ALL]
    yield "{{ $ }}", [f"{v} is {t}" for t in TESTS for v in ALL]
    yield "{{ $ }}", filter_arguments()
    few = ["0", "1", "-1", "2", "-7", "2.5", "0.0", "true", "none", "u", "''", "'ab'", "[]", "[1]", "(1,)", "[1, 2]", "{}", "{'a': 1}"]
    ops = ["+", "-", "*", "/", "//", "%", "**", "~"]
    yield "{{ $ }}", [f"{a} {op} {b}" for op in ops for a in few for b in few if not (op == "%" and a.startswith("'"))]
    yield "{{ $ }}", [f"{a} {op} {b}" for op in ["==", "<", ">=", "in"] for a in few for b in few]
    yield "{{ $ }}", [f"{a} {op} {b}" for op in ["!=", "<=", ">", "not in", "and", "or"] for a in few[::2] for b in few[1::2]]
    yield "{{ $ }}", [f"{s}{x}" for x in few[:10] for s in ["-", "+", "not ", "- -", "not not "]] + precedence()
    yield "{{ $ }}", string_methods() + other_methods()
    yield "{{ $ }}", slices() + lookups() + literals()
    yield "$", whitespace() + statements() + loops() + macros() + errors()
    yield "{{ $ }}", functions() + markup()
    yield "$", HAND


def filter_arguments():
    out = []
    texts = ["'abc'", "'Hello World'", "'a,b,,c'", "'\u00e4\u00d6\u00df'", "''", "'aXbXc'", "5", "none", "u"]
    out += [f"{v}|{f}" for v in texts for f in ["replace('b', 'YY')", "replace('', '-')", "replace('X', '-', 1)", "replace('X', '')", "trim('a')", "trim('ac')", "default('z')", "default('z', true)",
            "default(default_value='z', boolean=true)", "d(5)", "center(9)", "center(2)", "truncate(3)", "truncate(7, true)", "truncate(7, true, '..', 0)", "truncate(255)", "truncate(6, false, '!', 0)",
            "wordwrap(3)", "wordwrap(5, false)", "indent(2)", "indent(2, true)", "indent('> ')", "format(1)", "int(9)", "int(base=16)", "float(1.5)", "string|upper", "list|join('-')", "join('-')",
            "length", "tojson(indent=2)", "first", "last", "replace(1, 2)", "split(',')", "attr('x')", "startswith('a')"]]
    out += [f"{v}|{f}" for v in ["'a\\nb\\n\\nc'", "'\\na'", "'a\\n'", "'x'"] for f in ["indent", "indent(2)", "indent(2, true)", "indent(2, false, true)", "indent(width=3, blank=true)", "indent('--', first=true)", "indent(0)"]]
    out += [f"{v}|round{a}" for v in ["2.5", "3.5", "-2.5", "1.005", "2.675", "42", "-42", "1234.5678", "0.5", "1.5", "1e20", "true", "'a'"] for a in ["", "(1)", "(2)", "(-1)", "(-2)", "(0, 'floor')", "(0, 'ceil')", "(1, 'floor')", "(-1, 'ceil')", "(1, 'x')", "(precision=1, method='ceil')"]]
    out += [f"{v}|int{a}" for v in ["'10'", "'ff'", "'0xff'", "'0b11'", "'0o17'", "'-0x1f'", "'1_000'", "' 7 '", "'1e3'", "'3.99'", "'-3.99'", "'inf'", "'nan'", "''", "3.99", "-3.99", "true", "none", "[]", "u", "'z'", "'\u0663'", "'+5'", "'1__0'", "('9' * 30)"] for a in ["", "(base=16)", "(base=2)", "(base=0)", "(5)", "(default=7, base=8)"]]
    out += [f"{v}|float{a}" for v in ["'1.5'", "'1e3'", "' -2 '", "'inf'", "'nan'", "''", "'x'", "'1_0.5'", "3", "true", "none", "[]", "u", "'.5'", "'5.'", "'+1'"] for a in ["", "(9)", "(default='q')"]]
    lists = ["[3, 1, 2]", "['b', 'A', 'a', 'B']", "[{'n': 2, 's': 'x'}, {'n': 1, 's': 'Y'}, {'s': 'x'}]", "[{'a': {'b': 2}}, {'a': {'b': 1}}]", "[]", "'cab'", "{'b': 1, 'a': 2}", "[[2, 'x'], [1, 'y']]", "[1, 'a', none]", "[1.5, true, 2]", "none", "u", "5"]
    out += [f"{v}|{f}" for v in lists for f in ["sort", "sort(true)", "sort(reverse=true)", "sort(case_sensitive=true)", "sort(attribute='n')", "sort(attribute='s')", "sort(attribute='a.b')", "sort(attribute='n,s')", "sort(attribute='1')", "sort(attribute=0)",
            "unique|list", "unique(true)|list", "unique(attribute='s')|list", "max", "min", "max(attribute='n')", "min(attribute='s')", "max(case_sensitive=true)", "sum", "sum(attribute='n')", "sum(start=10)", "sum(attribute='a.b', start=1)",
            "join", "join(', ')", "join('-', attribute='s')", "join(d='+', attribute='n')", "map('string')|list", "map(attribute='n')|list", "map(attribute='n', default='?')|list", "map('upper')|list", "map('default', 5)|list", "map(attribute='a.b')|list", "map('nofilter')|list", "map|list", "map(attribute=0)|list",
            "select|list", "reject|list", "select('string')|list", "select('gt', 1)|list", "select('==', 1)|list", "select('odd')|list", "reject('in', [1, 'a'])|list", "select('notest')|list", "selectattr('n')|list", "selectattr('n', 'gt', 1)|list", "selectattr('s', '==', 'x')|list", "selectattr('n', 'defined')|list", "selectattr('n', 'undefined')|list", "rejectattr('n')|list", "rejectattr('n', 'eq', 2)|list", "rejectattr('s', 'equalto', 'x')|list", "selectattr('a.b', 'lt', 2)|list", "selectattr|list",
            "first", "last", "length", "list", "reverse|list", "batch(2)|list", "batch(2, '-')|list", "batch(3, fill_with=0)|list", "slice(2)|map('list')|list", "slice(2, 'x')|list", "slice(3)|list", "groupby('n')|list", "groupby('s')|list", "groupby('s', case_sensitive=true)|list", "groupby('n', default=0)|list", "groupby(attribute='s')|map('first')|list", "groupby('a.b')|list", "groupby(0)|list",
            "dictsort", "dictsort(true)", "dictsort(by='value')", "dictsort(reverse=true)", "dictsort(false, 'value', true)", "dictsort(by='x')", "items|list", "tojson", "string", "batch(0)|list", "slice(0)|list"]]
    json_values = ["{'b': [1, {'c': none}], 'a': 'x\"\\u00e9\\n<'}", "[1.0, 1e20, 0.1, 1e-7, true]", "[]", "{}", "[[], {}]", "'\u00e9\U0001f600\\t\\\\'", "u", "namespace(a=1)", "{1: 2, none: 3, true: 4, 1.5: 5}", "(1, [2])", "{(1,): 2}", "'\\u2028\\x7f\\x00'", "messages", "range"]
    out += [f"{v}|tojson{a}" for v in json_values for a in ["", "(indent=2)", "(indent=0)", "(ensure_ascii=true)", "(sort_keys=true)", "(separators=(',', ':'))", "(indent=4, separators=(',', ': '))", "(indent=2, sort_keys=true)", "(true)", "(indent='\\t')", "(indent=none)", "(indent=-1)", "(separators=[',', ':'])", "(false, 2)", "(nope=1)"]]
    out += [f"{v}|{f}" for v in ["'%s'", "'%d-%s'", "'%05d'", "'%.2f'", "'%x'", "'%%'", "'%r'", "'%s %s'", "'%(a)s'", "'%5s|'", "'%-5s|'", "'%e'", "'%c'", "'%q'", "'%'", "'%+d'", "'%i'", "'%g'", "'%.3s'"] for f in ["format(1)", "format('x')", "format(1, 2)", "format(3.14159)", "format(a=1)", "format()", "format(none)"]]
    out += [f"{v}|{f}" for v in ["'<b>x</b> y'", "'a&b'", "'a b/c?d=\u00e9'", "{'a': 1, 'b c': 'd&'}", "[('a', 1)]", "'<!-- c -->a  b'", "5", "none"] for f in ["striptags", "urlencode", "escape", "forceescape", "e|length", "safe", "xmlattr"]]
    out += [f"{v}|filesizeformat{a}" for v in ["0", "1", "2", "999", "1000", "1023", "1024", "1500", "1000000", "123456789", "1e15", "'300'", "-5"] for a in ["", "(true)"]]
    out += [f"{v}|wordcount" for v in ["'a b'", "'it\\'s a-b c_d'", "'\u4f60\u597d \u4e16\u754c'", "'1 2,3'", "''", "'!?'"]]
    out += [f"{v}|urlencode" for v in ["'\u4f60'", "'~-._/:'", "'a+b'", "''"]]
    out += ["'abc'|upper()", "'abc'|upper(1)", "'abc'|lower(x=1)", "'abc'|replace('a')", "[1]|join(1, 2, 3)", "'a'|default(1, 2, 3)", "'x'|trim('x', 'y')", "[1]|first(1)", "'a'|length(1)", "1|abs(2)"]
    return out


def markup():
    values = ["'<b>'", "'<'|e", "'<b>'|safe", "'&'|forceescape", "none|e", "5|safe", "u|e"]
    out = [f"{a} + {b}" for a in values for b in values if not (a[0] in "n5u" and "|" not in a)] + [f"({a}) ~ ({b})" for a in values[:4] for b in values[:4]]
    out += [f"{v}|{f}" for v in values for f in ["e", "escape", "forceescape", "safe", "string", "upper", "trim", "length", "title", "list", "first", "e|e", "safe|e", "e|trim + '<'", "safe|upper + '<'", "e|string + '>'", "e|first", "tojson", "replace('b', '<')", "default('<')|e", "reverse", "capitalize + '&'", "e|join('<')", "striptags", "urlencode"]]
    out += [f"({v}) is {t}" for v in values for t in ["escaped", "string", "eq('&lt;')", "lower"]] + ["('<'|e) * 2 + '<'", "2 * ('<'|safe) + '<'", "'<' + ('>'|safe) + '<'", "'<' ~ ('>'|safe) + '<'", "('<'|safe)[0] + '<'", "('<a'|safe)[1:] + '<'", "('<a'|safe)[::-1] + '<'", "('<'|safe) == '<'", "['<'|safe]|join('<')", "['<'|safe, '<']", "{'<'|safe: 1}['<']", "('a'|safe).upper() + '<'", "'<' in ('<'|safe)", "('<b>'|safe).split('b')|first + '<'", "'x' + messages[0].content|safe", "messages[0].content|tojson|safe", "'<t>' + messages|tojson|safe"]
    return out


def string_methods():
    out = []
    texts = ["'abcabc'", "'Hello World'", "' a b  c '", "'a,b,,c'", "'\u00e4\u00d6\u00df'", "''", "'12'", "'a\\nb\\r\\nc\\n'", "'\u4f60\u597d\u4f60'"]
    none_args = ["upper", "lower", "title", "capitalize", "swapcase", "casefold", "strip", "lstrip", "rstrip", "split", "rsplit", "splitlines", "isalpha", "isdigit", "isnumeric", "isdecimal", "isalnum", "isspace", "isupper", "islower", "istitle", "isascii", "isidentifier", "isprintable"]
    out += [f"{v}.{m}()" for v in texts + ["'A1'", "' '", "'a b'", "'Ab'", "'\u00bd'", "'\u00b2'", "'\u0663'", "'\u01c5'", "'\u00df'", "'\ufb01x'", "'\u0130'", "'\u03a3\u03a3'", "'x_1'", "'1x'", "'\u00aa'", "'\\t'", "'they\\'re b\\'s'", "'\u0301'"] for m in none_args]
    one = ["''", "'a'", "'b'", "'bc'", "','", "'\u4f60'", "' '", "'zz'", "none", "1"]
    out += [f"{v}.{m}({a})" for v in texts for m in ["strip", "lstrip", "split", "rsplit", "startswith", "endswith", "find", "rfind", "count", "index", "rindex", "partition", "rpartition", "removeprefix", "removesuffix", "join"] for a in one]
    out += [f"'abcabc'.{m}('b', {a})" for m in ["find", "rfind", "index", "rindex", "count", "startswith", "endswith"] for a in ["0", "1", "2", "4", "5", "-2", "-10", "10", "1, 3", "0, -2", "2, 2", "none", "none, 3", "'x'", "5, 2"]]
    out += [f"'\u4f60\u597dx\u4f60'.{m}('\u4f60', {a})" for m in ["find", "rfind", "count"] for a in ["1", "1, 3", "-1"]]
    out += [f"'abc'.{m}('', {a})" for m in ["find", "rfind", "count", "startswith"] for a in ["0", "3", "4", "1, 1"]]
    out += [f"'a,b,c'.{m}(',', {a})" for m in ["split", "rsplit"] for a in ["0", "1", "2", "-1", "maxsplit=1", "none"]] + ["' a  b c '.split(none, 1)", "' a  b c '.rsplit(none, 1)", "'a b c'.split(maxsplit=1)", "'a-b'.split(sep='-')", "' a b '.split(none, 0)", "' a b '.rsplit(none, 0)"]
    out += [f"'aXbXc'.replace({a})" for a in ["'X', '-'", "'X', '-', 1", "'X', '-', 0", "'X', '-', -1", "'', '-'", "'', '-', 2", "'z', 'y'", "'X'", "1, 2", "'X', none", "'XX', ''"]] + ["''.replace('', 'x')", "''.replace('a', 'x')", "'\u4f60'.replace('', '-')"]
    out += [f"{v}.startswith(('a', 'b'))" for v in texts] + [f"{v}.endswith(['a'])" for v in texts[:2]] + ["'a'.startswith(())", "'a'.startswith(1)", "'abc'.startswith(('x', 1))"]
    out += [f"{v}.{m}" for v in ["'ab'", "'\u4f60'", "'-12'", "''"] for m in ["center(6)", "center(5)", "center(5, '*')", "ljust(4)", "rjust(4, '.')", "zfill(5)", "zfill(1)", "center(1)", "center(5, 'xy')", "ljust('x')", "expandtabs(4)"]] + ["'a\\tb'.expandtabs()", "'a\\tb\\n\\tc'.expandtabs(4)", "'+5'.zfill(4)"]
    out += [f"'a\\nb\\r\\nc\\rd\\x0be\\x1cf\\u2028g\\n\\n'.splitlines({a})" for a in ["", "true", "false", "keepends=true", "1"]] + ["'\\n'.splitlines()", "'\\n'.splitlines(true)", "'a'.splitlines(true)"]
    out += [f"'-'.join({a})" for a in ["['a', 'b']", "[1]", "['a', 1]", "'abc'", "('x', 'y')", "{'a': 1, 'b': 2}", "[]", "none", "u", "[none]", "['a']"]]
    out += [f"{f}.format({a})" for f in ["'{}'", "'{0}-{1}'", "'{a}'", "'{:>5}|'", "'{:05d}'", "'{:.2f}'", "'{{}}'", "'{'", "'{!r}'", "'{0.x}'", "'{0[a]}'", "'{:,}'", "'{:x}'", "'{} {}'", "'{:<4}|'", "'{:^5}|'", "'{:+}'"] for a in ["1", "'x'", "1, 2", "a=3", "{'a': 5, 'x': 6}", "3.14159", "1234567"]]
    out += [f"'%s' % {a}" for a in ["'x'", "1", "none", "(1,)", "(1, 2)", "[1]", "{'a': 1}", "u", "true", "1.5"]] + ["'%s-%d' % ('a', 5)", "'%(k)s' % {'k': 1}", "'%d' % 'x'", "'%5.1f|' % 3.14159", "'x' % ()", "'x' % 1", "'%s' % ()", "'%%' % ()", "'%d' % 3.9", "'%x %X %o' % (255, 255, 8)", "'%-5d|%5d|%05d' % (1, 2, 3)", "'%s' * 2 % (1, 2)"]
    return out


def other_methods():
    out = [f"{v}.{m}" for v in ["{'a': 1, 'b': 2}", "{}", "{'get': 5, 'items': 6}"] for m in ["items()|list", "keys()|list", "values()|list", "get('a')", "get('z')", "get('z', 9)", "get('a', 9)", "get()", "get(1, 2, 3)", "a", "z", "get", "items is callable", "items is defined", "pop('a')", "update({})", "copy()", "clear()", "setdefault('a', 1)", "nope()", "items()|length", "keys()|sort"] if m != "get"]
    out += [f"{v}.{m}" for v in ["[1, 2, 1]", "[]", "(1, 2, 1)", "['a', [1]]"] for m in ["index(1)", "index(2)", "index(9)", "count(1)", "count('a')", "append(1)", "pop()", "copy()", "reverse()", "sort()", "insert(0, 1)", "extend([1])", "remove(1)", "clear()", "nope", "index(1, 1)", "append is defined", "count is callable", "index()"]]
    out += [f"{v}.{m}" for v in ["5", "5.0", "2.5", "true", "none"] for m in ["is_integer()", "real", "imag", "bit_length()", "nope", "conjugate()"]] + ["(5).real", "(5).bit_length()", "(2.5).is_integer()", "(2.0).is_integer()"]
    out += [f"namespace(a=1, b='x').{m}" for m in ["a", "b", "c", "a is defined", "c is defined", "items()"]] + ["namespace({'a': 1}).a", "namespace({'a': 1}, b=2).b", "namespace([['a', 1]]).a", "namespace(5).a", "dict(a=1).a", "dict([['a', 1]])", "dict({'a': 1}, a=2)", "dict(a=1, b=[2])", "dict()", "namespace(a=1)['a']"]
    return out


def slices():
    out = []
    for v in ["'abcde'", "[1, 2, 3]", "'\u4f60\u597d\u4e16\u754c'", "()", "(1, 2)"]:
        for a, b in itertools.product(["", "0", "1", "-1", "-3", "2", "9", "-9"], repeat=2):
            out.append(f"{v}[{a}:{b}]")
        for a, b, c in itertools.product(["", "1", "-1", "9"], ["", "0", "-2"], ["2", "-1", "-2", ""]):
            out.append(f"{v}[{a}:{b}:{c}]")
    return out + ["'abc'[::0]", "'abc'[none:2]", "'abc'['a':]", "'abc'[1.0:]", "{'a': 1}[0:1]", "5[0:1]", "none[1:]", "u[1:]", "'abc'[true:]", "[1, 2, 3][:true]", "range(10)[2:5]|list", "range(5)[::-1]|list", "'abc'[:]", "'abc'[::]", "messages[0][:2]", "(messages|length)[1:]", "add_generation_prompt[1:]", "messages[messages[0]:]", "tools[1:]", "messages[1:]|length", "messages[::-1][0].role", "messages[:-1]|length"]


def lookups():
    keys = ["0", "1", "-1", "9", "-9", "'a'", "'0'", "true", "false", "1.0", "none", "u", "[1]", "(1,)", "{}", "'items'", "'role'", "''"]
    values = ["'abc'", "''", "[1, 2]", "(1, 2)", "{'a': 1, 0: 'z', true: 'T', none: 'N'}", "{(1,): 2}", "5", "none", "u", "messages[0]", "namespace(a=1)", "2.5", "range(3)"]
    return [f"{v}[{k}]" for v in values for k in keys if "items" not in k or "messages" not in v] + [f"{v}[{k}] is defined" for v in values for k in keys] + [
        "messages[0].role", "messages.0.role", "messages[0]['role']", "messages[9]", "messages[9].x", "messages[0].x.y", "u.x", "u['x']", "{'a': {'b': {'c': 1}}}.a.b.c", "{'a': {'b': 1}}['a'].b", "[[1, [2]]][0][1][0]", "'abc'.x", "none.x", "5.x", "{'a-b': 1}['a-b']", "{'a': none}.a.b", "{'a': none}.a is none", "{1: 2}[1]", "{1: 2}['1']", "{'1': 2}[1]", "{1.0: 2}[1]", "{true: 2}[1]", "{'x': 1}.x()", "messages[0][0]", "'a'[0][0][0]", "[1, 2][0, 1]", "{(0, 1): 5}[0, 1]", "u[0] is defined", "(u or {}).x is defined", "{}.x.y is defined", "{}['x'] is defined", "[][0] is defined"]


def literals():
    out = ["1_000", "0x1F", "0b101", "0o17", "1e3", "1E-2", "1.5e+2", "0.1", "00", "007", "0x", "1__0", "1_", "1.", ".5", "1e", "0xg", "1.2.3", "1e400", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "0.1 + 0.2", "1e16", "1e15", "123456789012345678.0", "1e-4", "1e-5", "0.00012", "1.0e10", "5e-324", "1.7976931348623157e308", "1e22", "1e23", "100000000000000000000.0", "3.0", "2.50", "-0.0", "1_0.5", "1e1_0"]
    out += ["'\\n\\t\\r\\\\\\''", "'\\x41'", "'\\u00e9'", "'\\U0001F600'", "'\\q'", "'\\0'", "'\\101'", "'\\x4'", "'\\u12'", "'\\a\\b\\f\\v'|tojson", "\"a'b\"", "'a\"b'", "'a\\\nb'", "'a\nb'", "'a' 'b'", "'a' \"b\" 'c'", "'\\N{BULLET}'", "'\\ud83d\\ude00'|length", "'\\/'", "'a\\'b'", "'\u00e9\\n'", "'\\\u00e9'", "'\\8'", "'\\1234'", "'\\x41\\x42'"]
    out += ["[1, 2,]", "[,]", "(1, 2,)", "(1,)", "()", "(1)", "(,)", "{'a': 1,}", "{,}", "{'a'}", "{'a': 1 'b': 2}", "{1: 2, 1: 3}", "{[1]: 2}", "{none: 1}", "{1.5: 2}", "{true: 1, 1: 2}", "[[[1]]]", "{'a': [1, {'b': (1, 2)}]}", "1, 2", "1,", "'a', 'b'", "True", "False", "None", "TRUE", "NONE", "null", "[1 2]", "{u: 1}", "\u00e4", "\u53d8\u91cf", "\u00e4 is defined", "_x", "_x is defined", "x1y", "1x"]
    out += ["[%s]" % x for x in ["'a\\'b'", "'a\"b'", "'a\\'\"b'", "'\\n\\t\\\\'", "'\\x00\\x1f\\x7f'", "'\u00e9\U0001f600'", "'\\u2028\\u00a0\\u200b\\u3000\\ufeff\\u00ad'", "1.0", "1e20", "none", "true", "u", "[]", "()", "{}", "(1,)", "{'a': 'b'}", "'\\ue000\\u0378'"]]
    return out


def precedence():
    return ["1 + 2 * 3", "(1 + 2) * 3", "2 ** 3 ** 2", "-2 ** 2", "2 ** -1", "2 * 3 ~ 4", "1 + 2 ~ 3 + 4", "1 ~ 2 + 3", "'a' ~ 'b' == 'ab'", "not 1 == 2", "not true and false", "1 < 2 < 3", "3 > 2 > 2", "1 < 2 == true", "1 in [1] == true", "not 1 in [2]", "1 not in [1] or true", "true or false and false", "1 if true else 2 if true else 3",
            "1 if false else 2 if false else 3", "1 if false", "(1 if false) is defined", "[1 if true else 2, 3]", "1 + 2 if true else 3", "1 or 2 if false else 3", "-1|abs", "-(1)|abs", "- 1 | abs + 2", "1 + -1|abs", "'a' ~ 'b'|upper", "('a' ~ 'b')|upper", "1 + 2|string", "[1, 2]|length + 1", "'a'|upper ~ 'b'|upper", "1 is odd and 2 is even", "not 1 is odd", "1 is not odd", "1 is odd is true", "(1 is odd) is true",
            "2 is divisibleby 2", "2 is divisibleby(2) and true", "'a' is in ['a']", "'a' in ['a'] and 1", "1 is eq 1 or 0", "3 is divisibleby 2 + 1", "'x' is string and 'x' is not none", "5 is sameas 5", "1 is odd if true else 2", "'a' is string in [true]", "1 is odd not in [false]", "u is defined and u.x", "u is not defined", "u is undefined or u.x", "2 + 3 == 5 and 5 == 2 + 3", "1 == 1 == 1", "1 != 2 != 1", "7 // 2 * 2 + 7 % 2", "2 * 3 // 4", "10 - 3 - 2", "100 / 10 / 2", "2 ** 2 * 3", "-7 // 2", "-7 % 3", "7 % -3", "-7.5 // 2", "7.5 % -2", "1 / 3", "1e308 * 10",
            "2 ** 0.5", "(-8) ** 0.5", "0 ** 0", "0.0 ** -1", "2 ** 62", "2 ** 63", "2 ** 1000", "(-2) ** 63", "10 ** 18", "4 ** -2", "9223372036854775807 + 1", "-9223372036854775807 - 1", "-9223372036854775807 - 2", "3037000500 * 3037000500", "1e20 // 1", "1e20 % 7", "5 // 0.0", "5 % 0.0", "5 / 0.0", "0 // 5", "true + true", "true * 3", "-true", "+true", "+'a'", "-'a'", "-none", "-[]", "-u", "not u",
            "[1, 2] + [3]", "[1] * 3", "3 * [1]", "[1] * -1", "(1,) * 2", "'ab' * 2.0", "'ab' * true", "'ab' * none", "2 * 'ab'", "[1] * [1]", "{} + {}", "[1] - [1]", "'a' - 'a'", "'a' < 'b'", "'a' < 'B'", "'a' < 'aa'", "[1, 2] < [1, 3]", "(1, 2) < (1, 2, 0)", "[1] < [1, 'a']", "[1] == (1,)", "{'a': 1} == {'a': 1.0}", "1 == true", "0 == false", "'' == false", "none == false", "u == u", "u == none", "u == ''", "none < 1", "true < 2", "'a' in 'abc'", "'' in ''", "'a' in {'a': 1}", "1 in {'a': 1}", "1 in 'a1'", "1 in 5", "1 in none", "1 in u", "none in [none]", "[1] in [[1]]", "[1] in {}", "1.0 in [1]", "true in [1]", "u in [1]", "u in {}", "u in 'a'", "range(3) == [0, 1, 2]", "2 in range(3)", "'2' in range(3)", "'a' ~ none ~ u ~ true ~ 1.0 ~ [1]", "1 ~ 2", "~ 1", "1 ~", "1 +", "* 1", "1 2", "a b", "()()", "1.5.5", "'a'.upper", "1 if", "if 1", "1 and", "and 1", "not", "in", "x in", "is", "1 is", "1 is not", "1 |", "|upper", "1|upper|", "(1", "1)", "[1", "1]", "{1", "1}", "{'a':}", "{:1}", "a.", "a.1", "a[", "a[]", "f(", "f(a", "f(a b)", "f(,)", "a..b", "a.'b'", "@", "a @ b", "1 $ 2", "a ? b : c", "a && b", "!a", "a = 1", "a := 1", "lambda: 1", "a; b", "`a`", "a\\b", "#", "{# #}", "a # b"]


def whitespace():
    out = []
    for o, c in itertools.product(["", "-", "+"], repeat=2):
        for before, after in [("a\n  ", "\n b"), ("a ", " b"), ("", "\n\n x"), ("\n\n", "\n"), ("a\n\t", "  \nb")]:
            out.append(f"{before}{{%{o} if true {c}%}}{after}{{% endif %}}.")
            out.append(f"{before}{{%{o} set x = 1 {c}%}}{after}")
            if o != "+" and c != "+":
                out.append(f"{before}{{{{{o} 'v' {c}}}}}{after}")
            out.append(f"{before}{{#{o} c {c}#}}{after}")
        out.append(f" x {{%{o} raw {c}%}} {{{{ y }}}} {{%{o} endraw {c}%}} z\n.")
        out.append(f"x\n {{%{o} for i in [1, 2] {c}%}}\n  {{{{ i }}}}\n {{%{o} endfor {c}%}}\n y")
    out += ["a\n", "a\n\n", "", "\n", "\n\n", " ", "{{ 1 }}\n", "{{ 1 }}\n\n", "{% if 1 %}\n{% endif %}\n", "a\r\nb", "a\rb", "a\r\n", "{{ 1 }}\r\n b", "{% if 1 %}\r\nx{% endif %}", "  {% if 1 %}x{% endif %}  \n  {% if 1 %}\n  y\n  {% endif %}\n", "{{ 1 }} {% if 1 %}x{% endif %}", "x{{ 1 }}\n  {% if 1 %}y{% endif %}", "a\x0b{% if 1 %}b{% endif %}", "\u00a0{%- if 1 -%}\u3000x{% endif %}", "\u3000{% if 1 %}x{% endif %}", "a \u2003{{- 1 -}} \u2003b", "{{-1}}", "{{- 1}}", "{{ -1 -}}", "{{--1}}", "{{+1}}", "{{1-}}", "{{1 -}}", "{{1- }}", "{{ 1 - }}", "{%-if 1-%}x{%-endif-%}", "{%  if   1  %}x{%endif%}", "{{\n1\n}}", "{%\nif 1\n%}x{%\nendif\n%}", "{ { 1 } }", "{{ '{{' }}", "{{ '%}' }}{{ '}}' }}", "}}", "%}", "#}", "{", "{{", "{%", "{#", "{# a", "{# a #} b #}", "{{ {} }}", "{{ {'a': {}}}}", "{{ {'a': {}} }}", "{{{}}}", "{{{ 1 }}}", "{{ '}' }}", "{% raw %}{{ a }}{% endraw %}", "{% raw %}{% raw %}{% endraw %}", "{% raw %}", "{% endraw %}", "{%raw%}x{%endraw%}", "{% raw -%}\n x\n{%- endraw %}", "{%- raw %} x {% endraw -%} y", "{% raw +%}x{% endraw %}", "{%+ raw %}x{% endraw %}", "{% rawx %}", "{% raw %}{# c #}{% endraw %}", "{% raw %}a{% endraw +%}\nb", "{% raw %}a{% endraw %}\nb", "{% raw %}a{% endraw -%}\n b", "{%+ raw %}\na{%- endraw %}\nb", "a\n  {% raw %}x{% endraw %}", "a\n  {%- raw -%} x {%- endraw -%} \n b", "{#- a -#} b", "x {#- a -#} b", "{##}", "{#-#}", "{#--#}x", "{#+ a +#}\nx", "{# {{ 1 }} {% if %} #}x", "a{# c\nd #}b", "{% set x %}\n a\n{% endset %}[{{ x }}]", "{% set x -%}\n a\n{%- endset %}[{{ x }}]", "{% macro m() %}\n a\n{% endmacro %}[{{ m() }}]", "{% filter upper %}\n a\n{% endfilter %}.", "a\n{% for x in [1] %}\n{% for y in [2] %}\n{{ x }}{{ y }}\n{% endfor %}\n{% endfor %}\nb", "{% if 1 %}\n\n a{% endif %}", "{% if 1 %}\t\n a{% endif %}", "{{ 'x' }}\n{% if 1 %}\n{{ 'y' }}\n{% endif %}\nz", "     {%+ if 1 %}x{% endif +%}\n y", "{% if 1 %}a{% else %}\n b{% endif %}", "{% if 0 %}a\n  {% elif 1 %}\n  b\n  {% else %}c{% endif %}\nd"]
    return out


def statements():
    return ["{% if 1 %}a{% endif %}", "{% if 0 %}a{% else %}b{% endif %}", "{% if 0 %}a{% elif 0 %}b{% elif 1 %}c{% else %}d{% endif %}", "{% if u %}a{% else %}b{% endif %}", "{% if [] or '' %}a{% else %}b{% endif %}", "{% if 1, 2 %}a{% endif %}", "{% if not u %}a{% endif %}", "{% if 1 %}{% if 0 %}a{% else %}b{% endif %}{% endif %}", "{% if 1 %}a{% else if 1 %}b{% endif %}", "{% if 1 %}a{% elseif 1 %}b{% endif %}", "{% if 1 %}", "{% endif %}", "{% else %}", "{% if %}x{% endif %}", "{% if 1 %}a{% else %}b{% else %}c{% endif %}", "{% if 1 %}a{% else %}b{% elif 1 %}c{% endif %}", "{% if 1 %}a{% endfor %}", "{% if 1 %}a{% endif x %}",
            "{% set x = 1 %}{{ x }}", "{% set x, y = 1, 2 %}{{ x }}{{ y }}", "{% set x, y = [1, 2] %}{{ y }}{{ x }}", "{% set (x, y) = (1, 2) %}{{ x }}{{ y }}", "{% set x, y = 1 %}", "{% set x, y = [1] %}", "{% set x, y = [1, 2, 3] %}", "{% set (a, (b, c)) = (1, (2, 3)) %}{{ a }}{{ b }}{{ c }}", "{% set a, (b, c) = 1, (2, 3) %}{{ a }}{{ b }}{{ c }}", "{% set x, = [1] %}{{ x }}", "{% set x, y = 'ab' %}{{ x }}{{ y }}", "{% set x, y = {'k': 1, 'l': 2} %}{{ x }}{{ y }}", "{% set x = 1, 2 %}{{ x }}", "{% set x = 1 if false %}{{ x is defined }}", "{% set x = x + 1 %}", "{% set x = 1 %}{% set x = x + 1 %}{{ x }}", "{% set x %}a{{ 1 }}{% endset %}{{ x }}", "{% set x | upper %}a{% endset %}{{ x }}", "{% set x | upper | replace('A', 'b') %}a{% endset %}{{ x }}", "{% set x %}{% set y = 2 %}{{ y }}{% endset %}{{ x }}{{ y is defined }}", "{% set x = 'a' %}{% if 1 %}{% set x = 'b' %}{% endif %}{{ x }}", "{% if 0 %}{% set x = 'b' %}{% endif %}{{ x is defined }}", "{% set x %}", "{% set %}", "{% set 1 = 2 %}", "{% set x 1 %}", "{% set x = %}", "{% set x == 1 %}", "{% set 'x' = 1 %}", "{% set x.y = 1 %}", "{% set x[0] = 1 %}", "{% set none = 1 %}", "{% set true = 1 %}", "{% set x = 1 %}{% set x.y = 2 %}", "{% set loop = 1 %}{{ loop }}", "{% set range = 1 %}{{ range }}", "{% set messages = [1] %}{{ messages }}",
            "{% set ns = namespace(x=1) %}{% set ns.x = 2 %}{{ ns.x }}", "{% set ns = namespace() %}{% set ns.a = [1] %}{% set ns.b = ns.a + [2] %}{{ ns.b }}", "{% set ns = namespace(x=0) %}{% for i in range(4) %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}", "{% set ns = namespace(x=1) %}{% if 1 %}{% set ns.x = 5 %}{% endif %}{{ ns.x }}", "{% set ns = namespace(x=1) %}{% set ns.x %}blk{% endset %}{{ ns.x }}", "{% set ns = namespace(x=1) %}{% set ns.x, y = 7, 8 %}{{ ns.x }}{{ y }}", "{% set ns = namespace(x=1) %}{% set ns['x'] = 7 %}{{ ns.x }}", "{% set ns = namespace(found=false) %}{% for m in messages %}{% if m.role == 'user' and not ns.found %}{% set ns.found = true %}{{ m.content }}{% endif %}{% endfor %}{{ ns.found }}", "{% set d = {'a': 1} %}{% set d.a = 2 %}", "{% set ns = namespace(x=1) %}{% macro m() %}{% set ns.x = 9 %}{% endmacro %}{{ m() }}{{ ns.x }}", "{% set ns = namespace(x=1) %}{% set a = ns %}{% set a.x = 3 %}{{ ns.x }}", "{{ namespace(x=1) is mapping }}", "{{ namespace() is defined }}", "{% set ns = namespace(n=namespace(x=1)) %}{{ ns.n.x }}", "{% set ns = namespace(n=namespace(x=1)) %}{% set ns.n.x = 2 %}",
            "{% with %}{% set x = 1 %}{{ x }}{% endwith %}{{ x is defined }}", "{% with x = 1 %}{{ x }}{% endwith %}{{ x is defined }}", "{% with x = 1, y = 2 %}{{ x }}{{ y }}{% endwith %}", "{% set x = 5 %}{% with x = 1, y = x %}{{ x }}{{ y }}{% endwith %}{{ x }}", "{% with a, b = (1, 2) %}{{ a }}{{ b }}{% endwith %}", "{% with x = 1 %}{% set x = 2 %}{{ x }}{% endwith %}", "{% with x %}{% endwith %}", "{% with x = 1 %}",
            "{% filter upper %}a{{ 'b' }}{% endfilter %}", "{% filter upper | lower | title %}ab cd{% endfilter %}", "{% filter replace('a', 'b') %}aa{% endfilter %}", "{% filter %}a{% endfilter %}", "{% filter nope %}a{% endfilter %}", "{% set x = 1 %}{% filter upper %}{% set x = 2 %}{{ x }}{% endfilter %}{{ x }}", "{% filter indent(2) %}a\nb{% endfilter %}", "{% filter trim %}  {% for i in [1, 2] %}{{ i }} {% endfor %}{% endfilter %}.",
            "{% block a %}x{% endblock %}", "{% block a %}x{{ 1 }}{% endblock a %}", "{% block a %}{{ self.a is defined }}{% endblock %}", "{% block %}{% endblock %}", "{% autoescape false %}<{{ '<' }}{% endautoescape %}", "{% print 1 %}", "{% print 1, 2 %}", "{% print %}", "{% do 1 %}", "{% do [].append(1) %}", "{% debug %}", "{% trans %}a{% endtrans %}", "{% generation %}x{% endgeneration %}", "{% include 'x' %}", "{% import 'x' as y %}", "{% from 'x' import y %}", "{% extends 'x' %}", "{% nope %}", "{% 1 %}", "{% %}", "{%%}", "{{ }}", "{{}}", "{% break %}", "{% continue %}", "{% if 1 %}{% break %}{% endif %}", "{% set x = caller() %}", "{{ caller is defined }}", "{{ self is defined }}", "{{ loop is defined }}", "{{ varargs is defined }}", "{{ super() }}", "{{ u }}{{ u is defined }}", "{{ tools is none }}", "{{ tools }}", "{{ bos_token }}{{ eos_token }}", "{{ add_generation_prompt }}"]


def loops():
    fields = ["index", "index0", "revindex", "revindex0", "first", "last", "length", "depth", "depth0", "previtem", "nextitem", "cycle('x', 'y')", "changed(i // 2)", "nope", "nope is defined", "cycle()", "previtem is defined", "nextitem is defined"]
    out = [f"{{% for i in {s} %}}{{{{ loop.{f} }}}},{{% endfor %}}" for f in fields for s in ["[1, 2, 3]", "'ab'", "[]", "{'a': 1}", "range(2)"] if not ("changed" in f and s in ("'ab'", "{'a': 1}"))]
    seqs = ["[1, 2]", "[]", "'ab'", "''", "{'a': 1, 'b': 2}", "{}", "(1, 2)", "range(3)", "none", "u", "5", "true", "1.5", "messages|map(attribute='role')", "[1, 2]|reverse", "{'a': 1}.items()", "{'a': 1}|items", "[[1, 2], [3, 4]]", "namespace(a=1)", "1, 2", "[1, 2] + [3]", "[3, 1]|sort", "u or [1]", "u|default([])", "range(1, 3)", "'\u4f60\u597d'", "[none, u]"]
    out += [f"{{% for x in {s} %}}{{{{ x }}}};{{% else %}}none{{% endfor %}}" for s in seqs]
    out += [f"{{% for a, b in {s} %}}{{{{ a }}}}={{{{ b }}}};{{% endfor %}}" for s in ["[[1, 2], [3, 4]]", "{'a': 1}.items()", "{'ab': 1}", "['xy', 'zw']", "[1, 2]", "[[1]]", "[[1, 2, 3]]", "{'a': 1}|dictsort", "{'b': 1, 'a': {'c': 2}}|items", "[]", "[(1, (2, 3))]"]]
    out += ["{% for (a, b) in [[1, 2]] %}{{ a }}{{ b }}{% endfor %}", "{% for (a, b), c in [[[1, 2], 3]] %}{{ a }}{{ b }}{{ c }}{% endfor %}", "{% for a, (b, c) in [[1, [2, 3]]] %}{{ a }}{{ b }}{{ c }}{% endfor %}", "{% for a, in [[1]] %}{{ a }}{% endfor %}",
            "{% for x in [1, 2, 3, 4] if x is even %}{{ x }}/{{ loop.index }}/{{ loop.length }};{% endfor %}", "{% for x in [1, 3] if x is even %}a{% else %}none{% endfor %}", "{% for x in [1, 2, 3] if x > 1 if true else false %}{{ x }}{% endfor %}", "{% for x in messages if x.role == 'user' %}{{ x.content }}{{ loop.first }}{{ loop.last }}{% endfor %}", "{% for x in [1, 2, 3] if loop.index > 1 %}{{ x }}{% endfor %}", "{% set y = 2 %}{% for x in [1, 2, 3] if x == y %}{{ x }}{% endfor %}",
            "{% for x in [1, 2, 3] %}{% if x == 2 %}{% break %}{% endif %}{{ x }}{% endfor %}", "{% for x in [1, 2, 3] %}{% if x == 2 %}{% continue %}{% endif %}{{ x }}{% endfor %}", "{% for x in [1, 2] %}{% for y in [3, 4] %}{% if y == 4 %}{% break %}{% endif %}{{ x }}{{ y }};{% endfor %}{% endfor %}", "{% for x in [1] %}{% break %}{% else %}e{% endfor %}", "{% for x in [1, 2] %}{% set y = x %}{% endfor %}{{ y is defined }}", "{% set y = 0 %}{% for x in [1, 2] %}{% set y = y + x %}{{ y }}{% endfor %}{{ y }}", "{% for x in [1, 2] %}{% set x = x * 10 %}{{ x }}{% endfor %}", "{% set x = 9 %}{% for x in [1, 2] %}{{ x }}{% endfor %}{{ x }}", "{% for x in [1] %}{{ loop.index }}{% for x in [5, 6] %}{{ loop.index }}{{ x }}{% endfor %}{{ loop.index }}{{ x }}{% endfor %}", "{% for x in [1, 2] %}{% set outer = loop %}{% for y in [1, 2] %}{{ outer.index }}{{ loop.index }};{% endfor %}{% endfor %}", "{% for x in [1, 2] %}{{ loop }}{% endfor %}" if 0 else "{% for x in [1, 2] %}{{ loop is defined }}{% endfor %}{{ loop is defined }}", "{% for x in [1, 2] %}{% if not loop.first %}, {% endif %}{{ x }}{% endfor %}", "{% for x in [1, 2] %}{{ x }}{{ ', ' if not loop.last }}{% endfor %}", "{% for x in [1, 2] -%}\n  {{ x }}\n{%- endfor %}", "{% for x in [1, 1, 2, 2, 1] %}{{ loop.changed(x) }}{% endfor %}", "{% for x in [1, 2] %}{{ loop.changed(1, x) }}{% endfor %}", "{% for x in [1, 2] %}{% for y in [1] %}{{ loop.changed(1) }}{% endfor %}{% endfor %}",
            "{% for x in [1, [2, [3]]] recursive %}{% if x is sequence %}({{ loop(x) }}){% else %}{{ x }}{% endif %}{% endfor %}", "{% for n in [{'v': 1, 'c': [{'v': 2, 'c': []}, {'v': 3, 'c': [{'v': 4, 'c': []}]}]}] recursive %}{{ '-' * loop.depth0 }}{{ n.v }}{{ loop(n.c) }}{% endfor %}", "{% for n in [[1, [2]]] recursive %}{{ loop.depth }}{% if n is not number %}[{{ loop(n) }}]{% endif %}{% endfor %}", "{% for x in [3] recursive %}{{ x }}{% if x > 0 %}{{ loop([x - 1]) }}{% endif %}{% else %}e{% endfor %}", "{% for x in [[]] recursive %}{{ loop(x) }}{% else %}e{% endfor %}", "{% for x in [1] %}{{ loop([2]) }}{% endfor %}", "{% for a, b in {'x': {'y': {}}}.items() recursive %}{{ a }}{{ loop(b.items()) }}{% endfor %}", "{% for x in [1, 2] recursive %}{{ x }}{% endfor %}", "{% for x in [[1], [2]] if x recursive %}{% if x is number %}{{ x }}{% else %}<{{ loop(x) }}>{% endif %}{% endfor %}",
            "{% for x in [1] %}", "{% for x %}{% endfor %}", "{% for in [1] %}{% endfor %}", "{% for 1 in [1] %}{% endfor %}", "{% for x in %}{% endfor %}", "{% for x [1] %}{% endfor %}", "{% for x.y in [1] %}{% endfor %}", "{% for x in [1] if %}{% endfor %}", "{% endfor %}", "{% for x in [1] %}{% endif %}", "{% for none in [1] %}{% endfor %}", "{% for loop in [1] %}{% endfor %}", "{% for x in [1] %}{% else %}{% else %}{% endfor %}", "{% for x in [1] %}{% endfor x %}", "{% for x in range(3) %}{{ x }}{% endfor %}", "{% for x in range(0) %}{{ x }}{% else %}-{% endfor %}", "{% for x in (1, 2) %}{{ x }}{% endfor %}", "{% for k in {'a': 1}.keys() %}{{ k }}{% endfor %}", "{% for v in {'a': 1}.values() %}{{ v }}{% endfor %}", "{% for k, v in messages[0].items() %}{{ k }}:{{ v }};{% endfor %}", "{% for m in messages %}{{ loop.index0 }}{{ m['role'] }}{{ m.content|length }}{% if loop.last and add_generation_prompt %}!{% endif %}{% endfor %}", "{% for x in [1, 2, 3] %}{{ loop.previtem|default('-') }}{{ x }}{{ loop.nextitem|default('-') }} {% endfor %}", "{% for x in [1, 2] %}{% if 1 %}{% set z = x %}{% endif %}{{ z }}{% endfor %}", "{% for x in [1] %}{% with %}{% set y = 1 %}{% endwith %}{{ y is defined }}{% endfor %}", "{% for x in [1, 2] %}{% set t %}{{ x }}!{% endset %}{{ t }}{% endfor %}",
            "{% for g in [{'k': 1, 'v': 'a'}, {'k': 2, 'v': 'b'}, {'k': 1, 'v': 'c'}]|groupby('k') %}{{ g.grouper }}:{{ g.list|map(attribute='v')|join(',') }};{% endfor %}", "{% for k, items in [{'k': 'b', 'v': 1}, {'k': 'a', 'v': 2}, {'k': 'B', 'v': 3}]|groupby('k') %}{{ k }}={{ items|length }};{% endfor %}", "{% for row in range(5)|batch(2, '.') %}{{ row|join }}/{% endfor %}", "{% for col in range(7)|slice(3) %}{{ col|join }}/{% endfor %}", "{% for col in range(7)|slice(3, 'x') %}{{ col|join }}/{% endfor %}", "{% set c = cycler('a', 'b', 'c') %}{% for i in range(5) %}{{ c.next() }}{% endfor %}{{ c.current }}", "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.reset() }}{{ c.next() }}", "{{ cycler() }}", "{% set j = joiner(',') %}{% for i in [1, 2, 3] %}{{ j() }}{{ i }}{% endfor %}", "{% set j = joiner() %}{{ j() }}a{{ j() }}b{{ j() }}", "{% set j = joiner(sep='|') %}{{ j() }}{{ j() }}"]
    return out


def macros():
    return ["{% macro m() %}x{% endmacro %}{{ m() }}", "{% macro m(a) %}[{{ a }}]{% endmacro %}{{ m(1) }}{{ m() }}{{ m(a=2) }}", "{% macro m(a, b=2, c=none) %}{{ a }}{{ b }}{{ c }};{% endmacro %}{{ m(1) }}{{ m(1, 5) }}{{ m(1, c=3) }}{{ m(b=1, a=0) }}", "{% macro m(a=1, b=a) %}{{ a }}{{ b }};{% endmacro %}{{ m() }}{{ m(5) }}{{ m(b=7) }}", "{% macro m(a, b=1, c) %}{% endmacro %}", "{% macro m(a) %}{{ a is defined }}{% endmacro %}{{ m() }}", "{% macro m() %}{% endmacro %}{{ m(1) }}", "{% macro m() %}{% endmacro %}{{ m(x=1) }}", "{% macro m(a) %}{% endmacro %}{{ m(1, a=2) }}", "{% macro m(a) %}{{ varargs }}{% endmacro %}{{ m(1, 2, 3) }}", "{% macro m(a) %}{{ kwargs }}{% endmacro %}{{ m(1, x=2) }}", "{% macro m() %}{{ varargs|length }}{{ kwargs.x }}{% endmacro %}{{ m(1, 2, x=3) }}", "{% macro m(a) %}{{ varargs }}{% endmacro %}{{ m() }}", "{% macro f(n) %}{{ n }}{% if n %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}", "{{ m() }}{% macro m() %}x{% endmacro %}", "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}", "{% set x = 1 %}{% macro m() %}{{ x }}{% endmacro %}{{ m() }}", "{% macro m() %}{{ x }}{% endmacro %}{% set x = 1 %}{{ m() }}", "{% macro m() %}{% set x = 2 %}{{ x }}{% endmacro %}{% set x = 1 %}{{ m() }}{{ x }}", "{% for i in [1, 2] %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}", "{% for i in [1] %}{% macro m() %}{{ loop is defined }}{% endmacro %}{{ m() }}{% endfor %}", "{% if 1 %}{% macro m() %}x{% endmacro %}{% endif %}{{ m() }}", "{% macro m(x) %}{{ x }}{% endmacro %}{% set x = 5 %}{{ m(x + 1) }}", "{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}body{% endcall %}", "{% macro m() %}{{ caller('a') }}{% endmacro %}{% call(x) m() %}<{{ x }}>{% endcall %}", "{% macro m(v) %}{{ caller(v, v + 1) }}{% endmacro %}{% call(x, y=9) m(1) %}{{ x }}{{ y }}{% endcall %}", "{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}", "{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}", "{% macro m() %}x{% endmacro %}{% call m() %}body{% endcall %}", "{% macro m() %}{{ caller() }}{{ caller() }}{% endmacro %}{% call m() %}b{% endcall %}", "{% macro m() %}{{ caller() }}{% endmacro %}{% set z = 3 %}{% call m() %}{{ z }}{% endcall %}", "{% macro o() %}({{ caller() }}){% endmacro %}{% call o() %}{% call o() %}x{% endcall %}{% endcall %}", "{% call u() %}{% endcall %}", "{% call m %}{% endcall %}", "{% call 1 %}{% endcall %}", "{% macro m %}{% endmacro %}", "{% macro m( %}{% endmacro %}", "{% macro m(1) %}{% endmacro %}", "{% macro m() %}", "{% macro m() %}{% endmacro m %}{{ m() }}", "{% macro %}{% endmacro %}", "{% macro m(a,) %}{{ a }}{% endmacro %}{{ m(1) }}", "{% macro m(a) %}{{ a|upper }}{% endmacro %}{{ m('x')|lower }}{{ m('y') ~ 'z' }}", "{% macro m() %} a {% endmacro %}{{ m()|trim }}|", "{% macro m() %}{{ m.name }}{{ m.arguments }}{% endmacro %}{{ m() }}", "{% macro m(a, b) %}{% endmacro %}{{ m.name }}{{ m.arguments }}{{ m.catch_kwargs }}{{ m.catch_varargs }}{{ m.caller }}", "{% macro m() %}x{% endmacro %}{{ m is callable }}{{ m is defined }}{{ m is string }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(*[1]) }}{{ m(**{'a': 2}) }}", "{% macro m(a, b, c) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1, *[2, 3]) }}{{ m(*[1, 2], c=3) }}{{ m(*[1], **{'b': 2, 'c': 3}) }}", "{% macro m() %}{% endmacro %}[{{ m() }}]{{ m() is string }}{{ m()|length }}", "{% macro m(x) %}{% if x %}{{ x }}{% else %}-{% endif %}{% endmacro %}{{ [1, 0]|map('string')|join }}{{ m(0) }}", "{% macro m() %}{% for i in [1, 2] %}{{ i }}{% endfor %}{% endmacro %}{% for j in [1, 2] %}{{ m() }}{% endfor %}", "{% set f = namespace(g=1) %}{% macro m(f) %}{% set f.g = f.g + 1 %}{% endmacro %}{{ m(f) }}{{ m(f) }}{{ f.g }}", "{% macro m(a, a) %}{% endmacro %}", "{% macro m(messages) %}{{ messages }}{% endmacro %}{{ m(1) }}{{ messages|length }}", "{% macro m(caller) %}{{ caller }}{% endmacro %}{{ m(1) }}", "{% macro m(a) %}{{ b }}{% endmacro %}{% set b = 2 %}{% with b = 3 %}{{ m(1) }}{% endwith %}", "{% macro m() %}{{ messages[0].role }}{% endmacro %}{{ m() }}", "{% macro m() %}{% break %}{% endmacro %}{{ m() }}", "{% for i in [1] %}{% macro m() %}{% break %}{% endmacro %}{{ m() }}{% endfor %}"]


def functions():
    out = [f"range({a})|list" for a in ["3", "0", "-1", "1, 4", "4, 1", "1, 10, 3", "5, 0, -2", "0, 5, 0", "", "1, 2, 3, 4", "2.0", "'3'", "none", "true", "stop=3", "5, 5", "-3, 3, 2"]] + ["range(3)|length", "range(1, 9, 2)|last", "range(3)|sum", "range(5)[1]", "range(5)[-1]", "range(3)[9]", "2 in range(5)", "range(3)|map('string')|join(',')", "range(200000)|length", "range(10 ** 9)|length"]
    out += [f"strftime_now({f})" for f in ["'%Y-%m-%d'", "'%d %b %Y'", "'%A, %B %d'", "'%H:%M:%S'", "'%j'", "'%p %I'", "'%y'", "'%%'", "''", "'x'", "'%Y\u5e74%m\u6708'", "'%-d'", "'%e'", "'%a'", "'%F %T'", "1", "none"]] + ["strftime_now()", "strftime_now is defined", "raise_exception is defined", "raise_exception('x')", "raise_exception()", "range is callable", "namespace is callable", "dict is callable", "nope is callable", "'a' is callable", "messages.x is callable", "lipsum is defined", "cycler is defined", "joiner is defined", "dict(a=1)|tojson", "dict(a=1).items()|list", "dict([('a', 1)])", "dict(1)", "range is defined", "range", "namespace(a=1, a=2)", "dict(a=1, a=2)"]
    out = [s for s in out if s != "range"]
    out += ["f'x'", "print(1)", "len('a')", "str(1)", "int('1')", "list('a')", "true()", "none()", "1()", "'a'()", "[]()", "{}()", "messages()", "messages.role", "messages.append(1)", "messages[0].update({'a': 1})", "messages[0].pop('role')", "''.__class__", "[].__len__()", "{}.__class__.__mro__", "range.__class__", "u.__class__", "messages.__class__ is defined", "''['__class__']", "()|attr('__class__')", "'a'|attr('upper')", "{'a': 1}|attr('a')", "namespace(a=1)|attr('a')", "_ is defined", "__import__('os')", "'{0.__class__}'.format(1)", "'%s' % messages[0].__class__", "joiner.__init__", "cycler.__globals__", "lipsum.__globals__", "self.__init__", "config", "request", "g is defined"]
    return out


def errors():
    return ["{{ 1/0 }}", "{{ u.x }}", "{{ u.x.y }}", "{{ u() }}", "{{ u + 1 }}", "{{ 1 + u }}", "{{ u ~ 1 }}", "{{ u|length }}", "{{ u|upper }}", "{{ u|list }}", "{{ u|join }}", "{{ u|first }}", "{{ u|int }}", "{{ u|float }}", "{{ u|abs }}", "{{ u|round }}", "{{ u|sort }}", "{{ u|tojson }}", "{{ u|trim }}", "{{ u|string }}", "{{ u|replace('a', 'b') }}", "{{ u|default(u) }}", "{{ -u }}", "{{ u < 1 }}", "{{ u == 1 }}", "{{ u in [1] }}", "{{ 1 in u }}", "{{ u[0] }}", "{{ u['a'] }}", "{{ u[0:1] }}", "{% for x in u %}{% endfor %}", "{% if u.x %}{% endif %}", "{% if u and u.x %}{% endif %}ok", "{{ u if u }}", "{{ u or 1 }}", "{{ u and 1 }}", "{{ not u }}", "{{ [u] }}", "{{ {'a': u} }}", "{{ (u, 1) }}", "{{ [u]|join }}", "{{ [u]|tojson }}", "{{ [u]|first is defined }}", "{{ 'a' + 1 }}", "{{ 1 + 'a' }}", "{{ 'a' * 'b' }}", "{{ 'a' - 1 }}", "{{ none + 1 }}", "{{ none.x }}", "{{ none.x.y }}", "{{ none['x'] }}", "{{ none() }}", "{{ none|length }}", "{{ 5|length }}", "{{ 5|first }}", "{{ 5|join }}", "{{ 5|list }}", "{{ true|length }}", "{{ 'a'|nope }}", "{{ 'a' is nope }}", "{{ 'a'.nope() }}", "{{ 'a'.nope }}", "{{ [].nope() }}", "{{ {}.nope() }}", "{{ 5 .nope() }}", "{{ 'a'[1.5] }}", "{{ [1]['a'] }}", "{{ [1][1.0] }}", "{{ {}[[1]] }}", "{{ {[1]: 1} }}", "{{ 'abc'.replace(1, 2) }}", "{{ 'abc'.split(1) }}", "{{ 'abc'.index('z') }}", "{{ [1].index(5) }}", "{{ ''.join([1]) }}", "{{ [1, 'a']|sort }}", "{{ [none, 1]|sort }}", "{{ [{}, {}]|sort }}", "{{ [1, 'a']|max }}", "{{ 'a' < 1 }}", "{{ [] < {} }}", "{{ {} < {} }}", "{{ none < none }}", "{{ 1 in 1 }}", "{{ 1 in 'a' }}", "{{ [] in 'a' }}", "{{ none in 'a' }}", "{{ 'a'|int + 'b'|int }}", "{{ raise_exception('m') }}", "{{ raise_exception('a' ~ 1) }}", "{% if false %}{{ raise_exception('m') }}{% endif %}ok", "{% if false %}{{ 1/0 }}{% endif %}ok", "{{ 'x' if true else raise_exception('m') }}", "{{ true or 1/0 }}", "{{ false and 1/0 }}", "{{ 1 if false else 1/0 }}", "{% if false %}{{ 'a'|nope }}{% endif %}ok", "{% if false %}{{ 'a' is nope }}{% endif %}ok", "{% if false %}{% nope %}{% endif %}ok", "{{ [1, 2][5].x }}", "{{ {}.x.y }}", "{{ messages[5].role }}", "{{ messages[0].nope.x }}", "{{ messages[0].nope }}", "{{ messages.nope }}", "{{ messages['nope'] }}", "{{ 'abc' is divisibleby(3) }}", "{{ 5 is divisibleby('a') }}", "{{ 5 is divisibleby }}", "{{ 5 is eq }}", "{{ 5 is in }}", "{{ 5 is odd(1) }}", "{{ 'a' is defined(1) }}", "{{ 2.5 is odd }}", "{{ 'a' is even }}", "{{ none is odd }}", "{{ 5|abs(1) }}", "{{ 'x'|center }}", "{{ 'x'|center('a') }}", "{{ 'x' * 3 * 2 }}", "{{ 'a'|batch(2)|list }}", "{{ 5|batch(2)|list }}", "{{ 5|slice(2)|list }}", "{{ [1]|batch('a')|list }}", "{{ [1]|groupby }}", "{{ [1]|groupby('x')|list }}", "{{ [1]|map(attribute='x')|list }}", "{{ [1]|map(attribute='x.y')|list }}", "{{ [1]|sum(attribute='x') }}", "{{ ['a']|sum }}", "{{ [[1], [2]]|sum(start=[]) }}", "{{ ['a', 'b']|sum(start='') }}", "{{ [1]|sort(attribute='x') }}", "{{ [{'a': 1}, {}]|sort(attribute='a') }}", "{{ [{'a': 1}, {}]|map(attribute='a')|list }}", "{{ [{'a': 1}, {}]|selectattr('a')|list }}", "{{ [{'a': 1}, {}]|max(attribute='a') }}", "{{ [{}, {}]|unique(attribute='a')|list }}", "{{ [{'a': 1}, {}]|sum(attribute='a') }}", "{{ [1, 1.0, true]|unique|list }}", "{{ ['a', 1, none, 'A']|unique|list }}", "{{ [[1], [1]]|unique|list }}"]


HAND = [
    '{{ 1 + 2 * 3 - 4 / 2 }}|{{ 7 // 2 }}|{{ -7 // 2 }}|{{ -7 % 3 }}|{{ 2 ** 10 }}|{{ 7 / 2 }}|{{ 1e20 }}|{{ 0.1 + 0.2 }}|{{ 1.0 }}|{{ 1e16 }}|{{ 123456789.123 }}|{{ 1e-5 }}|{{0.0001}}',
    '{{ -2 ** 2 }}|{{ 2 ** -1 }}|{{ 2 ** 3 ** 2 }}',
    '{{ "a" ~ 1 ~ none ~ true ~ 1.5 }}',
    '{{ [1, "a", none, true, 1.5, {"k": \'v"x\'}] }}|{{ (1,) }}|{{ (1, 2) }}|{{ () }}|{{ {} }}|{{ "it\'s" }}|{{ ["it\'s", \'q"\', "\\n\\t\\\\"] }}',
    '{{ 1 < 2 < 3 }}|{{ 1 < 3 < 2 }}|{{ "a" < "b" }}|{{ 1 == 1.0 }}|{{ true == 1 }}|{{ "1" == 1 }}',
    '{{ not not 1 }}|{{ not 0 }}|{{ not not not 0 }}|{{ 1 and 0 or 5 }}|{{ "" or "x" }}|{{ 0 and 1 }}',
    '{{ "abc"[0] }}|{{ "abc"[-1] }}|{{ "abc"[5] }}|{{ "abc"[1:] }}|{{ "abcdef"[::2] }}|{{ "abcdef"[::-1] }}|{{ "abcdef"[4:1:-1] }}|{{ "äöü"[1:2] }}|{{ [1,2,3][-2:] }}|{{ [1,2,3][::-1] }}|{{ "abc"[-10:10] }}|{{ "abc"[-4] }}',
    '{{ "a b  c".split() }}|{{ "a,b,,c".split(",") }}|{{ " a b c ".split(None, 1) }}|{{ "a,b,c".rsplit(",", 1) }}|{{ "".split(",") }}|{{ "".split() }}|{{ "a  b".split(" ") }}|{{ "a,b,c".split(",", 1) }}',
    '{{ "  x ".strip() }}|{{ "xxaxx".strip("x") }}|{{ "xyaxy".lstrip("yx") }}|{{ "a\\n".rstrip("\\n") }}|',
    '{{ "abc".startswith("a") }}|{{ "abc".endswith(("x","c")) }}|{{ "abc".upper() }}|{{ "ÄbC".lower() }}|{{ "hello wORLD it\'s".title() }}|{{ "hELLO".capitalize() }}|{{ "straße"|title }}',
    '{{ "aXbXc".replace("X", "--") }}|{{ "aXbXc".replace("X", "", 1) }}|{{ "abc".find("c") }}|{{ "abc".find("z") }}|{{ "abcabc".rfind("b") }}|{{ "aaa".count("a") }}',
    '{{ {"a": 1, "b": 2}.items() | list }}|{{ {"a": 1}.get("b", 5) }}|{{ {"a": 1}.get("b") }}|{{ {"a":1}.keys()|list }}|{{ {"a":1}.values()|list }}',
    '{% for k, v in {"a": 1, "b": 2}.items() %}{{ k }}={{ v }}{% if not loop.last %},{% endif %}{% endfor %}',
    '{% for x in [1,2,3] if x != 2 %}{{ loop.index }}/{{ loop.length }}:{{ x }} {% else %}none{% endfor %}',
    '{% for x in [] %}a{% else %}empty{% endfor %}',
    '{% for x in [1,2,3] %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {{ loop.revindex }} {{ loop.revindex0 }} {{ loop.first }} {{ loop.cycle("a", "b") }}{% endfor %}',
    '{% for x in range(3) %}{% for y in range(x) %}{{ x }}{{ y }} {% endfor %}{% endfor %}',
    '{% set x = 1 %}{% for i in [1,2] %}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}',
    '{% set ns = namespace(x=1) %}{% for i in [1,2] %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}',
    '{% set a, b = 1, 2 %}{{ a }}{{ b }}',
    '{% if false %}{% elif 1 %}yes{% else %}no{% endif %}',
    '{% macro m(a, b=2, c=a) %}[{{ a }}{{ b }}{{ c }}]{% endmacro %}{{ m(1) }}{{ m(1, c=5) }}{{ m(1, 2, 3) }}{{ m() }}',
    '{% macro r(n) %}{{ n }}{% if n > 0 %}{{ r(n - 1) }}{% endif %}{% endmacro %}{{ r(5) }}',
    '{% macro w() %}<{{ caller() }}>{% endmacro %}{% call w() %}hi{% endcall %}',
    '{% macro w(x) %}<{{ caller(x, 2) }}>{% endmacro %}{% call(a, b) w(1) %}hi{{ a }}{{ b }}{% endcall %}',
    '{% filter upper %}abc {{ "x" }}{% endfilter %}',
    '{% set x %}  block {{ 1 }} {% endset %}[{{ x }}]{% set y | upper | trim %} q {% endset %}[{{ y }}]',
    '{{ [3,1,2]|sort }}|{{ ["b","A","c"]|sort }}|{{ ["b","A","c"]|sort(case_sensitive=true) }}|{{ [1,2,3]|sort(reverse=true) }}|{{ [{"n":2},{"n":1}]|sort(attribute="n") }}',
    '{{ [1,2,2,3,1]|unique|list }}|{{ ["a","A","b"]|unique|list }}|{{ [1,2,3]|first }}|{{ [1,2,3]|last }}|{{ []|first }}|{{ [1,2,3]|sum }}|{{ [1,2,3]|max }}|{{ [1,5,3]|min }}',
    '{{ [1,2,3]|join(",") }}|{{ ["a","b"]|join }}|{{ [{"a":1},{"a":2}]|join("-", attribute="a") }}|{{ "abc"|join("-") }}',
    '{{ [1,2,3]|map("string")|list }}|{{ [{"a":1},{"a":2}]|map(attribute="a")|list }}|{{ ["a","b"]|map("upper")|join }}|{{ [{"a":{"b":3}}]|map(attribute="a.b")|list }}|{{ [{"a":1},{}]|map(attribute="a", default=0)|list }}',
    '{{ [1,2,3,4]|select("odd")|list }}|{{ [1,2,3,4]|reject("odd")|list }}|{{ [0,1,"",2]|select|list }}|{{ [{"r":"u"},{"r":"s"}]|selectattr("r","equalto","u")|list }}|{{ [{"r":"u"},{"q":1}]|rejectattr("r")|list }}|{{ [{"r":1},{"r":2}]|selectattr("r", "gt", 1)|list|length }}',
    '{{ "  x "|trim }}|{{ "abc"|length }}|{{ "äb"|length }}|{{ [1]|length }}|{{ "abc"|reverse }}|{{ [1,2]|reverse|list }}|{{ "abc"|list }}|{{ "a"|default("b") }}|{{ u|default("b") }}|{{ ""|default("b") }}|{{ ""|default("b", true) }}|{{ none|default("x") }}|{{ u|d }}',
    '{{ "12"|int }}|{{ "x"|int }}|{{ "x"|int(7) }}|{{ "3.7"|int }}|{{ 3.9|int }}|{{ "1.5"|float }}|{{ "q"|float }}|{{ -3|abs }}|{{ 3.14159|round(2) }}|{{ 2.5|round }}|{{ 3.7|round|int }}|{{ 42|string ~ "x" }}',
    '{{ {"b":1,"a":2}|dictsort }}|{{ {"b":1,"a":2}|dictsort(by="value") }}|{{ {"b":1,"A":2}|dictsort(true) }}|{{ {"a":1}|items|list }}',
    '{{ {"a":[1,2,{"b":none}],"c":"é\\"\\n<"}|tojson }}|{{ {"a":[1,{"b":2}],"e":[],"f":{}}|tojson(indent=2) }}|{{ [1.0,1e20,0.1,true,none]|tojson }}|{{ "é😀"|tojson(ensure_ascii=true) }}|{{ {"b":1,"a":2}|tojson(sort_keys=true) }}|{{ {"a":[1,2]}|tojson(separators=(",",":")) }}',
    '{{ "a\\nb\\n\\nc"|indent }}|{{ "a\\nb"|indent(2, true) }}|{{ "a\\n\\nb"|indent(2, blank=true) }}|{{ "a\\nb"|indent(width=3, first=false) }}',
    '{{ x is defined }}|{{ x is undefined }}|{{ none is none }}|{{ "a" is string }}|{{ {} is mapping }}|{{ [] is iterable }}|{{ "a" is iterable }}|{{ 1 is iterable }}|{{ [] is sequence }}|{{ {} is sequence }}|{{ 1 is number }}|{{ 1.5 is number }}|{{ true is number }}|{{ true is boolean }}|{{ 1 is boolean }}|{{ true is true }}|{{ 1 is true }}|{{ false is false }}|{{ 1 is integer }}|{{ 1.5 is float }}|{{ 3 is odd }}|{{ 4 is even }}|{{ 9 is divisibleby 3 }}|{{ 9 is divisibleby(2) }}|{{ "a" is in ["a"] }}|{{ 1 is eq 1 }}|{{ 1 is not eq 1 }}|{{ "AB" is upper }}|{{ "ab" is lower }}|{{ 2 is gt 1 }}|{{ 2 is sameas 2 }}',
    '{{ "b" in "abc" }}|{{ 1 in [1,2] }}|{{ "a" in {"a":1} }}|{{ "z" not in "abc" }}|{{ 1 in [] }}|{{ "" in "" }}|{{ "x" in u }}',
    '{{ "yes" if 1 else "no" }}|{{ "yes" if 0 }}|{{ "a" if 0 else "b" if 0 else "c" }}|{{ 1 if true else 2 if false else 3 }}',
    '{{ "a" "b" \'c\' }}|{{ "\\x41\\u00e9\\n" }}|{{ \'\\\'\' }}|{{ "\\q" }}',
    '{{ "ab" * 3 }}|{{ 3 * "ab" }}|{{ [1] + [2] }}|{{ "ab" * 0 }}|{{ "ab" * -1 }}',
    '{{ -1|abs }}|{{ -(1) }}|{{ +1 }}|{{ - -1 }}|{{ --1 }}',
    '{{ [1,2,3].index(2) }}|{{ [1,1].count(1) }}|{{ "a".join(["x","y"]) }}|{{ "a\\nb\\r\\nc\\n".splitlines() }}|{{ "prefix_x".removeprefix("prefix_") }}|{{ "a1".isdigit() }}|{{ "12".isdigit() }}|{{ "ab".isalpha() }}',
    '{{ u }}|{{ u is defined and u.x }}|{{ {}.x }}|{{ {}.x is defined }}|{{ {"x": none}.x }}|{{ {"a":{"b":1}}.a.b }}|{{ {"a":1}["a"] }}|{{ [[1,2],[3]][0][1] }}|{{ none.foo }}|{{ none.foo is defined }}|{{ "x".foo is defined }}',
    '{%- if true -%}  a  {%- endif -%}  b\n  {% if true %}\n    x\n  {% endif %}\ny\n {# comment #}\nz {# c #} q\n{#- c -#}   w\n   {%+ if true %}keep{% endif %}\n\n{{ 1 }}\n  {{ 2 }}\n{%- set x = 1 %}\n\nend',
    '{% raw %}{{ x }} {% if %}{% endraw %}|\n{%- raw -%}  a {{ b }}  {%- endraw -%}  c',
    '{% for i in range(5) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}',
    '{{ range(5)|list }}|{{ range(1, 10, 3)|list }}|{{ range(5, 0, -2)|list }}|{{ range(0)|list }}',
    '{{ dict(a=1, b="x") }}|{{ dict({"z":1}, a=2) }}|{{ namespace(a=1).a }}',
    '{{ strftime_now("%Y-%m-%d %H:%M") }}|{{ strftime_now("%d %b %Y") }}|{{ strftime_now("%B %A %j") }}',
    '{% for x in "äb" %}{{ x }}.{% endfor %}|{% for x in {"a":1} %}{{ x }}{% endfor %}',
    '{% set d = {"a": 1} %}{{ d.a }}{{ d["a"] }}{{ d.get("a") }}{% for k in d %}{{ k }}{% endfor %}',
    '{% for a, b in [[1,2],[3,4]] %}{{ a }}{{ b }}{% endfor %}',
    '{% for x in [1,1,2,2] %}{% if loop.changed(x) %}{{ x }}{% endif %}{% endfor %}',
    '{{ messages|length }}|{{ messages[0].role }}|{{ messages[0]["content"] }}|{{ messages[-1].content|upper }}|{{ messages|map(attribute="role")|join(",") }}',
    '{{ "x" if messages[5] is defined else "y" }}|{{ messages[0].nope }}|{{ messages[0].nope is defined }}',
    '{{ ("a" ~ "b")|upper }}|{{ "a" ~ "b"|upper }}|{{ 1 + "3"|int }}',
    '{{ "%s"|length }}|{{ "a" == "a" and "b" != "c" }}|{{ (1, 2)[0] }}|{{ {"a": (1,2)}.a[1] }}',
    '{% if messages[0].role == "user" and (messages[0].content is string or none) %}ok{% endif %}',
    '{{ "<" ~ "a"|escape ~ "<&>"|e }}',
    '{{ [1,[2,[3]]]|tojson }}|{{ {"1": 1, 2: 3}|tojson }}|{{ "\\u2028</script>"|tojson }}',
    '{{ 10 // 3 * 3 + 10 % 3 }}|{{ 5.5 // 2 }}|{{ -5.5 % 2 }}|{{ 1_000 }}|{{ true + 1 }}',
    '{% set x = [1,2] + [3] %}{{ x }}{% set y = x[1:] %}{{ y|length }}',
    '{{ "a,b"|replace(",", ";") }}|{{ 123|replace("2", "x") }}|{{ "ABC"|lower|title }}',
    '{{ "foo bar"|capitalize }}|{{ "x y"|title }}|{{ "a-b c_d"|title }}|{{ "they\'re"|title }}',
    '{%   if    true    -%}     x{%endif%}|{{1}}|{{-1}}|{{- 1 -}}  |',
    'a{%- if true %} b {% endif -%} c {{- " d " }} e',
    '{{ [none, 1]|tojson }} {{ none }} {{ true }} {{ [none] }}',
    '{{ "abc"|first }}{{ "abc"|last }}{{ [[1,2],[3,4]]|map("first")|list }}{{ [[1,2]]|map("join", "-")|list }}',
    '{% set x = {"a": 1} %}{{ x.items }}|{{ x.b.c }}',
    '{{ undefined_fn() }}',
    '{{ 1 + "a" }}',
    '{{ u + "a" }}',
    '{{ none + "a" }}',
    '{{ "a" + 1 }}',
    '{{ u.a }}',
    '{{ u[0] }}',
    '{% for x in 5 %}{% endfor %}',
    '{{ 1/0 }}',
    '{{ [1] < ["a"] }}',
    '{{ {}|nofilter }}',
    '{{ 1 is notest }}',
    '{% set messages.x = 1 %}',
    '{{ [].append(1) }}',
    '{{ 5 5 }}',
    '{% if %}{% endif %}',
    "{{ 'abc }}",
    '{{ (1 }}',
    '{% endif %}',
    '{% for x in [1] %}',
    '{{ raise_exception("no") }}',
    '{% macro m() %}x',
    '{{ m(1,2 }}',
    'a\n',
    'a\n\n',
    '',
    '{{ 1 }}\n',
    '{% if 1 %}\n',
    '  {% set x=1 %}  \n x',
    'x {% set x=1 %}  \n x',
    '{%- set x=1 -%}\n\n x',
    '\n\n  {#- c #}\n x',
    'a\r\nb\r{{ 1 }}\r\n c',
    "{{ {'a': {'b': 1}} }}",
    "{{ {'a':{'b':{}}}}}",
    "{% set x = '%}' %}{{ x }}",
    "{{ '}}' }}",
    '{#a#}{#b#}\n{#c#}\nd',
    "{{ 'a\nb' }}",
    '{% raw %}\n a{% endraw %}\nb',
    '{%raw%}{%-endraw%}',
    'x\n   {%- if 1 %}\n   y\n   {%- endif %}\nz',
    'x\n\t{% if 1 -%}\n   y\n   {% endif +%}\nz',
    '{{+1}}|{%+ if 1 +%}\nq{% endif %}',
    '{{ messages[1].content.title() }} {{ messages[1].content|title }}',
    '{{ "they\'re (x) [y] a_b"|title }}',
]


# What has no fixed answer in Python: addresses, generators, views. Such rows are left out.
UNSTABLE = re.compile(r" at 0x|<generator|<built-in|<bound method|<function|<class |dict_(items|keys|values)\(|<filter|<map|<Cycler|<Joiner|range\(\d+, \d+\)|<slot|<Macro|<method")


def ours_of(source, want):
    """What sluice answers on purpose, and why; None where it must agree."""
    for pattern, answer, ours, why in RULES:
        if want == ours or not re.search(pattern, source):
            continue
        if answer is None or answer(want):
            return ours, why
    return None


def rows(form, snippets):
    for s in dict.fromkeys(snippets):
        source = form.replace("$", s)
        out = render(source, messages=copy.deepcopy(MESSAGES), add_generation_prompt=True, tools=None)
        if out is not None and (UNSTABLE.search(out) or "\0" in out): # the reader of JSON takes no NUL
            continue
        ours = ours_of(source, out)
        yield [s, out] + ([ours[0], reason(ours[1])] if ours else [])


def main():
    seen, parts = set(), []
    for form, snippets in groups():
        fresh = [s for s in snippets if (form, s) not in seen]
        seen.update((form, s) for s in fresh)
        lines = ",\n".join(json.dumps(r, ensure_ascii=True) for r in rows(form, fresh))
        parts.append('{"form": %s, "rows": [\n%s\n]}' % (json.dumps(form), lines))
    print('{"jinja2": %s, "python": "%d.%d", "messages": %s, "reasons": %s,\n"groups": [\n%s\n]}' % (
        json.dumps(jinja2.__version__), *sys.version_info[:2], json.dumps(MESSAGES), json.dumps(REASONS), ",\n".join(parts)))


main()
