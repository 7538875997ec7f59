/* SPDX-License-Identifier: BSD-3-Clause */
/* peal-info: what Peal is, can do and would do here.  The library makes the
 * reports (peal_describe); this program asks and lays out. */
#include <peal.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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

/* What is written to a file of its own, about the machine of --topology or this one. */
static const struct {
    const char *option, *topic;
} documents[] = {
    {"--svg",  "topology-svg"},
    {"--nccl", "topology-nccl"},
    {"--own",  "topology-own"},
};
enum { DOCUMENTS = sizeof documents / sizeof *documents };

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
"        --svg FILE             its picture with the rings; FILE may be -, standard output\n"
"        --nccl FILE            it as a file for NCCL_TOPO_FILE\n"
"        --own FILE             it as a file that keeps all that Peal knows\n"
"      --json         one JSON object\n"
"  -h, --help\n"
"\n"
"Exit: 0 well, 2 usage, 3 the library could not answer.\n";

struct request {
    bool        json, rings;
    const char *file[DOCUMENTS];        /* where each goes; NULL: not wanted */
    int         count, machine;         /* machine: the question of --topology, or -1 */
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

/* A pipe can be read once, and each topic about it reads anew: a copy, which stays open. */
static char *pipe_kept(char *name, char path[32])
{
    enum { MOST = 32 << 20 };          /* more than the library takes */
    struct stat what;
    FILE *in, *copy;

    if (stat(name, &what) || !S_ISFIFO(what.st_mode))
        return name;
    in = fopen(name, "r");
    copy = in ? tmpfile() : NULL;
    for (int n = 0, c; copy && n < MOST && (c = getc(in)) != EOF; n++)
        putc(c, copy);
    if (in)
        fclose(in);
    if (!copy || fflush(copy))
        return name;
    snprintf(path, 32, "/dev/fd/%d", fileno(copy));
    return path;
}

/* A question and its words from argv[0] on; returns how many words were used, 0: it is another
 * option or too few words follow.  Each word is passed on as it is: blanks in it stay. */
static int question_parse(struct request *r, char **argv)
{
    for (int i = 0; i < QUESTION_KINDS; i++) {
        int used = 1;
        char path[32], *one[1];

        if (strcmp(argv[0], questions[i].option))
            continue;
        while (used <= questions[i].most && argv[used] && argv[used][0] != '-')
            used++;
        if (!strcmp(argv[0], "--topology"))
            r->machine = r->count;
        one[0] = used == 2 && r->machine == r->count ? pipe_kept(argv[1], path) : NULL;
        if (used <= questions[i].least ||
            !topic_add(r, NULL, topic_join(questions[i].option + 2, one[0] ? one : argv + 1, used - 1)))
            return 0;
        return used;
    }
    return 0;
}

/* A document and its file, at argv[0]; as question_parse(). */
static int document_parse(struct request *r, char **argv)
{
    for (int i = 0; i < DOCUMENTS; i++)
        if (!strcmp(argv[0], documents[i].option) && argv[1] && (argv[1][0] != '-' || !argv[1][1])) {
            r->file[i] = argv[1];
            return 2;
        }
    return 0;
}

static bool wants_documents(const struct request *r, const char *file /* NULL: any */)
{
    for (int i = 0; i < DOCUMENTS; i++)
        if (r->file[i] && (!file || !strcmp(r->file[i], file)))
            return true;
    return false;
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
        } else if (!topic_parse(r, *argv)) {
            used = document_parse(r, argv);
            used = used ? used : question_parse(r, argv);
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
    if (r->count == 0 && !wants_documents(r, NULL))
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

/* Document number `i` to its file; "-" is the standard output. */
static int document_write(const struct request *r, int i)
{
    char *topic = topic_of_machine(r, documents[i].topic), *report = NULL;
    int status = topic ? peal_describe(topic, 0, &report) : PEAL_ERR_MEMORY, result = INFO_OK;
    FILE *out;

    if (status != PEAL_OK) {
        result = failed(topic ? topic : documents[i].option, status);
        free(topic);
        return result;
    }
    out = strcmp(r->file[i], "-") ? fopen(r->file[i], "w") : stdout;
    if (!out || fputs(report, out) < 0 || (out == stdout ? fflush(out) : fclose(out)) != 0) {
        fprintf(stderr, "peal-info: %s: ", r->file[i]);
        perror(NULL);
        result = INFO_FAILED;
    }
    free(report);
    free(topic);
    return result;
}

/* A document on the standard output is not to have the machine's report in front. */
static bool is_shown(const struct request *r, int i)
{
    return i != r->machine || !wants_documents(r, "-");
}

static int answer(const struct request *r)
{
    int last = r->count - 1, result = INFO_OK;
    bool first = true;

    while (last >= 0 && !is_shown(r, last))
        last--;
    for (int i = 0; i <= last; i++) {
        char *report = NULL;
        const char *title = r->count > 1 ? r->title[i] : NULL;
        int status;

        if (!is_shown(r, i))
            continue;
        status = peal_describe(r->topic[i], r->json, &report);
        if (status != PEAL_OK)
            return failed(r->topic[i], status);
        if (r->json)
            json_print(report, first, i == last);
        else
            text_print(report, title, first);
        first = false;
        free(report);
    }
    for (int i = 0; i < DOCUMENTS && !result; i++)
        if (r->file[i])
            result = document_write(r, i);
    return result;
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
