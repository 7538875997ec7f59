/* SPDX-License-Identifier: BSD-3-Clause */
/* Settings and configuration as a user meets them: what is wrong is said, with
 * what would be right; what is set has its effect; reports can be read. */
#include "ranks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void expect_refused(struct rank *me, const peal_config_t *config, const char *word)
{
    peal_comm_t comm = PEAL_COMM_NULL;

    rank_status(me, peal_init(config, &comm), PEAL_ERR_ARGUMENT, word);
    rank_error_says(me, word);
    rank_check(me, comm == PEAL_COMM_NULL, "an output was set by a failure");
}

static void wrong_configurations(struct rank *me)
{
    peal_config_t c = PEAL_CONFIG_INIT;
    static char longer[5000];
    peal_comm_t comm;

    rank_doing(me, "wrong configurations");
    setenv("PEAL_LAUNCHER", "none", 1);
    c.transports = "shm,carrier_pigeon";
    expect_refused(me, &c, "carrier_pigeon");
    rank_error_says(me, "tcp");                  /* what there is */
    c.transports = NULL;
    c.algorithms = "allreduce:carousel";
    expect_refused(me, &c, "carousel");
    rank_error_says(me, "ring");
    c.algorithms = "allreduse:ring";
    expect_refused(me, &c, "allreduse");
    c.algorithms = "ring";
    expect_refused(me, &c, "ring");
    memset(longer, 'a', sizeof longer - 1);
    c.algorithms = longer;
    expect_refused(me, &c, "PEAL_ALGORITHMS");
    c.algorithms = NULL;
    c.timeout = -1;
    expect_refused(me, &c, "negative");
    c.timeout = 0;
    c.size = 3;
    expect_refused(me, &c, "PEAL_CONFIG_INIT");
    rank_status(me, peal_init(NULL, NULL), PEAL_ERR_ARGUMENT, "no place for the communicator");
    setenv("PEAL_TRANSPORTS", "smoke", 1);
    expect_refused(me, NULL, "smoke");
    setenv("PEAL_TRANSPORTS", "", 1);            /* empty: not set */
    rank_status(me, peal_init(NULL, &comm), PEAL_OK, "peal_init with an empty variable");
    rank_comm_free(me, &comm);
}

/* What is nearly a setting is warned about, what has a wrong value too. */
static void warnings(struct rank *me)
{
    char path[] = "/tmp/peal-settings-XXXXXX", text[8192] = "";
    int fd = mkstemp(path);
    peal_comm_t comm;

    rank_doing(me, "warnings");
    if (!rank_check(me, fd >= 0, "mkstemp"))
        return;
    setenv("PEAL_LOG_FILE", path, 1);
    setenv("PEAL_LOG", "warn", 1);
    setenv("PEAL_TIMEOOT", "5", 1);
    setenv("PEAL_SPIN", "a while", 1);
    setenv("PEAL_LAUNCHER", "none", 1);
    rank_status(me, peal_init(NULL, &comm), PEAL_OK, "peal_init");
    rank_comm_free(me, &comm);
    rank_check(me, read(fd, text, sizeof text - 1) > 0, "nothing was logged");
    rank_check(me, strstr(text, "PEAL_TIMEOOT") && strstr(text, "PEAL_TIMEOUT"),
               "no warning with the nearest name: %s", text);
    rank_check(me, strstr(text, "PEAL_SPIN") && strstr(text, "a while"),
               "no warning about a wrong value: %s", text);
    close(fd);
    unlink(path);
}

static void reports(struct rank *me)
{
    static const struct { const char *topic, *word; } topics[] = {
        { "version", "0." }, { "build", "" }, { "transports", "tcp" }, { "devices", "" }, { "launch", "" },
        { "settings", "PEAL_TIMEOUT" }, { "algorithms", "double_tree" },
        { "draw allreduce ring 3", "" }, { "draw bcast binomial 4 100", "" },
        { "explain allreduce 1M 8", "ring" }, { "explain allreduce 1M 6x8", "hierarchical" },
        { "draw allreduce hierarchical 2x3", "" },
    };
    static const char *const wrong[] = { "", "weather", "draw", "draw allreduce", "draw x y 3",
                                         "draw allreduce ring -3", "draw allreduce ring 0",
                                         "draw allreduce ring 4x", "draw allreduce ring 0x4",
                                         "draw allreduce ring 4294967298",
                                         "explain allreduce 1M 2x-1",
                                         "explain allreduce 1M 4294967298x4",
                                         "explain", "explain allreduce", "explain allreduce x 3" };
    char *report;

    rank_doing(me, "reports");
    setenv("PEAL_TIMEOUT", "77", 1);
    for (size_t i = 0; i < sizeof topics / sizeof *topics; i++)
        for (int json = 0; json < 2; json++) {
            report = NULL;
            if (!rank_status(me, peal_describe(topics[i].topic, json, &report), PEAL_OK,
                             topics[i].topic))
                continue;
            rank_check(me, report && strstr(report, topics[i].word), "\"%s\" lacks \"%s\": %s",
                       topics[i].topic, topics[i].word, report);
            rank_check(me, !json || strchr("[{\"", report[0]), "not JSON: %.40s", report);
            if (!strcmp(topics[i].topic, "settings"))
                rank_check(me, strstr(report, "77") && strstr(report, "environment"),
                           "the origin of PEAL_TIMEOUT is not told: %s", report);
            free(report);
        }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        report = NULL;
        rank_status(me, peal_describe(wrong[i], 0, &report), PEAL_ERR_ARGUMENT, wrong[i]);
        rank_check(me, !report, "an output was set by a failure");
    }
    rank_status(me, peal_describe(NULL, 0, &report), PEAL_ERR_ARGUMENT, "no topic");
    unsetenv("PEAL_TIMEOUT");
}

/* An explanation tells what would run: settings that name an algorithm decide here as in a job. */
static void explanations(struct rank *me)
{
    static const struct { const char *algorithms, *reproducible, *topic, *algorithm, *verdict; } cases[] = {
        { "", "0", "allreduce 64K 4", " halving ", " chosen" },
        { "allreduce:ring,bcast:chain", "0", "allreduce 64K 4", " ring ", " chosen by PEAL_ALGORITHMS" },
        { "allreduce:ring,bcast:chain", "0", "bcast 8 4", " chain ", " chosen by PEAL_ALGORITHMS" },
        { "allreduce:ring", "0", "barrier 0 4", " dissemination ", " chosen" },
        { "allreduce:hierarchical", "0", "allreduce 8 4", " hierarchical ", " chosen by PEAL_ALGORITHMS" },
        { "", "1", "allreduce 64K 4", " direct ", " chosen" },
        { "allreduce:ring", "1", "allreduce 64K 4", " direct ", " chosen; not ring, which PEAL_ALGORITHMS "
          "names, for it does not combine from left to right" },
    };

    rank_doing(me, "explanations");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char topic[64], *report = NULL, *line, *verdict;

        setenv("PEAL_ALGORITHMS", cases[i].algorithms, 1);
        setenv("PEAL_REPRODUCIBLE", cases[i].reproducible, 1);
        snprintf(topic, sizeof topic, "explain %s", cases[i].topic);
        if (!rank_status(me, peal_describe(topic, 0, &report), PEAL_OK, topic))
            continue;
        verdict = strstr(report, " chosen");           /* that of the first place comes first */
        while (verdict && !strncmp(verdict, " chosen one", 11))
            verdict = strstr(verdict + 1, " chosen");
        for (line = verdict; line && line > report && line[-1] != '\n'; line--)
            ;
        rank_check(me, verdict && !strncmp(verdict, cases[i].verdict, strlen(cases[i].verdict)) &&
                   strstr(line, cases[i].algorithm) && strstr(line, cases[i].algorithm) < verdict,
                   "%s of PEAL_ALGORITHMS=%s PEAL_REPRODUCIBLE=%s lacks\"%s...%s\": %s", topic,
                   cases[i].algorithms, cases[i].reproducible, cases[i].algorithm, cases[i].verdict,
                   report);
        free(report);
    }
    setenv("PEAL_ALGORITHMS", "allreduce:carousel", 1);
    rank_status(me, peal_describe("explain bcast 8 4", 0, &(char *){ NULL }), PEAL_ERR_ARGUMENT,
                "an explanation with a wrong PEAL_ALGORITHMS");
    rank_error_says(me, "carousel");
    unsetenv("PEAL_ALGORITHMS");
    unsetenv("PEAL_REPRODUCIBLE");
}

static void alone(struct rank *me)
{
    wrong_configurations(me);
    reports(me);
    explanations(me);
}

/* Settings of the environment hold where the configuration says nothing. */
static void effects(struct rank *me)
{
    peal_comm_t comm;
    double begun;
    int word;

    rank_doing(me, "the effect of PEAL_TIMEOUT");
    setenv("PEAL_TIMEOUT", "0.4", 1);
    setenv("PEAL_SPIN", "0", 1);
    setenv("PEAL_YIELD", "0", 1);
    if (!rank_status(me, rank_join(me, NULL, &comm), PEAL_OK, "making the communicator"))
        return;
    rank_status(me, peal_barrier(comm), PEAL_OK, "barrier");
    rank_meet(me);
    begun = ranks_now();
    rank_status(me, peal_recv(&word, 1, PEAL_INT32, !me->rank, comm), PEAL_ERR_TIMEOUT, "recv");
    rank_check(me, ranks_now() - begun > 0.2 && ranks_now() - begun < 2, "0.4 s took %.2f s",
               ranks_now() - begun);
    peal_comm_free(&comm);
}

/* Ranks that allow different transports find that out. */
static void at_odds(struct rank *me)
{
    peal_config_t config = PEAL_CONFIG_INIT;
    peal_comm_t comm;
    int status;

    rank_doing(me, "ranks with different transports");
    config.transports = me->rank ? "tcp" : "shm";
    config.timeout = config.init_timeout = 3;
    if (!rank_status(me, rank_join(me, &config, &comm), PEAL_OK, "making the communicator"))
        return;
    status = peal_barrier(comm);
    rank_check(me, status != PEAL_OK && status != PEAL_ERR_TIMEOUT, "the status is %d: %s", status,
               status ? peal_last_error() : "");
    rank_error_says(me, "PEAL_TRANSPORTS");
    peal_comm_free(&comm);
}

/* With one transport only, also that which cannot reach the own rank. */
static void one_transport(struct rank *me)
{
    peal_request_t request = PEAL_REQUEST_NULL;
    int out = 7, in = 0;
    peal_comm_t comm;

    if (!rank_comm(me, &comm))
        return;
    rank_doing(me, "a message to itself with %s only", me->plan->config->transports);
    rank_status(me, peal_sendrecv(&out, 1, me->rank, &in, 1, me->rank, PEAL_INT32, comm), PEAL_OK,
                "sendrecv");
    rank_check(me, in == 7, "%d came", in);
    in = 0;
    rank_status(me, peal_irecv(&in, 1, PEAL_INT32, me->rank, comm, &request), PEAL_OK, "irecv");
    rank_status(me, peal_send(&out, 1, PEAL_INT32, me->rank, comm), PEAL_OK, "send");
    rank_status(me, peal_wait(&request), PEAL_OK, "wait");
    rank_check(me, in == 7, "%d came", in);
    rank_comm_free(me, &comm);
}

int main(void)
{
    double started = ranks_now();
    peal_config_t config = PEAL_CONFIG_INIT;
    struct ranks_plan lone = { .name = "settings", .nranks = 1, .body = alone };
    struct ranks_plan log = { .name = "settings, log", .nranks = 1, .body = warnings };
    struct ranks_plan two = { .name = "settings of two", .nranks = 2, .body = effects };
    int bad = ranks_run(&lone) + ranks_run(&log) + ranks_run(&two);

    two.body = at_odds;
    bad += ranks_run(&two);
    two.body = one_transport;
    two.config = &config;
    config.timeout = 5;
    for (int i = 0; i < 2; i++) {
        config.transports = i ? "tcp" : "shm";
        bad += ranks_run(&two);
    }
    return ranks_verdict("settings", bad, started);
}
