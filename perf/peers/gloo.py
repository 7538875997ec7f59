# SPDX-License-Identifier: BSD-3-Clause
"""The timing loop of perf/compare (side_by_side.c, which see) for Gloo, through
torch.distributed: times include what Python and PyTorch add to a call.

    gloo.py RANKS COLLECTIVE VARIANTS BATCH_US BUDGET_MS CACHE_BYTES BYTES...
"""

import math
import os
import shutil
import sys
import tempfile
import time

BATCHES_LEAST, BATCHES_SLOW, BATCHES_MOST, SLOW_US = 21, 5, 201, 1e4
LARGE_BYTES, CALLS_MOST = 1 << 20, 100000


def fork_ranks(count):
    """Become `count` processes, kept on cores as the other libraries' are."""
    rank, children = 0, []
    for other in range(1, count):
        child = os.fork()
        if child == 0:
            rank, children = other, []
            break
        children.append(child)
    cores = os.cpu_count()
    if count <= cores:
        os.sched_setaffinity(0, {rank % cores})
    return rank, children


class Buffers:
    """One set, with the calls on it."""

    def __init__(self, loop, collective, n):
        self.loop, self.collective, self.n = loop, collective, n
        self.ones = loop.pattern(n)
        self.source = self.ones + loop.rank
        self.out = loop.torch.empty(n * loop.ranks if collective == 'allgather' else n)
        self.blocks = list(self.out.view(loop.ranks, n)) if collective == 'allgather' else []
        self.wipe()

    def wipe(self):
        self.out.fill_(-1)
        if self.collective in ('bcast', 'allreduce', 'reduce') and \
                (self.loop.rank == 0 or self.collective != 'bcast'):
            self.out.copy_(self.source)

    def call(self):
        dist = self.loop.dist
        if self.collective == 'allreduce':
            dist.all_reduce(self.out)
        elif self.collective == 'allgather':
            dist.all_gather(self.blocks, self.source)
        elif self.collective == 'bcast':
            dist.broadcast(self.out, 0)
        elif self.collective == 'reduce':
            dist.reduce(self.out, 0)
        else:
            dist.barrier()

    def verify(self):
        """After one call on wiped buffers.  Sums are in place, so that later
        calls sum sums; they are wiped before every check."""
        ranks = self.loop.ranks
        if self.collective in ('allreduce', 'reduce'):
            want = self.ones * ranks + ranks * (ranks - 1) / 2
            right = self.collective == 'reduce' and self.loop.rank or \
                bool((self.out == want).all())
        elif self.collective == 'bcast':
            right = bool((self.out == self.ones).all())
        elif self.collective == 'allgather':
            right = all(bool((b == self.ones + r).all()) for r, b in enumerate(self.blocks))
        else:
            right = True
        if not right:
            sys.stderr.write('wrong result: %s of %d floats, rank %d\n' % (
                self.collective, self.n, self.loop.rank))
            sys.exit(3)


class Loop:
    def __init__(self, rank, ranks, batch_us, budget_ms, cache_bytes):
        import torch
        import torch.distributed as dist
        torch.set_num_threads(1)
        self.torch, self.dist, self.rank, self.ranks = torch, dist, rank, ranks
        self.batch_us, self.budget_us, self.cache = batch_us, budget_ms * 1e3, cache_bytes

    def pattern(self, n):
        return (self.torch.arange(n) % 61 + 1).to(self.torch.float32)

    def greatest(self, values):
        tensor = self.torch.tensor(values, dtype=self.torch.float64)
        self.dist.all_reduce(tensor, op=self.dist.ReduceOp.MAX)
        return tensor.tolist()

    def batch(self, sets, calls, at):
        self.dist.barrier()
        start = time.perf_counter()
        for i in range(calls):
            sets[(at + i) % len(sets)].call()
        return (time.perf_counter() - start) * 1e6

    def measure(self, collective, count, cold):
        n = max(count // 4, 1)
        used = 4 * n * self.ranks * {'allgather': 1 + self.ranks}.get(collective, 1)
        number = min(int(4 * self.cache / used) + 2, 512) if cold and used <= 4 * self.cache else 1
        sets = [Buffers(self, collective, n) for _ in range(number)]
        for one in sets:
            one.call()
            one.verify()
            one.wipe()
        calls, at = 1, 0
        while True:
            us = self.greatest([self.batch(sets, calls, at)])[0]
            at += calls
            if us >= 0.7 * self.batch_us or count >= LARGE_BYTES or calls >= CALLS_MOST:
                break
            calls = int(math.ceil(calls * min(max(self.batch_us / us, 1.5), 10)))
        least = BATCHES_SLOW if us > SLOW_US else BATCHES_LEAST
        batches = int(min(max(self.budget_us / us, least), BATCHES_MOST))
        times = []
        for _ in range(batches):
            times.append(self.batch(sets, calls, at) / calls)
            at += calls
        times = sorted(self.greatest(times))
        self.dist.barrier()
        sets[0].wipe()
        sets[0].call()
        sets[0].verify()
        if self.rank == 0:
            print('row plain %s %d %s %.4f %.4f %.4f %d %d' % (
                collective, count, 'cold' if cold else 'warm', times[batches // 2],
                times[int(math.ceil(0.99 * batches)) - 1], times[0], batches, calls), flush=True)

    def measure_sizes(self, collective, sizes):
        for count in sizes:
            used = count * self.ranks * {'allgather': 1 + self.ranks, 'allreduce': 2}.get(
                collective, 1)
            if count < LARGE_BYTES or used <= 4 * self.cache:
                self.measure(collective, count, False)
            if count >= LARGE_BYTES:
                self.measure(collective, count, True)


def main():
    ranks, collective = int(sys.argv[1]), sys.argv[2]
    meeting = tempfile.mkdtemp(prefix='peal-compare-gloo-')
    rank, children = fork_ranks(ranks)
    loop = Loop(rank, ranks, float(sys.argv[4]), float(sys.argv[5]), int(sys.argv[6]))
    loop.dist.init_process_group('gloo', rank=rank, world_size=ranks,
                                 init_method='file://' + meeting + '/ranks')
    if rank == 0:
        print('version Gloo of PyTorch ' + loop.torch.__version__, flush=True)
    loop.measure_sizes(collective, [int(a) for a in sys.argv[7:]])
    loop.dist.barrier()
    if rank == 0:
        shutil.rmtree(meeting, ignore_errors=True)
    failed = any([os.waitpid(child, 0)[1] for child in children])
    sys.stdout.flush()
    os._exit(1 if failed else 0)


if __name__ == '__main__':
    main()
