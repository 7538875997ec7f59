/* SPDX-License-Identifier: BSD-3-Clause */
/* peal-info: what Peal is, can do and would do here.  The library makes the
 * reports (peal_describe); this program asks and lays out. */
#include <peal.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INFO_OK, INFO_USAGE = 2, INFO_FAILED };

enum { QUESTIONS = 32 };

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

/* Questions, and the words that follow them. */
enum { ANY = 1000 };
static const struct {
    const char *option;
    int         least, most;
} questions[] = {
    {"--draw",     3, 4},
    {"--explain",  3, 3},
    {"--topology", 0, ANY},
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
"      --topology [MACHINE]     distances, tree, what is odd; of this machine, of a file (XML of\n"
"                               NCCL or hwloc, nvidia-smi topo -m), or \"socket:2 gpu:8 nvswitch\"\n"
"        --rings                its rings and trees, their bandwidth, the NIC of each GPU\n"
"        --svg FILE             its picture with the rings\n"
"      --json         one JSON object\n"
"  -h, --help\n"
"\n"
"Exit: 0 well, 2 usage, 3 the library could not answer.\n";

struct request {
    bool        json, rings;
    const char *svg;                    /* file for the picture */
    int         count, machine;         /* machine: the question after --topology, or -1 */
    char       *topic[QUESTIONS];       /* malloc'ed */
    const char *title[QUESTIONS];
};

/* The words in argv[0 .. n) after `name`, a blank between each; NULL: no memory. */
static char *topic_join(const char *name, char **argv, int n)
{
    size_t bytes = strlen(name) + 1;
    char *topic;

    for (int i = 0; i < n; i++)
        bytes += strlen(argv[i]) + 1;
    topic = malloc(bytes);
    if (!topic)
        return NULL;
    strcpy(topic, name);
    for (int i = 0; i < n; i++) {
        strcat(topic, " ");
        strcat(topic, argv[i]);
    }
    return topic;
}

/* Takes the topic, also if there is no room for it. */
static bool topic_add(struct request *r, const char *title, char *topic)
{
    if (r->count == QUESTIONS || !topic) {
        free(topic);
        return false;
    }
    r->title[r->count] = title;
    r->topic[r->count++] = topic;
    return true;
}

/* An option of the table of topics; false: it is another one. */
static bool topic_parse(struct request *r, const char *word)
{
    for (int i = 0; i < TOPICS; i++)
        if (!strcmp(word, topics[i].option) || !strcmp(word, topics[i].letter))
            return topic_add(r, topics[i].title, topic_join(topics[i].option + 2, NULL, 0));
    return false;
}

/* A question and its words from argv[0] on; returns how many words were used, 0: it is another
 * option or too few words follow.  Each word is passed on as it is: blanks in it stay. */
static int question_parse(struct request *r, char **argv)
{
    for (int i = 0; i < QUESTION_KINDS; i++) {
        int used = 1;

        if (strcmp(argv[0], questions[i].option))
            continue;
        while (used <= questions[i].most && argv[used] && argv[used][0] != '-')
            used++;
        if (!strcmp(argv[0], "--topology"))
            r->machine = r->count;
        if (used <= questions[i].least ||
            !topic_add(r, NULL, topic_join(questions[i].option + 2, argv + 1, used - 1)))
            return 0;
        return used;
    }
    return 0;
}

/* Another topic about the machine of --topology, or about this one. */
static char *topic_of_machine(const struct request *r, const char *name)
{
    char *words = r->machine < 0 ? NULL : strchr(r->topic[r->machine], ' ');

    return words ? topic_join(name, (char *[]){ words + 1 }, 1) : topic_join(name, NULL, 0);
}

static bool request_parse(struct request *r, char **argv)
{
    while (*argv) {
        int used = 1;

        if (!strcmp(*argv, "--json")) {
            r->json = true;
        } else if (!strcmp(*argv, "--rings")) {
            r->rings = true;
        } else if (!strcmp(*argv, "--svg")) {
            r->svg = argv[1];
            used = r->svg ? 2 : 0;
        } else if (!topic_parse(r, *argv)) {
            used = question_parse(r, argv);
        }
        if (!used) {
            fprintf(stderr, "peal-info: what is \"%s\", or what follows it?  See peal-info "
                    "--help\n", *argv);
            return false;
        }
        argv += used;
    }
    if (r->rings && !topic_add(r, NULL, topic_of_machine(r, "rings")))
        return false;
    if (r->count == 0 && !r->svg)
        for (int i = 0; i < TOPICS; i++)
            topic_add(r, topics[i].title, topic_join(topics[i].option + 2, NULL, 0));
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

static int failed(const char *topic, int status)
{
    fprintf(stderr, "peal-info: %s: %s: %s\n", topic, peal_strerror(status), peal_last_error());
    return INFO_FAILED;
}

/* The picture goes to its file; "-" is the standard output. */
static int svg_write(const struct request *r)
{
    char *topic = topic_of_machine(r, "topology-svg"), *report = NULL;
    int status = topic ? peal_describe(topic, 0, &report) : PEAL_ERR_MEMORY, result = INFO_OK;
    FILE *out;

    if (status != PEAL_OK) {
        result = failed(topic ? topic : "--svg", status);
        free(topic);
        return result;
    }
    out = strcmp(r->svg, "-") ? fopen(r->svg, "w") : stdout;
    if (!out || fputs(report, out) < 0 || (out == stdout ? fflush(out) : fclose(out)) != 0) {
        fprintf(stderr, "peal-info: %s: ", r->svg);
        perror(NULL);
        result = INFO_FAILED;
    }
    free(report);
    free(topic);
    return result;
}

static int answer(const struct request *r)
{
    for (int i = 0; i < r->count; i++) {
        char *report = NULL;
        const char *title = r->count > 1 ? r->title[i] : NULL;
        int status = peal_describe(r->topic[i], r->json, &report);

        if (status != PEAL_OK)
            return failed(r->topic[i], status);
        if (r->json)
            json_print(report, i == 0, i == r->count - 1);
        else
            text_print(report, title, i == 0);
        free(report);
    }
    return r->svg ? svg_write(r) : INFO_OK;
}

int main(int argc, char **argv)
{
    struct request request = {.machine = -1};
    int result = INFO_USAGE;

    (void)argc;
    for (char **word = argv + 1; *word; word++)
        if (!strcmp(*word, "-h") || !strcmp(*word, "--help")) {
            fputs(usage, stdout);
            return INFO_OK;
        }
    if (request_parse(&request, argv + 1))
        result = answer(&request);
    for (int i = 0; i < request.count; i++)
        free(request.topic[i]);
    return result;
}
