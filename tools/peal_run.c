/* SPDX-License-Identifier: BSD-3-Clause */
/* peal-run: start the ranks of a job on this host. */
#include "launcher.h"

#include "peal.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "Usage: peal-run -n RANKS [OPTION]... PROGRAM [ARGUMENT]...\n"
    "Run RANKS copies of PROGRAM on this host as the ranks of one job.\n"
    "\n"
    "  -n, --ranks=RANKS      number of ranks, 1 to %d\n"
    "      --tag              put \"[rank] \" in front of each line of output\n"
    "      --bind             keep each rank on one core, all cores used alike\n"
    "      --timeout=SECONDS  end all ranks after that time; exit status %d\n"
    "      --help             print this and exit\n"
    "      --version          print the version and exit\n"
    "\n"
    "The ranks find each other by PMI (PMI_FD, PMI_RANK, PMI_SIZE): no address or\n"
    "secret has to be set.  MPI programs built with MPICH start, too.\n"
    "Standard input goes to rank 0.  SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and\n"
    "SIGUSR2 are passed on to all ranks; a second one of the first four kills them.\n"
    "When a rank fails, the others are ended: SIGTERM, after 5 seconds SIGKILL.\n"
    "What a rank started and left running ends with it.\n"
    "\n"
    "Exit status: 0 if all ranks return 0; else that of the first rank that failed,\n"
    "128 + signal if a signal killed it; 2 for a wrong command line; 127 if PROGRAM\n"
    "was not found, 126 if it could not be started.\n"
    "\n"
    "Example: peal-run -n 4 --tag peal-perf\n";

enum { OPTION_TAG = 256, OPTION_BIND, OPTION_TIMEOUT, OPTION_HELP, OPTION_VERSION };

static const struct option options_known[] = {
    { "ranks", required_argument, NULL, 'n' },
    { "tag", no_argument, NULL, OPTION_TAG },
    { "bind", no_argument, NULL, OPTION_BIND },
    { "timeout", required_argument, NULL, OPTION_TIMEOUT },
    { "help", no_argument, NULL, OPTION_HELP },
    { "version", no_argument, NULL, OPTION_VERSION },
    { NULL, 0, NULL, 0 }
};

static int wrong(const char *problem, const char *text)
{
    fprintf(stderr, "peal-run: %s%s%s\nTry 'peal-run --help'.\n", problem, text ? ": " : "",
            text ? text : "");
    return 2;
}

static int print_version(void)
{
    int major, minor, patch;

    peal_version(&major, &minor, &patch);
    printf("peal-run (Peal) %d.%d.%d\n", major, minor, patch);
    return 0;
}

int main(int argc, char **argv)
{
    struct launcher_options options = { .name = "peal-run" };
    long n = 0;
    int option;
    char *end;

    /* "+": what follows the program is the program's. */
    while ((option = getopt_long(argc, argv, "+n:", options_known, NULL)) != -1) {
        errno = 0;
        switch (option) {
        case 'n':
            n = strtol(optarg, &end, 10);
            if (errno || end == optarg || *end || n < 1 || n > LAUNCHER_RANKS)
                return wrong("not a number of ranks", optarg);
            break;
        case OPTION_TAG:
            options.tag = true;
            break;
        case OPTION_BIND:
            options.bind = true;
            break;
        case OPTION_TIMEOUT:
            options.timeout = strtod(optarg, &end);
            if (errno || end == optarg || *end || !(options.timeout > 0 && options.timeout < 1e9))
                return wrong("not a time in seconds", optarg);
            break;
        case OPTION_HELP:
            printf(help, LAUNCHER_RANKS, LAUNCHER_TIMED_OUT);
            return 0;
        case OPTION_VERSION:
            return print_version();
        default:
            return wrong("the command line was not understood", NULL);
        }
    }
    if (!n)
        return wrong("how many ranks? Give -n RANKS", NULL);
    if (optind == argc)
        return wrong("no program was given", NULL);
    return launcher_run((int)n, argv + optind, &options);
}
