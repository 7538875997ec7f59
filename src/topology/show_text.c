/* SPDX-License-Identifier: BSD-3-Clause */
/* Text from files and systems inside of text, JSON and XML: nothing in it is taken for more. */
#include "topology/show.h"

#include <stdarg.h>
#include <string.h>

/* The bytes of the character that s begins with, 0: no valid UTF-8 (also surrogates, and what
 * has a shorter form). */
static int character(const unsigned char *s)
{
    int more = s[0] < 0x80 ? 0 : s[0] >= 0xc2 && s[0] < 0xe0 ? 1 : s[0] >= 0xe0 && s[0] < 0xf0 ? 2 :
               s[0] >= 0xf0 && s[0] < 0xf5 ? 3 : -1;

    if (more < 0 || (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90) ||
        (s[0] == 0xef && s[1] == 0xbf && s[2] >= 0xbe))
        return 0;
    for (int i = 1; i <= more; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    return more + 1;
}

/* A single byte that means something there; false: it does not. */
static bool put_special(FILE *out, enum show_kind kind, unsigned char c)
{
    const char *entity = c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" :
                         c == '"' ? "&quot;" : c == '\'' ? "&apos;" : NULL;

    if (c < 0x20 || c == 0x7f) {
        if (kind == SHOW_JSON)
            fprintf(out, "\\u%04x", c);
        else
            putc(c == '\t' || c == '\n' ? ' ' : '?', out);
        return true;
    }
    if (kind == SHOW_JSON && (c == '"' || c == '\\')) {
        fprintf(out, "\\%c", c);
        return true;
    }
    if (kind == SHOW_XML && entity) {
        fputs(entity, out);
        return true;
    }
    return false;
}

void show_text(FILE *out, enum show_kind kind, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;

    while (*s) {
        int bytes = character(s);

        /* The C1 controls, which terminals obey too. */
        if (bytes == 2 && s[0] == 0xc2 && s[1] < 0xa0)
            bytes = 0, s++;
        if (!bytes)
            fputs("\xef\xbf\xbd", out);
        else if (bytes > 1 || !put_special(out, kind, *s))
            fwrite(s, 1, (size_t)bytes, out);
        s += bytes ? bytes : 1;
    }
}

void show_printf(FILE *out, enum show_kind kind, const char *format, ...)
{
    char text[400];
    size_t length = strlen(format);
    bool line = length && format[length - 1] == '\n';
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    length = strlen(text);
    if (line && length && text[length - 1] == '\n')
        text[length - 1] = '\0';
    show_text(out, kind, text);
    if (line)
        putc('\n', out);
}

void show_numbers(const int *numbers, int n, char *text, size_t size)
{
    size_t length = 0;

    text[0] = '\0';
    for (int i = 0; i < n && length < size; ) {
        int last = i;

        while (last + 1 < n && numbers[last + 1] == numbers[last] + 1)
            last++;
        length += (size_t)snprintf(text + length, size - length, "%s%d", i ? ", " : "", numbers[i]);
        if (last > i && length < size)
            length += (size_t)snprintf(text + length, size - length, "%s%d",
                                       last == i + 1 ? ", " : "-", numbers[last]);
        i = last + 1;
    }
}
