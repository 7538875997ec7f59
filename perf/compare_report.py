# SPDX-License-Identifier: BSD-3-Clause
"""What perf/compare prints: one table per transport, number of ranks and
collective, and the verdict on the targets of issue 3."""

import statistics
import sys

import compare_machine

MIB = 1 << 20
OWN = 'peal'
LEGEND = """\
# bytes: of a rank's send buffer (bcast: the buffer; reduce_scatter: all blocks together).
# warm: the same buffers in every call.  cold (from 1M): rotated through sets of buffers, so that
# over 4 x the last cache passes between two uses; alone where one set is that large.
# Time: of the slowest rank per batch; median over the batches of all turns, then over rounds.
# Who is 4 times behind the fastest peer after one turn, or 1.5 times after three, has no more turns
# at that size; its figure is of those it had.
# best: the fastest peer.  floor: the fastest prototype without a library around it.  Ratios of
# times: less than 1 is faster."""
PROBLEMS = {'timeout': 'timeout', 'wrong result': 'WRONG', 'failed': 'failed',
            'not installed': 'absent'}


def size_text(count):
    for unit, letter in ((1 << 30, 'G'), (MIB, 'M'), (1 << 10, 'K')):
        if count >= unit and count % unit == 0:
            return '%d%s' % (count // unit, letter)
    return str(count)


def time_text(microseconds):
    if microseconds is None:
        return '-'
    digits = 3 if microseconds < 10 else 2 if microseconds < 100 else 1 if microseconds < 1e4 else 0
    return '%.*f' % (digits, microseconds)


def ratio_text(ratio):
    return '-' if ratio is None else '%.2f' % ratio


class Cell:
    """One collective at one size: the rounds of every column."""

    def __init__(self, config, collective, count, buffers):
        self.config, self.collective = config, collective
        self.bytes, self.buffers = count, buffers
        self.rounds = {}                # column -> figures, one per round

    def time(self, column):
        """Median over the rounds of the median over the batches."""
        rows = self.rounds.get(column)
        return statistics.median(r['median'] for r in rows) if rows else None

    def p99(self, column):
        rows = self.rounds.get(column)
        return statistics.median(r['p99'] for r in rows) if rows else None

    def least_of(self, columns):
        """(time, column) of the fastest, or (None, None)."""
        times = [(self.time(c), c) for c in columns if c in self.rounds]
        return min(times) if times else (None, None)

    def ratio(self, column, columns):
        """Time of a column over that of the fastest of others."""
        mine, (other, _) = self.time(column), self.least_of(columns)
        return mine / other if mine and other else None

    def name(self):
        return '%s %s %s %s' % (self.config, self.collective, size_text(self.bytes), self.buffers)


class Results:
    """All cells, and what went wrong where."""

    def __init__(self):
        self.cells = {}
        self.problems = {}              # (config, collective, column) -> problem
        self.versions = {}
        self.columns = []               # of all libraries, in the order of the table
        self.absent = {}                # column -> why
        self.texts = []                 # of launches that ended badly
        self.launches = []              # (peer, config, seconds)
        self.machine = compare_machine.Probe()

    def add(self, config, collective, count, buffers, column, figures):
        key = (config.name, collective, count, buffers)
        cell = self.cells.setdefault(key, Cell(*key))
        cell.rounds.setdefault(column, []).append(figures)

    def note(self, name, config, collective, order, failure):
        """What a library said before it ended badly."""
        self.texts.append((name, config, collective, failure.text[-2000:]))
        sys.stderr.write('%s %s %s: %s at "%s"\n%s' % (
            name, config, collective, failure.problem, order,
            failure.text[-600:] if failure.problem != 'timeout' else ''))

    def groups(self):
        """[(config, collective, cells in order of size)]"""
        found = {}
        for cell in self.cells.values():
            found.setdefault((cell.config, cell.collective), []).append(cell)
        order = {'warm': 0, 'cold': 1}
        return [key + (sorted(cells, key=lambda c: (c.bytes, order[c.buffers])),)
                for key, cells in found.items()]

    def peers(self):
        return [c for c in self.columns if not is_own(c) and not is_floor(c)]

    def floors(self):
        return [c for c in self.columns if is_floor(c) and not is_direct(c)]

    def directs(self):
        return [c for c in self.columns if is_direct(c)]


def is_own(column):
    return column.split('-')[0] in (OWN, 'before')


def is_floor(column):
    return column.split('-')[0] == 'floor'


def is_direct(column):
    """A prototype on buffers that both sides map."""
    return column.startswith('floor-direct')


def table(results, config, collective, cells):
    """Lines of one table."""
    own = [c for c in results.columns if is_own(c)]
    head = ['bytes', 'buffers'] + own + results.peers() + \
        ['best peer', 'peal/best', 'floor', 'floor is', 'peal/floor', 'peal p99']
    if any(c in cell.rounds for cell in cells for c in results.directs()):
        head += ['direct', 'registered/direct']
    lines = [head]
    for cell in cells:
        line = [size_text(cell.bytes), cell.buffers]
        for column in own + results.peers():
            problem = 'not installed' if column in results.absent else \
                results.problems.get((config, collective, column))
            line.append(time_text(cell.time(column)) if column in cell.rounds
                        else PROBLEMS.get(problem, '-'))
        floor, prototype = cell.least_of(results.floors())
        line += [cell.least_of(results.peers())[1] or '-',
                 ratio_text(cell.ratio(OWN, results.peers())), time_text(floor),
                 (prototype or '-').replace('floor-', ''),
                 ratio_text(cell.ratio(OWN, results.floors())), time_text(cell.p99(OWN))]
        if 'direct' in head:
            line += [time_text(cell.least_of(results.directs())[0]),
                     ratio_text(cell.ratio(OWN + '-registered', results.directs()))]
        lines.append(line)
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    title = '## %s, %s ranks: %s (microseconds per call)' % (config[:3], config[3:], collective)
    return ['', title] + ['  '.join(w.rjust(n) for w, n in zip(line, widths)) for line in lines]


def print_tables(results):
    for config, collective, cells in results.groups():
        print('\n'.join(table(results, config, collective, cells)))


def print_problems(results):
    lines = ['%s %s %s: %s' % (config, collective, column, problem)
             for (config, collective, column), problem in results.problems.items()]
    lines += ['%s: not installed: %s' % entry for entry in results.absent.items()]
    if lines:
        print('\n## What gave no figure\n' + '\n'.join(lines))
