# SPDX-License-Identifier: BSD-3-Clause
"""The targets of issue 3 as a table, and whether a run meets them."""

import math

from compare_report import OWN, median, ratio_text

KIB, MIB = 1 << 10, 1 << 20
EVERY = (0, 1 << 62)
OTHERS = ('allgather', 'bcast', 'reduce_scatter', 'reduce', 'barrier')
ALL = ('allreduce',) + OTHERS


class Target:
    """time(column) / time(fastest of `against`) <= limit for the cells of the
    configurations and collectives whose size lies in `sizes`."""

    def __init__(self, text, configs, collectives, sizes, against, limit, column=OWN):
        self.text, self.configs, self.collectives = text, configs, collectives
        self.sizes, self.against, self.limit, self.column = sizes, against, limit, column

    def covers(self, cell):
        return (cell.config in self.configs and cell.collective in self.collectives and
                self.sizes[0] <= cell.bytes <= self.sizes[1])

    def columns(self, results):
        return {'best': results.peers, 'floor': results.floors, 'direct': results.directs,
                'blocking': lambda: [OWN]}[self.against]()

    def found(self, cell, results):
        """{run: (ratio / what is allowed, ratio)}"""
        ratios = cell.ratios(self.column, self.columns(results))
        return {run: (ratio / self.allowed(cell, run, results), ratio)
                for run, ratio in ratios.items()}

    def allowed(self, cell, run, results):
        return self.limit

    def excess(self, cell, results):
        """The same as medians over the runs, or None where not measured.  No figure of ours
        is no success."""
        found = self.found(cell, results)
        if (cell.config, cell.collective, self.column) in results.problems:
            for run in cell.all_runs() - set(cell.runs.get(self.column, ())):
                found[run] = math.inf, math.inf
        return tuple(map(median, zip(*found.values()))) if found else None


class NearFloorTarget(Target):
    """1.0 is enough where the best peer is within 10 % of the floor."""

    def allowed(self, cell, run, results):
        near, floor = cell.least_in(run, results.peers()), cell.least_in(run, results.floors())
        return 1.0 if floor and near <= 1.1 * floor else self.limit


class CollapseTarget(Target):
    """p99 of calls in microseconds at most `limit`: a mean over a batch would hide single calls that
    collapse.  A run that timed none of them one by one is not counted."""

    def found(self, cell, results):
        return {run: (figures['call p99'] / self.limit, figures['call p99'])
                for run, figures in cell.runs.get(self.column, {}).items() if 'call p99' in figures}


SHM2, CROWDED, TCP = ('shm2',), ('shm4', 'shm8'), ('tcp2', 'tcp4')

TARGETS = [
    Target('shm, 2 ranks, allreduce <= 1.25 x floor', SHM2, ('allreduce',), EVERY, 'floor', 1.25),
    Target('shm, 2 ranks, allreduce never behind the best peer', SHM2, ('allreduce',), EVERY,
           'best', 1.0),
    Target('shm, 2 ranks, allreduce 8 B - 1 KiB <= 0.85 x best peer', SHM2, ('allreduce',),
           (8, KIB), 'best', 0.85),
    Target('shm, 2 ranks, allreduce 4 - 64 KiB <= 0.6 x best peer', SHM2, ('allreduce',),
           (4 * KIB, 64 * KIB), 'best', 0.6),
    Target('shm, 2 ranks, allreduce 1 MiB <= 0.95 x best peer', SHM2, ('allreduce',),
           (MIB, MIB), 'best', 0.95),
    Target('shm, 2 ranks, allreduce from 16 MiB <= 0.9 x best peer', SHM2, ('allreduce',),
           (16 * MIB, EVERY[1]), 'best', 0.9),
    Target('shm, 2 ranks, registered allreduce <= 1.3 x direct prototype', SHM2, ('allreduce',),
           EVERY, 'direct', 1.3, OWN + '-registered'),
    Target('shm, 2 ranks, persistent allreduce beats blocking at 8 B', SHM2, ('allreduce',),
           (8, 8), 'blocking', 1.0, OWN + '-persistent'),
] + [
    NearFloorTarget('shm, 2 ranks, %s <= 0.9 x best peer (1.0 at the floor)' % collective, SHM2,
                    (collective,), EVERY, 'best', 0.9) for collective in OTHERS
] + [
    Target('shm, %s ranks, to 64 KiB <= 0.8 x best peer' % config[3:], (config,), ALL,
           (0, 64 * KIB), 'best', 0.8) for config in CROWDED
] + [
    Target('shm, %s ranks, above 64 KiB <= 0.9 x best peer' % config[3:], (config,), ALL,
           (64 * KIB + 1, EVERY[1]), 'best', 0.9) for config in CROWDED
] + [
    CollapseTarget('shm, 4 and 8 ranks, to 64 KiB: p99 of calls under 1 ms (us)', CROWDED, ALL,
                   (0, 64 * KIB), 'best', 1000.0),
] + [
    Target('tcp, %s ranks, to 4 KiB <= 0.8 x best peer' % config[3:], (config,), ALL,
           (0, 4 * KIB), 'best', 0.8) for config in TCP
] + [
    Target('tcp, %s ranks, from 64 KiB <= 0.85 x best peer' % config[3:], (config,), ALL,
           (64 * KIB, EVERY[1]), 'best', 0.85) for config in TCP
] + [
    Target('tcp, %s ranks, from 64 KiB >= 90 %% of plain sockets' % config[3:], (config,), ALL,
           (64 * KIB, EVERY[1]), 'floor', 1 / 0.9) for config in TCP
]

ELSEWHERE = 'float16 and bfloat16, overlap, start-up and idle ranks: other programs of perf/'


def judge(target, results):
    """(verdict, cells, missed cells, worst cell, its ratio)"""
    measured = []
    for cell in results.cells.values():
        if not target.covers(cell):
            continue
        excess = target.excess(cell, results)
        if excess:
            measured.append((excess[0], excess[1], cell))
    if not measured:
        return 'not measured', 0, 0, None, None
    missed = sum(m[0] > 1 for m in measured)
    worst = max(measured, key=lambda m: m[0])
    return 'MISSED' if missed else 'met', len(measured), missed, worst[2], worst[1]


def print_verdicts(results):
    print('\n## Targets of issue 3')
    for target in TARGETS:
        verdict, cells, missed, worst, ratio = judge(target, results)
        line = '%-12s %-66s' % (verdict, target.text)
        if worst:
            line += ' %3d of %3d cells; worst %s: %s' % (cells - missed, cells, worst.name(),
                                                         ratio_text(ratio))
        print(line.rstrip())
    print('elsewhere    ' + ELSEWHERE)


def verdicts_json(results):
    found = []
    for target in TARGETS:
        verdict, cells, missed, worst, ratio = judge(target, results)
        found.append({'target': target.text, 'verdict': verdict, 'cells': cells, 'missed': missed,
                      'worst': worst.name() if worst else None, 'ratio': ratio})
    return found
