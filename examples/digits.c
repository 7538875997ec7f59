/* SPDX-License-Identifier: BSD-3-Clause */
/* Data-parallel training, whole: a small network learns to read handwritten
 * digits (digits.csv, 1797 images of 8 x 8 grey values).
 *
 * Every rank holds the same network.  Of each batch each rank takes its share of
 * the images and computes their gradients; one all-reduce adds up the gradients
 * of all ranks; then every rank takes the same step.  So any number of ranks
 * computes the same losses, but for the last bits: sums are taken in another
 * order.  See for yourself:
 *
 *     ./digits --losses one.txt
 *     peal-run -n 4 ./digits --losses four.txt
 *     ./digits --compare one.txt four.txt
 *
 * Exit: 0; 1 if the network did not learn (below 96 % on images that it never
 * saw), or the files differ; 2 usage; 3 a call failed. */
#include <peal.h>

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIXELS = 64, CLASSES = 10, HIDDEN = 128, COLUMNS = PIXELS + 1, IMAGES = 4096 };
enum { TRAIN_PERCENT = 80, REPORT_EVERY = 5 };

/* The parameters lie in one array, so that one call moves them all. */
enum {
    WEIGHTS1 = 0,                                 /* [HIDDEN][PIXELS] */
    BIAS1 = WEIGHTS1 + HIDDEN * PIXELS,
    WEIGHTS2 = BIAS1 + HIDDEN,                    /* [CLASSES][HIDDEN] */
    BIAS2 = WEIGHTS2 + CLASSES * HIDDEN,
    PARAMETERS = BIAS2 + CLASSES,
    LOSS = PARAMETERS                             /* rides along with the gradients */
};

struct training {
    const char *data, *losses;
    bool        quiet;                            /* the last line only */
    int         epochs, batch;
    uint64_t    seed;
    double      rate, momentum, decay;

    peal_comm_t world;
    int         rank, size;
    int         images, train;                    /* the first `train` are learnt from */
    uint8_t     pixels[IMAGES * COLUMNS];         /* 64 grey values 0..16, the digit */
    int         order[IMAGES];
    double      parameters[PARAMETERS], velocity[PARAMETERS], gradient[PARAMETERS + 1];
};

static int failed(const char *what, int status)
{
    if (status == PEAL_OK)
        return 0;
    fprintf(stderr, "digits: %s: %s: %s\n", what, peal_strerror(status), peal_last_error());
    return 1;
}

/* The same random numbers everywhere (splitmix64). */
static uint64_t random_next(uint64_t *state)
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static void shuffle(int *order, int count, uint64_t *state)
{
    for (int i = count - 1; i > 0; i--) {
        int j = (int)(random_next(state) % (uint64_t)(i + 1)), swap = order[i];

        order[i] = order[j];
        order[j] = swap;
    }
}

/* ---- Data ------------------------------------------------------------- */

static int row_read(const char *line, uint8_t row[COLUMNS])
{
    for (int i = 0; i < COLUMNS; i++) {
        char *end;
        long value = strtol(line, &end, 10);

        if (end == line || value < 0 || value > (i < PIXELS ? 16 : 9))
            return -1;
        row[i] = (uint8_t)value;
        line = *end == ',' ? end + 1 : end;
    }
    return 0;
}

/* Returns the number of images, 0 if the file cannot be used. */
static int data_read(const char *path, uint8_t *pixels)
{
    FILE *file = fopen(path, "r");
    char line[512];
    int images = 0;

    while (file && images < IMAGES && fgets(line, sizeof line, file)) {
        if (row_read(line, pixels + images * COLUMNS)) {
            fprintf(stderr, "digits: %s, line %d: not 65 numbers in range\n", path, images + 1);
            images = 0;
            break;
        }
        images++;
    }
    if (file)
        fclose(file);
    else
        fprintf(stderr, "digits: cannot read %s; say --data FILE\n", path);
    return images;
}

/* Rank 0 reads, all get the data; then all shuffle alike and divide it. */
static int data_share(struct training *t)
{
    uint64_t state = t->seed;

    if (t->rank == 0)
        t->images = data_read(t->data, t->pixels);
    if (failed("bcast", peal_bcast(&t->images, 1, PEAL_INT32, 0, t->world)))
        return 3;
    if (t->images < 100)
        return 2;
    if (failed("bcast", peal_bcast(t->pixels, (size_t)t->images * COLUMNS, PEAL_UINT8, 0,
                                   t->world)))
        return 3;
    for (int i = 0; i < t->images; i++)
        t->order[i] = i;
    shuffle(t->order, t->images, &state);
    t->train = t->images * TRAIN_PERCENT / 100;
    return 0;
}

/* ---- The network: 64 inputs, 128 hidden units (ReLU), 10 outputs (softmax) -- */

static int weights_share(struct training *t)
{
    uint64_t state = t->seed ^ UINT64_C(0x77656967687473);

    for (int i = 0; t->rank == 0 && i < PARAMETERS; i++) {
        double uniform = (double)(random_next(&state) >> 11) / 4503599627370496.0 - 1;
        int bias = (i >= BIAS1 && i < WEIGHTS2) || i >= BIAS2;

        t->parameters[i] = bias ? 0 : uniform * sqrt(6.0 / (i < BIAS1 ? PIXELS : HIDDEN));
    }
    /* All ranks start from the weights of rank 0. */
    return failed("bcast", peal_bcast(t->parameters, PARAMETERS, PEAL_FLOAT64, 0, t->world))
         ? 3 : 0;
}

static void forward(const double *p, const double x[PIXELS], double hidden[HIDDEN],
                    double output[CLASSES])
{
    double most = -INFINITY, sum = 0;

    for (int j = 0; j < HIDDEN; j++) {
        double a = p[BIAS1 + j];

        for (int i = 0; i < PIXELS; i++)
            a += p[WEIGHTS1 + j * PIXELS + i] * x[i];
        hidden[j] = a > 0 ? a : 0;
    }
    for (int k = 0; k < CLASSES; k++) {
        output[k] = p[BIAS2 + k];
        for (int j = 0; j < HIDDEN; j++)
            output[k] += p[WEIGHTS2 + k * HIDDEN + j] * hidden[j];
        most = output[k] > most ? output[k] : most;
    }
    for (int k = 0; k < CLASSES; k++)
        sum += output[k] = exp(output[k] - most);
    for (int k = 0; k < CLASSES; k++)
        output[k] /= sum;
}

static void image_load(const struct training *t, int place, double x[PIXELS], int *label)
{
    const uint8_t *row = t->pixels + t->order[place] * COLUMNS;

    for (int i = 0; i < PIXELS; i++)
        x[i] = row[i] / 16.0;
    *label = row[PIXELS];
}

/* Add one image's gradients, and its loss, to t->gradient. */
static void image_learn(struct training *t, int place)
{
    double x[PIXELS], hidden[HIDDEN], output[CLASSES], back[HIDDEN] = {0}, *g = t->gradient;
    const double *p = t->parameters;
    int label;

    image_load(t, place, x, &label);
    forward(p, x, hidden, output);
    g[LOSS] -= log(output[label] + 1e-300);
    for (int k = 0; k < CLASSES; k++) {
        double error = output[k] - (k == label);

        g[BIAS2 + k] += error;
        for (int j = 0; j < HIDDEN; j++) {
            g[WEIGHTS2 + k * HIDDEN + j] += error * hidden[j];
            back[j] += error * p[WEIGHTS2 + k * HIDDEN + j];
        }
    }
    for (int j = 0; j < HIDDEN; j++) {
        if (hidden[j] <= 0)
            continue;
        g[BIAS1 + j] += back[j];
        for (int i = 0; i < PIXELS; i++)
            g[WEIGHTS1 + j * PIXELS + i] += back[j] * x[i];
    }
}

/* ---- Training --------------------------------------------------------- */

/* One step on images [first, first + count) of the epoch's order. */
static int step(struct training *t, int first, int count, double *loss)
{
    /* My share of the batch: consecutive images, sizes differ by one at most. */
    int from = first + (int)((long)count * t->rank / t->size);
    int to = first + (int)((long)count * (t->rank + 1) / t->size);

    memset(t->gradient, 0, sizeof t->gradient);
    for (int i = from; i < to; i++)
        image_learn(t, i);

    /* This is the line that makes the training data-parallel. */
    if (failed("allreduce", peal_allreduce(PEAL_IN_PLACE, t->gradient, PARAMETERS + 1,
                                           PEAL_FLOAT64, PEAL_SUM, t->world)))
        return 3;

    for (int i = 0; i < PARAMETERS; i++) {
        double slope = t->gradient[i] / count + t->decay * t->parameters[i];

        t->velocity[i] = t->momentum * t->velocity[i] - t->rate * slope;
        t->parameters[i] += t->velocity[i];
    }
    *loss += t->gradient[LOSS];
    return 0;
}

/* The part of the images [t->train, t->images) that is read right; each rank
 * tries every size-th image. */
static int accuracy(const struct training *t, double *percent)
{
    int64_t right = 0, all;

    for (int place = t->train + t->rank; place < t->images; place += t->size) {
        double x[PIXELS], hidden[HIDDEN], output[CLASSES];
        int label, best = 0;

        image_load(t, place, x, &label);
        forward(t->parameters, x, hidden, output);
        for (int k = 1; k < CLASSES; k++)
            best = output[k] > output[best] ? k : best;
        right += best == label;
    }
    if (failed("allreduce", peal_allreduce(&right, &all, 1, PEAL_INT64, PEAL_SUM, t->world)))
        return 3;
    *percent = 100.0 * (double)all / (t->images - t->train);
    return 0;
}

static int train(struct training *t, FILE *losses)
{
    uint64_t state = t->seed + 1;
    double percent = 0;

    for (int epoch = 1; epoch <= t->epochs; epoch++) {
        double loss = 0;

        shuffle(t->order, t->train, &state);
        for (int first = 0; first < t->train; first += t->batch) {
            int left = t->train - first;

            if (step(t, first, left < t->batch ? left : t->batch, &loss))
                return 3;
        }
        loss /= t->train;
        if (losses)
            fprintf(losses, "%.17g\n", loss);
        if (epoch != 1 && epoch % REPORT_EVERY && epoch != t->epochs)
            continue;
        if (accuracy(t, &percent))
            return 3;
        if (t->rank == 0 && !t->quiet)
            printf("epoch %3d  loss %.6f  test accuracy %.1f %%\n", epoch, loss, percent);
        fflush(stdout);
    }
    if (t->rank == 0)
        printf("%d ranks, %d images learnt, %d tried: test accuracy %.1f %%\n", t->size, t->train,
               t->images - t->train, percent);
    return percent < 96;
}

/* ---- Comparing two runs ------------------------------------------------- */

static int losses_read(const char *path, double *losses, int most)
{
    FILE *file = fopen(path, "r");
    int count = 0;

    while (file && count < most && fscanf(file, "%lf", &losses[count]) == 1)
        count++;
    if (file)
        fclose(file);
    else
        fprintf(stderr, "digits: cannot read %s\n", path);
    return count;
}

static int compare(const char *a, const char *b, double tolerance)
{
    enum { MOST = 10000 };
    static double first[MOST], second[MOST];
    int count = losses_read(a, first, MOST), same = losses_read(b, second, MOST);
    double largest = 0;

    if (count == 0 || count != same) {
        fprintf(stderr, "digits: %d losses in %s, %d in %s\n", count, a, same, b);
        return 1;
    }
    for (int i = 0; i < count; i++) {
        double difference = fabs(first[i] - second[i]) / fmax(fabs(first[i]), 1e-12);

        if (!(difference <= largest))             /* also if it is not a number */
            largest = difference;
    }
    printf("%d losses, largest relative difference %.3g, allowed %.3g\n", count, largest,
           tolerance);
    return !(largest <= tolerance);
}

/* ---- The program ---------------------------------------------------------- */

static const char usage[] =
"usage: digits [--data FILE] [--losses FILE] [--epochs N] [--batch N] [--seed N]\n"
"              [--quiet]\n"
"       digits --compare FILE FILE [TOLERANCE]\n";

/* An option with a value; false: it is unknown. */
static bool option_take(struct training *t, const char *option, const char *value)
{
    if (!strcmp(option, "--data"))
        t->data = value;
    else if (!strcmp(option, "--losses"))
        t->losses = value;
    else if (!strcmp(option, "--epochs"))
        t->epochs = atoi(value);
    else if (!strcmp(option, "--batch"))
        t->batch = atoi(value);
    else if (!strcmp(option, "--seed"))
        t->seed = strtoull(value, NULL, 10);
    else
        return false;
    return true;
}

static bool options_parse(struct training *t, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--quiet"))
            t->quiet = true;
        else if (i + 1 == argc || !option_take(t, argv[i], argv[i + 1]))
            return false;
        else
            i++;
    }
    return t->epochs > 0 && t->batch > 0;
}

/* digits.csv lies beside this program's source; try where people start it. */
static const char *data_find(void)
{
    static const char *const places[] = {"digits.csv", "examples/digits.csv",
                                         "../examples/digits.csv"};

    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        FILE *file = fopen(places[i], "r");

        if (file) {
            fclose(file);
            return places[i];
        }
    }
    return places[0];
}

int main(int argc, char **argv)
{
    static struct training t = {.epochs = 40, .batch = 48, .seed = 3, .rate = 0.05,
                                .momentum = 0.9, .decay = 1e-3};
    FILE *losses = NULL;
    int result;

    if (argc >= 4 && argc <= 5 && !strcmp(argv[1], "--compare"))
        return compare(argv[2], argv[3], argc == 5 ? atof(argv[4]) : 1e-5);
    t.data = data_find();
    if (!options_parse(&t, argc, argv)) {
        fputs(usage, stderr);
        return 2;
    }
    if (failed("init", peal_init(NULL, &t.world)))
        return 3;
    peal_comm_rank(t.world, &t.rank);
    peal_comm_size(t.world, &t.size);
    if (t.rank == 0 && t.losses && !(losses = fopen(t.losses, "w"))) {
        perror(t.losses);
        peal_comm_abort(t.world, "cannot write the losses");
    }
    result = data_share(&t);
    if (result == 0)
        result = weights_share(&t);
    if (result == 0)
        result = train(&t, losses);
    if (losses && fclose(losses))
        result = 3;
    if (failed("free", peal_comm_free(&t.world)))
        result = 3;
    return result;
}
