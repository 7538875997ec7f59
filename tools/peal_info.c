/* SPDX-License-Identifier: BSD-3-Clause */
/* peal-info: what Peal is, can do and would do here.  The library makes the
 * reports (peal_describe); this program asks and lays out. */
#include <peal.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INFO_OK, INFO_USAGE = 2, INFO_FAILED };

enum { TOPIC_BYTES = 256, QUESTIONS = 32 };

static const struct {
    const char *option, *letter, *title;
} topics[] = {
    {"--version",    "-v", "Version"},
    {"--build",      "-b", "Build"},
    {"--transports", "-t", "Transports"},
    {"--devices",    "-d", "Network devices"},
    {"--launch",     "-l", "Launchers"},
    {"--settings",   "-s", "Settings"},
    {"--algorithms", "-a", "Algorithms"},
};
enum { TOPICS = sizeof topics / sizeof *topics };

static const struct {
    const char *option;
    int         least, most;            /* words that follow */
} questions[] = {
    {"--draw",    3, 4},
    {"--explain", 3, 3},
};
enum { QUESTION_KINDS = sizeof questions / sizeof *questions };

static const char usage[] =
"usage: peal-info [options]            without options: all that is marked *\n"
"\n"
"* -v, --version      of the library that is loaded\n"
"* -b, --build        how it was built, and what is missing\n"
"* -t, --transports   which are usable here, and why not\n"
"* -d, --devices      network devices, which would be used and how\n"
"* -l, --launch       which launch environment was found\n"
"* -s, --settings     every setting, its value and where that came from\n"
"* -a, --algorithms   by collective, with their cost\n"
"      --draw COLLECTIVE ALGORITHM RANKS [COUNT]    the steps: --draw allreduce ring 4\n"
"      --explain COLLECTIVE BYTES RANKS             the choice: --explain allreduce 64M 8\n"
"                         RANKS as HOSTSxRANKS: 4x8 are 4 hosts of 8 ranks each\n"
"      --json         one JSON object\n"
"  -h, --help\n"
"\n"
"Exit: 0 well, 2 usage, 3 the library could not answer.\n";

struct request {
    bool        json;
    int         count;
    char        topic[QUESTIONS][TOPIC_BYTES];
    const char *title[QUESTIONS];
};

static bool topic_add(struct request *r, const char *title, const char *topic)
{
    if (r->count == QUESTIONS)
        return false;
    r->title[r->count] = title;
    snprintf(r->topic[r->count++], TOPIC_BYTES, "%s", topic);
    return true;
}

/* An option of the table of topics; false: it is another one. */
static bool topic_parse(struct request *r, const char *word)
{
    for (int i = 0; i < TOPICS; i++)
        if (!strcmp(word, topics[i].option) || !strcmp(word, topics[i].letter))
            return topic_add(r, topics[i].title, topics[i].option + 2);
    return false;
}

/* --draw or --explain and its words from argv[0] on; returns how many words
 * were used, 0: it is another option or too few words follow. */
static int question_parse(struct request *r, char **argv)
{
    for (int i = 0; i < QUESTION_KINDS; i++) {
        char topic[TOPIC_BYTES];
        int used = 1;

        if (strcmp(argv[0], questions[i].option))
            continue;
        snprintf(topic, sizeof topic, "%s", questions[i].option + 2);
        for (; used <= questions[i].most && argv[used] && argv[used][0] != '-'; used++) {
            size_t length = strlen(topic);

            snprintf(topic + length, sizeof topic - length, " %s", argv[used]);
        }
        if (used <= questions[i].least || !topic_add(r, NULL, topic))
            return 0;
        return used;
    }
    return 0;
}

static bool request_parse(struct request *r, char **argv)
{
    while (*argv) {
        int used = 1;

        if (!strcmp(*argv, "--json"))
            r->json = true;
        else if (!topic_parse(r, *argv))
            used = question_parse(r, argv);
        if (!used) {
            fprintf(stderr, "peal-info: what is \"%s\", or what follows it?  See peal-info "
                    "--help\n", *argv);
            return false;
        }
        argv += used;
    }
    if (r->count == 0)
        for (int i = 0; i < TOPICS; i++)
            topic_add(r, topics[i].title, topics[i].option + 2);
    return true;
}

/* Each report is an object {"topic": ...}; together they make one. */
static void json_print(const char *report, bool first, bool last)
{
    const char *start = strchr(report, '{'), *end = strrchr(report, '}');

    if (!start || !end) {
        fputs(report, stdout);
        return;
    }
    printf("%s%.*s%s", first ? "{" : ",\n", (int)(end - start - 1), start + 1,
           last ? "}\n" : "");
}

static void text_print(const char *report, const char *title, bool first)
{
    size_t length = strlen(report);

    if (!first)
        putchar('\n');
    if (title)
        printf("%s\n%.*s\n", title, (int)strlen(title), "--------------------");
    fputs(report, stdout);
    if (length && report[length - 1] != '\n')
        putchar('\n');
}

int main(int argc, char **argv)
{
    struct request request = {.count = 0};

    (void)argc;
    for (char **word = argv + 1; *word; word++)
        if (!strcmp(*word, "-h") || !strcmp(*word, "--help")) {
            fputs(usage, stdout);
            return INFO_OK;
        }
    if (!request_parse(&request, argv + 1))
        return INFO_USAGE;
    for (int i = 0; i < request.count; i++) {
        char *report = NULL;
        const char *title = request.count > 1 ? request.title[i] : NULL;
        int status = peal_describe(request.topic[i], request.json, &report);

        if (status != PEAL_OK) {
            fprintf(stderr, "peal-info: %s: %s: %s\n", request.topic[i], peal_strerror(status),
                    peal_last_error());
            return INFO_FAILED;
        }
        if (request.json)
            json_print(report, i == 0, i == request.count - 1);
        else
            text_print(report, title, i == 0);
        free(report);
    }
    return INFO_OK;
}
