/* SPDX-License-Identifier: BSD-3-Clause */
/* Bits: all ranks get the same, repeated runs get the same, and the
 * reproducible mode gets the same whatever the algorithm, the transport, the
 * slices and the place of the ranks.  Small floats are summed in float32. */
#include "effort.h"
#include "ranks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 40000, BYTES = COUNT * 8, RUNS_MOST = 64 };

static const peal_datatype_t floats[] = { PEAL_FLOAT16, PEAL_BFLOAT16, PEAL_FLOAT32,
                                          PEAL_FLOAT64, PEAL_FLOAT8_E4M3, PEAL_FLOAT8_E5M2 };
static const peal_op_t ops[] = { PEAL_SUM, PEAL_PROD, PEAL_AVG };
enum { FLOATS = 6, OPS = 3 };

/* One job, and where it leaves what it found. */
struct trial {
    uint64_t  seed;
    uint64_t *prints;              /* FLOATS x OPS of them, of rank 0; shared */
    int       hosts;               /* pretended ones, to which ranks are dealt; 0: none */
};

static uint64_t print_of(const void *bytes, size_t length)
{
    const unsigned char *b = bytes;
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < length; i++)
        h = (h ^ b[i]) * UINT64_C(0x100000001b3);
    return h;
}

/* Random numbers near 1, of many magnitudes in the wide types. */
static void random_input(peal_datatype_t type, uint64_t seed, int rank, void *out)
{
    uint64_t random = seed * 1000 + (uint64_t)rank;

    for (size_t i = 0; i < COUNT; i++) {
        uint64_t bits = ranks_random(&random);
        double unit = (double)(bits >> 11) * 0x1p-53;
        double value = ldexp(unit - 0.5, (int)(bits & 15) - 8);
        float f = (float)value;

        switch (type) {
        case PEAL_FLOAT64:     ((double *)out)[i] = value; break;
        case PEAL_FLOAT32:     ((float *)out)[i] = f; break;
        /* Exponents in the middle of the range, any sign and fraction. */
        case PEAL_FLOAT16:     ((uint16_t *)out)[i] = (uint16_t)((bits & 0x87ff) | 0x3400); break;
        case PEAL_BFLOAT16:    ((uint16_t *)out)[i] = (uint16_t)((bits & 0x81ff) | 0x3e00); break;
        case PEAL_FLOAT8_E4M3: ((uint8_t *)out)[i] = (uint8_t)((bits & 0x8f) | 0x30); break;
        default:               ((uint8_t *)out)[i] = (uint8_t)((bits & 0x87) | 0x38); break;
        }
    }
}

static void compare(struct rank *me, peal_comm_t comm, peal_datatype_t type, peal_op_t op,
                    uint64_t seed, uint64_t *print)
{
    unsigned char *in = malloc(BYTES), *out = malloc(BYTES), *again = malloc(BYTES);
    uint64_t mine, all[RANKS_MOST];
    size_t bytes = COUNT * peal_datatype_size(type);

    rank_doing(me, "%s of %s", peal_op_name(op), peal_datatype_name(type));
    random_input(type, seed, me->rank, in);
    rank_status(me, peal_allreduce(in, out, COUNT, type, op, comm), PEAL_OK, "allreduce");
    mine = print_of(out, bytes);
    rank_status(me, peal_allgather(&mine, all, 1, PEAL_UINT64, comm), PEAL_OK, "allgather");
    for (int r = 0; r < me->nranks; r++)
        rank_check(me, all[r] == mine, "rank %d has other bits", r);
    for (int i = 0; i < 2; i++) {
        rank_status(me, peal_allreduce(in, again, COUNT, type, op, comm), PEAL_OK, "allreduce");
        rank_check(me, !memcmp(out, again, bytes), "run %d has other bits", i + 2);
    }
    rank_status(me, peal_reduce(in, again, COUNT, type, op, 0, comm), PEAL_OK, "reduce");
    *print = me->rank ? 0 : mine ^ 31 * print_of(again, bytes);
    free(in);
    free(out);
    free(again);
}

static void body(struct rank *me)
{
    const struct trial *trial = me->context;
    uint64_t print;
    peal_comm_t comm;

    if (trial->hosts)
        ranks_pretend_host(me->rank % trial->hosts);
    if (!rank_comm(me, &comm))
        return;
    for (int f = 0; f < FLOATS; f++)
        for (int o = 0; o < OPS; o++) {
            compare(me, comm, floats[f], ops[o], trial->seed, &print);
            if (me->rank == 0)
                ((uint64_t *)me->shared)[f * OPS + o] = print;
        }
    if (me->rank == 0)
        memcpy(trial->prints, me->shared, FLOATS * OPS * sizeof print);
    rank_comm_free(me, &comm);
}

/* The reproducible mode adds in float32 and rounds once, at the end. */
static void accumulation(struct rank *me)
{
    uint16_t one = 0x3c00, eps = 0x1000, in = me->rank ? eps : one, out = 0;    /* 1, 2^-11 */
    peal_comm_t comm;

    /* 1 + 7 x 2^-11 = 1.00341..., which is 0x3c03 or 0x3c04 (a tie, to even);
     * rounded at each step it would stay 0x3c00. */
    if (!rank_comm(me, &comm))
        return;
    rank_doing(me, "a sum of float16 in float32");
    rank_status(me, peal_allreduce(&in, &out, 1, PEAL_FLOAT16, PEAL_SUM, comm), 0, "allreduce");
    rank_check(me, out == 0x3c04, "1 + 7 x 2^-11 in float16 is %04x, not 3c04", out);
    rank_comm_free(me, &comm);
}

/* ---- Jobs ------------------------------------------------------------------ */

static const struct variant {
    const char *algorithm, *transports, *slice;
    int         per_process, hosts;
} variants[] = {
    { NULL,                     "self,shm", "256K", 1, 0 },
    { NULL,                     "self,shm", "4K",   1, 0 },
    { NULL,                     "self,tcp", "1K",   1, 0 },
    { NULL,                     "self",     "256K", RANKS_MOST, 0 },
    { "allreduce:ring",         "self,shm", "256K", 1, 0 },
    { "allreduce:doubling",     "self,shm", "8K",   1, 0 },
    { "allreduce:halving",      "self,tcp", "256K", 1, 0 },
    { "allreduce:direct,reduce:direct", "self,shm", "16K", 2, 0 },
    { "allreduce:double_tree,reduce:double_tree", "self,shm", "16K", 1, 0 },
    { "allreduce:staged",       "self,shm", "16K",  1, 0 },
    { "allreduce:central",      "self,shm", "16K",  1, 0 },
    { "allreduce:allgather",    "self,tcp", "16K",  1, 0 },
    { "reduce:binomial",        "self",     "2K",   RANKS_MOST, 0 },
    { NULL,                     "self,shm,tcp", "256K", 1, 2 },
    { "allreduce:hierarchical", "self,shm,tcp", "16K",  1, 3 },
};
enum { VARIANTS = sizeof variants / sizeof *variants };

static int run(const struct variant *v, int n, bool reproducible, struct trial *trial)
{
    peal_config_t config = PEAL_CONFIG_INIT;
    char name[200];
    struct ranks_plan plan = {
        .name = name, .nranks = n, .per_process = v->per_process, .config = &config,
        .body = body, .context = trial, .shared = FLOATS * OPS * sizeof(uint64_t),
    };

    config.timeout = config.init_timeout = 20;
    config.transports = v->transports;
    config.algorithms = v->algorithm;
    config.reproducible = reproducible;
    setenv("PEAL_SLICE", v->slice, 1);
    snprintf(name, sizeof name, "%s, %s, slices of %s%s", v->algorithm ? v->algorithm : "default",
             v->transports, v->slice, reproducible ? ", reproducible" : "");
    return ranks_run(&plan);
}

int main(int argc, char **argv)
{
    static const int sizes[] = { 3, 5, 2, 8 };       /* quick: the first two */
    double started = ranks_now();
    uint64_t first[FLOATS * OPS], *prints, random = ranks_seed(argc, argv, 5);
    peal_config_t exact = PEAL_CONFIG_INIT;
    struct ranks_plan plan = { .name = "accumulation", .nranks = 8, .config = &exact,
                               .body = accumulation };
    int bad = 0, unlike = 0, nsizes = effort_quick() ? 2 : 4;

    setenv("PEAL_LOG", "error", 0);
    prints = ranks_share(FLOATS * OPS * sizeof *prints);
    for (int s = 0; s < nsizes; s++)
        for (int mode = 0; mode < 2; mode++) {
            struct trial trial = { ranks_random(&random) & 0xffff, prints, 0 };

            for (int v = 0; v < VARIANTS; v++) {
                memset(prints, 0, FLOATS * OPS * sizeof *prints);
                trial.hosts = variants[v].hosts;
                bad += run(&variants[v], sizes[s], mode, &trial);
                if (v == 0)
                    memcpy(first, prints, sizeof first);
                if (memcmp(first, prints, sizeof first) == 0)
                    continue;
                unlike += !mode;
                for (int i = 0; mode && i < FLOATS * OPS; i++)
                    if (first[i] != prints[i]) {
                        fprintf(stderr, "FAIL numerics: variant %d differs from variant 0 with "
                                "%d ranks in %s of %s\n", v, sizes[s],
                                peal_op_name(ops[i % OPS]), peal_datatype_name(floats[i / OPS]));
                        bad++;
                    }
            }
        }
    /* If the free mode never differed, the comparison above would see nothing. */
    if (unlike == 0)
        fprintf(stderr, "FAIL numerics: the data cannot tell orders apart\n");
    setenv("PEAL_SLICE", "256K", 1);
    exact.reproducible = 1;
    bad += ranks_run(&plan) + (unlike == 0);
    return ranks_verdict("numerics", bad, started);
}
