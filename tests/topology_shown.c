/* SPDX-License-Identifier: BSD-3-Clause */
#include "topology_shown.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { DEEPEST = 32, NAME = 32 };

static const char *wrong(const char *what, const char *at)
{
    static char text[160];

    snprintf(text, sizeof text, "%s, near \"%.60s\"", what, at);
    return text;
}

/* By the length and the least value of each form. */
bool utf8_right(const char *text)
{
    static const unsigned long least[] = { 0, 0x80, 0x800, 0x10000 };

    for (const unsigned char *s = (const unsigned char *)text; *s; ) {
        int more = *s < 0x80 ? 0 : *s >> 5 == 6 ? 1 : *s >> 4 == 14 ? 2 : *s >> 3 == 30 ? 3 : -1;
        unsigned long value = more < 0 ? 0 : more ? *s & (0x3fu >> more) : *s;

        if (more < 0)
            return false;
        s++;
        for (int i = 0; i < more; i++, s++) {
            if (*s >> 6 != 2)
                return false;
            value = value << 6 | (*s & 0x3f);
        }
        if (value < least[more] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
            return false;
    }
    return true;
}

/* ---- JSON --------------------------------------------------------------------------------- */

static const char *skip(const char *s)
{
    return s + strspn(s, " \t\r\n");
}

/* Behind the string that *s begins with; NULL: it is none. */
static const char *json_string(const char *s)
{
    if (*s++ != '"')
        return NULL;
    for (; *s != '"'; s++) {
        if ((unsigned char)*s < 0x20)
            return NULL;
        if (*s != '\\')
            continue;
        if (*++s == 'u') {
            for (int i = 1; i <= 4; i++)
                if (!isxdigit((unsigned char)s[i]))
                    return NULL;
            s += 4;
        } else if (!*s || !strchr("\"\\/bfnrt", *s)) {
            return NULL;
        }
    }
    return s + 1;
}

static const char *json_digits(const char *s)
{
    return isdigit((unsigned char)*s) ? s + strspn(s, "0123456789") : NULL;
}

static const char *json_number(const char *s)
{
    s += *s == '-';
    s = *s == '0' ? s + 1 : json_digits(s);
    if (s && *s == '.')
        s = json_digits(s + 1);
    if (s && (*s == 'e' || *s == 'E'))
        s = json_digits(s + 1 + (s[1] == '-' || s[1] == '+'));
    return s;
}

static const char *json_value(const char *s, int deep)
{
    char end = *s == '{' ? '}' : ']';

    if (deep > DEEPEST)
        return NULL;
    if (*s == '"')
        return json_string(s);
    if (*s != '{' && *s != '[') {
        for (int i = 0; i < 3; i++) {
            const char *word = i == 0 ? "null" : i == 1 ? "true" : "false";

            if (!strncmp(s, word, strlen(word)))
                return s + strlen(word);
        }
        return json_number(s);
    }
    s = skip(s + 1);
    if (*s == end)
        return s + 1;
    for (;;) {
        if (end == '}') {
            s = json_string(s);
            if (!s || *(s = skip(s)) != ':')
                return NULL;
            s = skip(s + 1);
        }
        s = json_value(s, deep + 1);
        if (!s)
            return NULL;
        s = skip(s);
        if (*s == end)
            return s + 1;
        if (*s != ',')
            return NULL;
        s = skip(s + 1);
    }
}

const char *json_wrong(const char *text)
{
    const char *end = json_value(skip(text), 0);

    if (!utf8_right(text))
        return wrong("not UTF-8", text);
    if (!end)
        return wrong("no JSON value", text);
    return *skip(end) ? wrong("more behind the value", end) : NULL;
}

/* ---- XML ----------------------------------------------------------------------------------- */

static size_t name_length(const char *s)
{
    size_t n = 0;

    while (isalnum((unsigned char)s[n]) || (s[n] && strchr("-_:.", s[n])))
        n++;
    return isalpha((unsigned char)s[0]) && n < NAME ? n : 0;
}

/* Text or the value of an attribute, up to `end`; NULL: something in it may not be. */
static const char *xml_text(const char *s, char end)
{
    static const char *const entities[] = { "&amp;", "&lt;", "&gt;", "&quot;", "&apos;" };

    for (; *s && *s != end; s++) {
        bool known = *s != '&';

        for (int i = 0; i < 5 && !known; i++)
            known = !strncmp(s, entities[i], strlen(entities[i]));
        if (!known || *s == '<' || ((unsigned char)*s < 0x20 && !strchr("\t\n\r", *s)) ||
            !strncmp(s, "]]>", 3) || !strncmp(s, "\xef\xbf\xbe", 3) || !strncmp(s, "\xef\xbf\xbf", 3))
            return NULL;
    }
    return s;
}

/* Behind the attributes, at "/>" or ">". */
static const char *xml_attributes(const char *s)
{
    while (isspace((unsigned char)*s)) {
        size_t n;

        s = skip(s);
        if (*s == '/' || *s == '>')
            break;
        n = name_length(s);
        s += n;
        if (!n || s[0] != '=' || s[1] != '"' || !(s = xml_text(s + 2, '"')) || *s != '"')
            return NULL;
        s++;
    }
    return s;
}

const char *xml_wrong(const char *text)
{
    char open[DEEPEST][NAME];
    int deep = 0, elements = 0;

    if (!utf8_right(text))
        return wrong("not UTF-8", text);
    for (const char *s = text, *at; *s; ) {
        size_t n;

        if (*s != '<') {
            at = xml_text(s, '<');
            if (!at || (!deep && skip(s) < at))
                return wrong("text that may not be", s);
            s = at;
            continue;
        }
        at = s;
        s += 1 + (s[1] == '/');
        n = name_length(s);
        if (!n)
            return wrong("an element without a name", at);
        if (s[-1] == '/') {
            if (!deep-- || strlen(open[deep]) != n || strncmp(open[deep], s, n))
                return wrong("the end of what has not begun", at);
            s = skip(s + n);
        } else {
            if (deep == DEEPEST || (!deep && elements))
                return wrong("too deep, or a second root", at);
            snprintf(open[deep], NAME, "%.*s", (int)n, s);
            s = xml_attributes(s + n);
            if (!s)
                return wrong("an attribute", at);
            deep += *s != '/';
            s += *s == '/';
            elements++;
        }
        if (*s++ != '>')
            return wrong("an element without an end", at);
    }
    return deep || !elements ? wrong("elements that do not end", text) : NULL;
}

/* ---- Graphs --------------------------------------------------------------------------------- */

static unsigned draw(uint64_t *state, unsigned below)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(*state >> 33) % below;
}

void random_topology(struct topology *t, uint64_t seed)
{
    uint64_t state = seed * 0x9e3779b97f4a7c15u;
    int nodes = 1 + (int)draw(&state, 60), links = (int)draw(&state, 120);

    topology_init(t);
    topology_host(t, "");
    for (int i = 0; i < nodes; i++) {
        enum topology_kind kind = i ? (enum topology_kind)draw(&state, TOPOLOGY_KIND_COUNT)
                                    : TOPOLOGY_NUMA;
        bool loose = kind == TOPOLOGY_RAIL || kind == TOPOLOGY_NVSWITCH;
        char name[TOPOLOGY_NAME];
        int parent = i && !loose && (kind != TOPOLOGY_NUMA || !draw(&state, 8)) ?
                     (int)draw(&state, (unsigned)i) : -1, deep = 0, node;

        for (int up = parent; up >= 0; up = t->nodes[up].parent)
            deep++;
        if (parent >= 0 && (t->nodes[parent].host < 0 || deep > 20))
            parent = 0;
        snprintf(name, sizeof name, "%.12s-%d", topology_kind_name(kind), i);
        node = topology_node(t, kind, loose && draw(&state, 2) ? -1 : 0, parent,
                             (int)draw(&state, 10) - 1, name);
        t->nodes[node].speed = draw(&state, 60);
        t->nodes[node].direct = (int)draw(&state, 3) - 1;
        t->nodes[node].capability = draw(&state, 2) ? 90 : 0;
        if (draw(&state, 2))
            t->nodes[node].bus = (uint64_t)i << 16;
        if (parent >= 0 && draw(&state, 8))
            topology_link(t, parent, node, draw(&state, 4) ? MEDIUM_PCI : MEDIUM_C2C,
                          (int)draw(&state, 17), 1 + draw(&state, 50));
    }
    for (int i = 0; i < links && nodes > 1; i++) {
        int a = (int)draw(&state, (unsigned)nodes), b = (int)draw(&state, (unsigned)nodes);
        enum topology_medium medium = (enum topology_medium)draw(&state, MEDIUM_COUNT);

        if (a != b)
            topology_link(t, a, b, draw(&state, 2) ? MEDIUM_NVLINK : medium, (int)draw(&state, 20),
                          0.001 + draw(&state, 100));
    }
}
