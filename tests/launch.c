/* SPDX-License-Identifier: BSD-3-Clause */
/* Launch environments: which one is believed, what it says, and what the user
 * is told when it says too little; host lists, secrets, cards.
 * Usage: launch [seed] */
#include "comm/launch_environment.h"
#include "tests/checks.h"

#include "base/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct outcome {
    int status;
    char used[32], text[2048];
    struct job_options options;
};

/* launch_describe() in a process with exactly these variables, blank-separated. */
static struct outcome describe_with(const char *variables)
{
    struct outcome outcome = { .status = -99 };
    int pipes[2];
    pid_t pid;

    if (pipe2(pipes, O_CLOEXEC) != 0 || (pid = fork()) < 0)
        exit(1);
    if (pid == 0) {
        char copy[1024], *rest = copy;
        const char *used = "";

        clearenv();
        snprintf(copy, sizeof copy, "%s", variables);
        for (char *word; (word = strsep(&rest, " ")) != NULL; )
            if (*word)
                putenv(word);
        outcome.options.rank = -7;
        outcome.status = launch_describe(&outcome.options, clock_deadline(5), &used);
        snprintf(outcome.used, sizeof outcome.used, "%s", used);
        snprintf(outcome.text, sizeof outcome.text, "%s", status_text());
        _exit(write(pipes[1], &outcome, sizeof outcome) != (ssize_t)sizeof outcome);
    }
    close(pipes[1]);
    if (read(pipes[0], &outcome, sizeof outcome) != (ssize_t)sizeof outcome)
        printf("FAIL: the process with %s died\n", variables);
    close(pipes[0]);
    waitpid(pid, NULL, 0);
    return outcome;
}

#define SECRET "PEAL_SECRET=0123456789abcdef-marker "
#define TORCH "RANK=2 WORLD_SIZE=4 LOCAL_RANK=2 MASTER_ADDR=10.0.0.1 MASTER_PORT=29500 "
#define OMPI "OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=3 "
#define SLURM "SLURM_PROCID=5 SLURM_STEP_NUM_TASKS=6 SLURM_STEP_NODELIST=n[07-09] SLURM_JOB_ID=77 "
#define PMI "PMI_FD=987 PMI_RANK=1 PMI_SIZE=2 "
#define PALS "PALS_RANKID=1 PMI_SIZE=2 "
#define KUBE "JOB_COMPLETION_INDEX=1 WORLD_SIZE=2 "
#define EXPLICIT "PEAL_RANK=1 PEAL_SIZE=9 PEAL_ROOT=h:1 "

/* What each environment gives.  root NULL: not compared; "*name": begins so. */
static const struct {
    const char *variables, *used;
    int rank, nranks;
    const char *root;
} good[] = {
    { "", "none", 0, 1, "" },
    { "HOME=/ RANK=3", "none", 0, 1, "" },
    { "PMI_RANK=0 PMI_SIZE=1", "none", 0, 1, "" },
    { EXPLICIT SECRET, "explicit", 1, 9, "h:1" },
    { "PEAL_RANK=0 PEAL_SIZE=1", "explicit", 0, 1, "" },
    { "PEAL_RANK=0 PEAL_SIZE=2 PEAL_ROOT=[fe80::1%eth0]:65535 " SECRET, "explicit", 0, 2,
      "[fe80::1%eth0]:65535" },
    { EXPLICIT TORCH OMPI SLURM SECRET, "explicit", 1, 9, "h:1" },
    { TORCH SECRET, "torchrun", 2, 4, "*10.0.0.1:6" },
    { TORCH OMPI PMI SLURM SECRET, "torchrun", 2, 4, "*10.0.0.1:6" },
    { TORCH SECRET "PEAL_ROOT=other:5", "torchrun", 2, 4, "other:5" },
    { TORCH SECRET "PEAL_ROOT_PORT=5000", "torchrun", 2, 4, "10.0.0.1:5000" },
    { "RANK=0 WORLD_SIZE=2 LOCAL_RANK=0 MASTER_ADDR=::1 PEAL_ROOT_PORT=9 " SECRET, "torchrun",
      0, 2, "[::1]:9" },
    { "RANK=3 WORLD_SIZE=8 " OMPI SECRET "PEAL_ROOT=h:2", "ompi", 1, 3, "h:2" },
    { OMPI PMI SLURM SECRET "PEAL_ROOT=h:2", "ompi", 1, 3, "h:2" },
    { "PMIX_RANK=1 " OMPI SECRET "PEAL_ROOT=h:2", "ompi", 1, 3, "h:2" },
    { "PMI_FD=987 PMI_RANK=0 PMI_SIZE=1 " SLURM, "pmi", 0, 1, "" },
    { PALS SLURM SECRET "PEAL_ROOT=h:2", "pals", 1, 2, "h:2" },
    { SLURM SECRET, "slurm", 5, 6, "*n07:6" },
    { SLURM KUBE SECRET, "slurm", 5, 6, "*n07:6" },
    { "SLURM_PROCID=0 SLURM_NTASKS=8 SLURM_JOB_ID=77", "none", 0, 1, "" },   /* batch script */
    { "SLURM_PROCID=0 SLURM_STEP_ID=0 SLURM_NTASKS=1", "none", 0, 1, "" },
    { KUBE SECRET "MASTER_ADDR=a-0.svc", "kubernetes", 1, 2, "*a-0.svc:6" },
    { "JOB_COMPLETION_INDEX=0 WORLD_SIZE=1", "kubernetes", 0, 1, "" },
    { TORCH OMPI SECRET "PEAL_ROOT=h:2 PEAL_LAUNCHER=ompi", "ompi", 1, 3, "h:2" },
    { TORCH OMPI "PEAL_LAUNCHER=none", "none", 0, 1, "" },
    { TORCH SECRET "PEAL_LAUNCHER=torchrun", "torchrun", 2, 4, NULL },
};

static void test_good(void)
{
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct outcome o = describe_with(good[i].variables);
        const char *root = good[i].root;
        bool match = !root || (*root == '*' ? !strncmp(o.options.root, root + 1, strlen(root) - 1)
                                            : !strcmp(o.options.root, root));

        check(o.status == 0 && !strcmp(o.used, good[i].used) && o.options.rank == good[i].rank &&
              o.options.nranks == good[i].nranks && match && o.options.root_listener == -1,
              "[%s] gave status %d, %s, rank %d of %d, root %s: %s", good[i].variables, o.status,
              o.used, o.options.rank, o.options.nranks, o.options.root, o.text);
    }
}

/* What must be refused, and words that the text must hold. */
static const struct { const char *variables, *words[4]; } bad[] = {
    { "PEAL_RANK=1", { "PEAL_SIZE is not set", "PEAL_RANK=1" } },
    { "PEAL_SIZE=2", { "PEAL_RANK is not set" } },
    { "PEAL_RANK=2 PEAL_SIZE=2", { "PEAL_RANK=2 is not a rank from 0 to 1" } },
    { "PEAL_RANK=-1 PEAL_SIZE=2", { "PEAL_RANK=-1" } },
    { "PEAL_RANK=1x PEAL_SIZE=2", { "PEAL_RANK=1x" } },
    { "PEAL_RANK=0 PEAL_SIZE=99999999999999999999", { "not a number of ranks" } },
    { "PEAL_RANK=0 PEAL_SIZE=2 " SECRET, { "address of rank 0 is not known", "Set PEAL_ROOT=" } },
    { "PEAL_RANK=0 PEAL_SIZE=2 PEAL_ROOT=host " SECRET, { "PEAL_ROOT=host is not host:port" } },
    { "PEAL_RANK=0 PEAL_SIZE=2 PEAL_ROOT=h:70000 " SECRET, { "not host:port" } },
    { EXPLICIT, { "openssl rand -hex 32", "PEAL_SECRET_FILE" } },
    { EXPLICIT "PEAL_SECRET=short", { "PEAL_SECRET has 5 characters" } },
    { "PEAL_ROOT=h:1", { "nothing tells which rank" } },
    { "RANK=1 WORLD_SIZE=2", { "only a part", "LOCAL_RANK", "Found: RANK=1 WORLD_SIZE=2." } },
    { "RANK=9 WORLD_SIZE=2 LOCAL_RANK=1 MASTER_ADDR=h", { "RANK=9 is not a rank" } },
    { "RANK=1 WORLD_SIZE=2 LOCAL_RANK=1 MASTER_ADDR=a/b " SECRET, { "not a usable host name" } },
    { TORCH "PEAL_ROOT_PORT=0 " SECRET, { "PEAL_ROOT_PORT=0 is not a port" } },
    { TORCH, { "has no secret", "torchrun, rank 2 of 4" } },
    { TORCH OMPI, { "has no secret", "Also present: ompi" } },
    { OMPI SECRET, { "libpmix.so.2", "-x PEAL_ROOT" } },
    { "OMPI_COMM_WORLD_RANK=1", { "only a part", "OMPI_COMM_WORLD_RANK=1" } },
    { PMI, { "not an open socket", "PMI_FD=987" } },
    { "PMI_RANK=1 PMI_SIZE=2", { "only a part", "PMI_FD" } },
    { "PALS_RANKID=1", { "only a part" } },
    { "SLURM_PROCID=0 SLURM_NODEID=1 SLURM_STEP_NUM_TASKS=2 SLURM_STEP_NODELIST=a,b " SECRET,
      { "first host of SLURM_STEP_NODELIST" } },
    { "JOB_COMPLETION_INDEX=1", { "only a part", "WORLD_SIZE" } },
    { KUBE SECRET, { "headless service" } },
    { "PEAL_LAUNCHER=mpi", { "PEAL_LAUNCHER=mpi is no launcher", "auto, none, explicit" } },
    { TORCH "PEAL_LAUNCHER=slurm", { "is not here", "SLURM_PROCID" } },
};

static void test_bad(void)
{
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct outcome o = describe_with(bad[i].variables);

        check(o.status == PEAL_ERR_LAUNCH && o.options.rank == -7,
              "[%s] gave status %d: %s", bad[i].variables, o.status, o.text);
        for (int w = 0; w < 4 && bad[i].words[w]; w++)
            check(strstr(o.text, bad[i].words[w]) != NULL, "[%s] does not say \"%s\": %s",
                  bad[i].variables, bad[i].words[w], o.text);
        check(!strstr(o.text, "marker"), "[%s] shows the secret: %s", bad[i].variables, o.text);
    }
}

static void differ(bool expected, const char *a, const char *b)
{
    struct outcome one = describe_with(a), two = describe_with(b);

    check(one.status == 0 && two.status == 0, "[%s] or [%s] failed: %s%s", a, b, one.text, two.text);
    check((one.options.id != two.options.id) == expected, "ids of [%s] and [%s]: %llx %llx", a, b,
          (unsigned long long)one.options.id, (unsigned long long)two.options.id);
}

#define SINGLE TORCH SECRET "LOCAL_WORLD_SIZE=4 TORCHELASTIC_RUN_ID=x TORCHELASTIC_RESTART_COUNT="
#define SEVERAL TORCH SECRET "LOCAL_WORLD_SIZE=2 TORCHELASTIC_RUN_ID=x TORCHELASTIC_RESTART_COUNT="

static void test_ids(void)
{
    char variables[256];

    differ(false, SINGLE "1", SINGLE "1");
    differ(true, SINGLE "0", SINGLE "1");
    differ(false, SEVERAL "0", SEVERAL "1");      /* agents count each for itself */
    differ(true, TORCH SECRET "TORCHELASTIC_RUN_ID=x", TORCH SECRET "TORCHELASTIC_RUN_ID=y");
    differ(true, SLURM SECRET "SLURM_STEP_ID=1", SLURM SECRET "SLURM_STEP_ID=2");
    for (int port = 61440; port < 61440 + 64; port++) {
        struct outcome o;

        snprintf(variables, sizeof variables, "RANK=0 WORLD_SIZE=2 LOCAL_RANK=0 MASTER_ADDR=h "
                 "MASTER_PORT=%d " SECRET, port);
        o = describe_with(variables);
        check(o.status == 0 && atoi(strchr(o.options.root, ':') + 1) != port &&
              atoi(strchr(o.options.root, ':') + 1) >= 61440, "port of %s", o.options.root);
    }
    check(launch_port(5, 61445) == 61446 && launch_port(4095, 65535) == 61440,
          "a taken port is avoided");
}

static void test_hosts(void)
{
    static const struct { const char *list, *host; } cases[] = {
        { "node[01-03,07],gpu5", "node01" }, { "gpu5,node[1-2]", "gpu5" }, { "a", "a" },
        { "n[3]", "n3" }, { "n[3,1]", "n3" }, { "r[1-2]n[3-4]", "r1n3" }, { "n[010-12]-ib", "n010-ib" },
        { "a-b.c_d,e", "a-b.c_d" }, { "n[1-2]x,y", "n1x" },
        { "", NULL }, { ",a", NULL }, { "n[", NULL }, { "n[1", NULL }, { "n[]", NULL },
        { "n[-3]", NULL }, { "a b", NULL }, { "a/b", NULL }, { "n[1-2", NULL }, { "n]", NULL },
        { "n[[1]]", NULL }, { "0123456789012345678901234567890", NULL },
    };
    char host[16];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool found = launch_first_host(cases[i].list, host, sizeof host);

        check(found == (cases[i].host != NULL) && (!found || !strcmp(host, cases[i].host)),
              "first host of \"%s\": %s", cases[i].list, found ? host : "none");
    }
}

static void put_file(const char *path, const char *text, mode_t mode)
{
    int fd;

    unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || fchmod(fd, mode) != 0)
        printf("FAIL: cannot write %s: %m\n", path);
    close(fd);
}

static void expect_file(const char *path, const char *words)
{
    char variables[256];
    struct outcome o;

    snprintf(variables, sizeof variables, EXPLICIT "PEAL_SECRET=not-this-one-at-all "
             "PEAL_SECRET_FILE=%s", path);
    o = describe_with(variables);
    check(words ? o.status == PEAL_ERR_LAUNCH && strstr(o.text, words) != NULL : o.status == 0,
          "secret file %s, expected %s: status %d, %s", path, words ? words : "success", o.status,
          o.text);
    check(!strstr(o.text, "abcdefgh"), "a secret is shown: %s", o.text);
}

static void test_secret_files(void)
{
    static const char secret[] = "0123456789abcdefgh\n";
    char directory[] = "/tmp/peal-launch-XXXXXX", path[64], other[64], variables[256], long_text[4100];
    struct outcome from_file, from_text;

    if (!mkdtemp(directory)) {
        check(false, "mkdtemp: %m");
        return;
    }
    snprintf(path, sizeof path, "%s/secret", directory);
    snprintf(other, sizeof other, "%s/other", directory);
    put_file(path, secret, 0600);
    expect_file(path, NULL);
    put_file(path, secret, 0400);
    expect_file(path, NULL);
    snprintf(variables, sizeof variables, EXPLICIT "PEAL_SECRET_FILE=%s", path);
    from_file = describe_with(variables);
    from_text = describe_with(EXPLICIT "PEAL_SECRET=0123456789abcdefgh");
    check(!memcmp(from_file.options.secret, from_text.options.secret, JOB_SECRET),
          "file and variable of one text give two secrets");
    from_text = describe_with(EXPLICIT "PEAL_SECRET=0123456789abcdefgi");
    check(memcmp(from_file.options.secret, from_text.options.secret, JOB_SECRET) != 0,
          "two texts give one secret");
    put_file(path, secret, 0640);
    expect_file(path, "mode 0640");
    put_file(path, secret, 0602);
    expect_file(path, "mode 0602");
    put_file(path, "short\n", 0600);
    expect_file(path, "6 bytes");
    put_file(path, "short\n\n\n\n\n\n\n\n\n\n\n\n\n\n", 0600);
    expect_file(path, "5 bytes before the end");
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = 0;
    put_file(path, long_text, 0600);
    expect_file(path, "4099 bytes");
    put_file(path, secret, 0600);
    if (symlink(path, other) == 0)
        expect_file(other, "symbolic link");
    unlink(other);
    if (mkfifo(other, 0600) == 0)
        expect_file(other, "not a regular file");
    unlink(other);
    expect_file(other, "cannot be opened");
    expect_file(directory, "not a regular file");
    if (geteuid() == 0 && chown(path, 0, 0) == 0)
        expect_file(path, NULL);
    else
        printf("SKIP: a file of another user: needs root\n");
    unlink(path);
    rmdir(directory);
}

static void test_cards(unsigned seed)
{
    struct job_options in = { .id = 0x0123456789abcdef }, out;
    char card[LAUNCH_CARD], bent[LAUNCH_CARD + 8];
    int accepted = 0;

    memset(in.root, 'a', 249);
    strcpy(in.root + 249, ":65535");
    for (int i = 0; i < JOB_SECRET; i++)
        in.secret[i] = (unsigned char)(i * 7);
    check(launch_card_write(&in, card) == 0 && strlen(card) < LAUNCH_CARD, "longest card");
    memset(&out, 0, sizeof out);
    check(launch_card_read(card, &out) == 0 && out.id == in.id && !strcmp(out.root, in.root) &&
          !memcmp(out.secret, in.secret, JOB_SECRET), "longest card back: %s", status_text());
    strcpy(in.root, "[::1]:1");
    check(launch_card_write(&in, card) == 0 && launch_card_read(card, &out) == 0 &&
          !strcmp(out.root, in.root), "short card back");
    for (size_t length = 0; length < strlen(card); length++) {
        snprintf(bent, sizeof bent, "%.*s", (int)length, card);
        check(launch_card_read(bent, &out) == PEAL_ERR_PROTOCOL, "a card cut to %zu is read", length);
    }
    srand(seed);
    for (int round = 0; round < 200000; round++) {
        size_t length;

        strcpy(bent, card);
        length = strlen(bent);
        for (int i = rand() % 4; i >= 0; i--)
            bent[(size_t)rand() % length] = (char)(rand() % 255 + 1);
        if (rand() % 4 == 0)
            bent[(size_t)rand() % length] = 0;
        if (rand() % 8 == 0)
            strcat(bent, "AAAA");
        if (strcmp(bent, card) != 0 && launch_card_read(bent, &out) == 0)
            accepted++;
    }
    /* The check has 32 bits: a single forgery in 200000 would be news. */
    check(accepted == 0, "%d damaged cards were read", accepted);
    strcpy(in.root, "no port");
    check(launch_card_write(&in, card) == PEAL_ERR_ARGUMENT, "a card without a port");
    check(launch_accept("!cannot_listen", &out) == PEAL_ERR_LAUNCH &&
          strstr(status_text(), "cannot_listen"), "rank 0's failure: %s", status_text());
}

int main(int argc, char **argv)
{
    unsigned seed = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 0) : (unsigned)time(NULL);

    setvbuf(stdout, NULL, _IONBF, 0);
    printf("launch: seed %u\n", seed);
    test_good();
    test_bad();
    test_ids();
    test_hosts();
    test_secret_files();
    test_cards(seed);
    printf("launch: %d checks, %d failures\n", checks, failures);
    return failures != 0;
}
