# SPDX-License-Identifier: BSD-3-Clause
"""The timing loop of perf/compare (side_by_side.c, which see) for Gloo, through
torch.distributed: times include what Python and PyTorch add to a call.  Single calls
are not timed; sums are made in place, so that their inputs change by themselves.

    gloo.py RANKS ORDERS ANSWERS VARIANTS BATCH_US CACHE_BYTES
"""

import math
import os
import shutil
import sys
import tempfile
import time

ORDER_BYTES, LARGE_BYTES, CALLS_MOST, WARMING_MOST, LOOKS = 64, 1 << 20, 100000, 16, 3


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
    def __init__(self, rank, ranks, batch_us, cache_bytes):
        import torch
        import torch.distributed as dist
        torch.set_num_threads(1)
        self.torch, self.dist, self.rank, self.ranks = torch, dist, rank, ranks
        self.batch_us, self.cache = batch_us, cache_bytes
        self.sets, self.at, self.calls, self.warming = [], 0, 1, 1

    def pattern(self, n):
        return (self.torch.arange(n) % 61 + 1).to(self.torch.float32)

    def greatest(self, values):
        tensor = self.torch.tensor(values, dtype=self.torch.float64)
        self.dist.all_reduce(tensor, op=self.dist.ReduceOp.MAX)
        return tensor.tolist()

    def batch(self):
        """(end, minus start): all ranks have one clock."""
        sets, at = self.sets, self.at
        self.dist.barrier()
        start = time.perf_counter()
        for i in range(self.calls):
            sets[(at + i) % len(sets)].call()
        self.at = (at + self.calls) % len(sets)
        return time.perf_counter(), -start

    def times(self, batches):
        """Microseconds from the first rank's start to the last one's end."""
        found = self.greatest([t for _ in range(batches) for t in self.batch()])
        return [(end + begun) * 1e6 for end, begun in zip(found[::2], found[1::2])]

    def batch_size(self, count):
        self.calls = 1
        while True:
            us = self.times(1)[0]
            if us >= 0.7 * self.batch_us:           # lest one interruption decide
                us = min([us] + [self.times(1)[0] for _ in range(LOOKS - 1)])
            if us >= 0.7 * self.batch_us or count >= LARGE_BYTES or self.calls >= CALLS_MOST:
                return us
            self.calls = int(math.ceil(self.calls * min(max(self.batch_us / us, 1.5), 10)))

    def row_open(self, collective, count, cold):
        """Lines of the answer."""
        self.sets, self.at = [], 0
        n = max(count // 4, 1)
        used = 4 * n * self.ranks * {'allgather': 1 + self.ranks, 'allreduce': 2}.get(
            collective, 1)
        if collective == 'reduce_scatter' or \
                (count < LARGE_BYTES if cold else count >= LARGE_BYTES and used > 4 * self.cache):
            return []
        number = min(int(4 * self.cache / used) + 2, 512) if cold and used <= 4 * self.cache else 1
        self.sets = [Buffers(self, collective, n) for _ in range(number)]
        for one in self.sets:
            one.call()
            one.verify()
            one.wipe()
        us = self.batch_size(count)
        self.warming = min(math.ceil(self.batch_us / us), WARMING_MOST)
        return ['calls plain %d %.2f' % (self.calls, us)]

    def row_run(self, batches):
        if not self.sets:
            return []
        for _ in range(self.warming):
            self.batch()
        return ['times plain ' + ' '.join('%.4f' % (t / self.calls) for t in self.times(batches))]

    def row_close(self):
        for one in self.sets[:1]:
            one.wipe()
            one.call()
            one.verify()
        self.sets = []
        return []

    def follow(self, words):
        if words[0] == 'open':
            return self.row_open(words[1], int(words[2]), words[3] == 'cold')
        if words[0] == 'run':
            return self.row_run(int(words[2]))
        return self.row_close() if words[0] == 'close' else []


def main():
    ranks = int(sys.argv[1])
    meeting = tempfile.mkdtemp(prefix='peal-compare-gloo-')
    rank, children = fork_ranks(ranks)
    orders, answers = (os.open(fifo, os.O_RDWR) for fifo in sys.argv[2:4])
    loop = Loop(rank, ranks, float(sys.argv[5]), int(sys.argv[6]))
    loop.dist.init_process_group('gloo', rank=rank, world_size=ranks,
                                 init_method='file://' + meeting + '/ranks')
    lines, words = ['version Gloo of PyTorch ' + loop.torch.__version__], None
    while words != ['end']:
        if words:
            lines = loop.follow(words)
        loop.dist.barrier()            # rank 0 speaks for all
        if rank == 0:
            os.write(answers, ''.join(line + '\n' for line in lines + ['done']).encode())
        words = os.read(orders, ORDER_BYTES).rstrip(b'\0').decode().split()
    loop.dist.barrier()
    if rank == 0:
        shutil.rmtree(meeting, ignore_errors=True)
        os.write(answers, b'done\n')
    failed = any([os.waitpid(child, 0)[1] for child in children])
    sys.stdout.flush()
    os._exit(1 if failed else 0)


if __name__ == '__main__':
    main()
