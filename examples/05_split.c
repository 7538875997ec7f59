/* SPDX-License-Identifier: BSD-3-Clause */
/* Lesson 5: groups of ranks.
 *
 * peal_comm_split divides a communicator by colour.  Large models are trained on
 * a grid of ranks: rows share one copy of the model, columns the same part of
 * it.  Here each row of two ranks, and each column, adds up its ranks' numbers.
 *
 *     peal-run -n 6 ./05_split */
#include <peal.h>

#include <stdio.h>

enum { WIDTH = 2 };

static int failed(const char *what, int status)
{
    if (status == PEAL_OK)
        return 0;
    fprintf(stderr, "%s: %s: %s\n", what, peal_strerror(status), peal_last_error());
    return 1;
}

/* What the ranks of the same row, or column, must add up to. */
static int expected(int rank, int size, int by_row)
{
    int sum = 0;

    for (int other = 0; other < size; other++)
        if (by_row ? other / WIDTH == rank / WIDTH : other % WIDTH == rank % WIDTH)
            sum += other;
    return sum;
}

int main(void)
{
    peal_comm_t world, row, column;
    int rank, size, row_sum, column_sum, wrong;

    if (failed("init", peal_init(NULL, &world)))
        return 1;
    peal_comm_rank(world, &rank);
    peal_comm_size(world, &size);

    /* All ranks call; equal colours meet; the key orders them inside. */
    if (failed("split", peal_comm_split(world, rank / WIDTH, rank, &row)))
        return 1;
    if (failed("split", peal_comm_split(world, rank % WIDTH, rank, &column)))
        return 1;
    if (failed("row", peal_allreduce(&rank, &row_sum, 1, PEAL_INT32, PEAL_SUM, row)))
        return 1;
    if (failed("column", peal_allreduce(&rank, &column_sum, 1, PEAL_INT32, PEAL_SUM, column)))
        return 1;
    wrong = row_sum != expected(rank, size, 1) || column_sum != expected(rank, size, 0);
    printf("rank %d: row %d adds up to %d, column %d to %d%s\n", rank, rank / WIDTH, row_sum,
           rank % WIDTH, column_sum, wrong ? ": wrong" : "");

    /* A communicator made by a split is freed like any other. */
    if (failed("free", peal_comm_free(&row)) || failed("free", peal_comm_free(&column)))
        return 1;
    return failed("free", peal_comm_free(&world)) || wrong;
}
