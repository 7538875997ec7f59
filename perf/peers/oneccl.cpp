// SPDX-License-Identifier: BSD-3-Clause
// oneCCL for perf/compare, on host memory.  Intel MPI starts the processes and
// carries the address by which they meet.
#include "side_by_side.h"

#include <mpi.h>
#include <oneapi/ccl.hpp>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <vector>

static std::unique_ptr<ccl::communicator> world;
static ccl::shared_ptr_class<ccl::kvs> store;
static int ranks;

extern "C" void library_failed(const char *what)
{
    std::fprintf(stderr, "oneccl: %s\n", what);
    std::exit(1);
}

static void open_world(int rank)
{
    ccl::kvs::address_type address;

    ccl::init();
    if (rank == 0) {
        store = ccl::create_main_kvs();
        address = store->get_address();
    }
    MPI_Bcast(address.data(), (int)address.size(), MPI_BYTE, 0, MPI_COMM_WORLD);
    if (rank != 0)
        store = ccl::create_kvs(address);
    world = std::make_unique<ccl::communicator>(ccl::create_communicator(ranks, rank, store));
}

extern "C" void library_open(int *argc, char ***argv, int *rank, int *nranks)
{
    int level;

    MPI_Init_thread(argc, argv, MPI_THREAD_MULTIPLE, &level);   /* oneCCL asks for it */
    MPI_Comm_rank(MPI_COMM_WORLD, rank);
    MPI_Comm_size(MPI_COMM_WORLD, nranks);
    ranks = *nranks;
    try {
        open_world(*rank);
    } catch (const std::exception &failure) {
        library_failed(failure.what());
    }
}

extern "C" void library_close(void)
{
    MPI_Barrier(MPI_COMM_WORLD);
    world.reset();
    store.reset();
    MPI_Finalize();
}

extern "C" const char *library_version(void)
{
    static char text[128];
    auto version = ccl::get_library_version();

    std::snprintf(text, sizeof text, "oneCCL %u.%u.%u", version.major, version.minor,
                  version.update);
    return text;
}

extern "C" int library_variant(const char *name, enum collective, size_t)
{
    return std::strcmp(name, "plain") == 0;
}

extern "C" void *library_alloc(size_t bytes)
{
    void *memory = nullptr;

    if (posix_memalign(&memory, 4096, bytes) != 0)
        library_failed("no memory");
    return memory;
}

extern "C" void library_free(void *memory)
{
    std::free(memory);
}

extern "C" void library_prepare(struct call *)
{
}

extern "C" void library_release(struct call *)
{
}

static void call_wait(struct call *c)
{
    const auto type = ccl::datatype::float32;
    const auto sum = ccl::reduction::sum;

    switch (c->what) {
    case ALLREDUCE:
        ccl::allreduce(c->in, c->out, c->n, type, sum, *world).wait();
        break;
    case ALLGATHER: {
        static std::vector<size_t> counts;

        counts.assign((size_t)ranks, c->n);
        ccl::allgatherv(c->in, c->n, c->out, counts, type, *world).wait();
        break;
    }
    case BCAST:
        ccl::broadcast(c->out, c->n, type, 0, *world).wait();
        break;
    case REDUCE_SCATTER:
        ccl::reduce_scatter(c->in, c->out, c->n, type, sum, *world).wait();
        break;
    case REDUCE:
        ccl::reduce(c->in, c->out, c->n, type, sum, 0, *world).wait();
        break;
    default:
        ccl::barrier(*world).wait();
    }
}

extern "C" void library_call(struct call *call)
{
    try {
        call_wait(call);
    } catch (const std::exception &failure) {
        library_failed(failure.what());
    }
}

extern "C" void library_barrier(void)
{
    MPI_Barrier(MPI_COMM_WORLD);
}

extern "C" void library_max(double *values, int count)
{
    MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
}
