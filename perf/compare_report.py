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
# Time: from the first rank's start of a batch to the last one's end, per call; median over the
# batches of all turns, then over runs (rounds).  p99 of batches: of those means over a batch; p99 of
# calls: of single calls, timed one by one in a few batches more, on the rank where it is greatest;
# whether calls of more ranks than cores collapse to milliseconds is judged by it.
# Whose least time is 1.5 times the fastest one's after three turns (six where a batch is several
# calls) has no more turns at that size; its figure is of those it had.
# best: the fastest peer.  floor: the fastest prototype without a library around it.  Ratios of
# times: less than 1 is faster; each within one run, to the fastest of that run, then the median over
# runs."""
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


def median(values):
    """None of none."""
    values = list(values)
    return statistics.median(values) if values else None


class Cell:
    """One collective at one size: what every column needed in every run."""

    def __init__(self, config, collective, count, buffers):
        self.config, self.collective = config, collective
        self.bytes, self.buffers = count, buffers
        self.runs = {}                  # column -> {number of the run: figures}

    def all_runs(self):
        return set().union(*self.runs.values())

    def figure(self, column, name):
        """Median over the runs."""
        return median(f[name] for f in self.runs.get(column, {}).values() if name in f)

    def time(self, column):
        return self.figure(column, 'median')

    def least_of(self, columns):
        """(time, column) of the fastest, or (None, None)."""
        times = [(self.time(c), c) for c in columns if c in self.runs]
        return min(times) if times else (None, None)

    def least_in(self, run, columns):
        """Time of the fastest in one run."""
        return min((self.runs[c][run]['median'] for c in columns if run in self.runs.get(c, ())),
                   default=None)

    def ratios(self, column, columns):
        """{run: time of a column over that of the fastest of others in the same run}"""
        others = {run: self.least_in(run, columns) for run in self.runs.get(column, ())}
        return {run: self.runs[column][run]['median'] / other
                for run, other in others.items() if other}

    def ratio(self, column, columns):
        return median(self.ratios(column, columns).values())

    def name(self):
        return '%s %s %s %s' % (self.config, self.collective, size_text(self.bytes), self.buffers)


class Results:
    """All cells, and what went wrong where."""

    def __init__(self):
        self.cells = {}
        self.problems = {}              # (config, collective, column) -> problem
        self.versions = {}
        self.settings = {}              # peer -> {config: text}
        self.columns = []               # of all libraries, in the order of the table
        self.absent = {}                # column -> why
        self.skipped = {}               # (config, collective, bytes) -> why
        self.texts = []                 # of launches that ended badly
        self.launches = []              # (peer, config, seconds)
        self.machine = compare_machine.Probe()

    def add(self, key, column, run, figures):
        """`key`: config, collective, bytes, buffers."""
        cell = self.cells.setdefault(key, Cell(*key))
        cell.runs.setdefault(column, {})[run] = figures

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
        ['best peer', 'peal/best', 'floor', 'floor is', 'peal/floor', 'p99 of batches',
         'p99 of calls', 'runs']
    if any(c in cell.runs for cell in cells for c in results.directs()):
        head += ['direct', 'registered/direct']
    lines = [head]
    for cell in cells:
        line = [size_text(cell.bytes), cell.buffers]
        for column in own + results.peers():
            problem = 'not installed' if column in results.absent else \
                results.problems.get((config, collective, column))
            line.append(time_text(cell.time(column)) if column in cell.runs
                        else PROBLEMS.get(problem, '-'))
        floor, prototype = cell.least_of(results.floors())
        line += [cell.least_of(results.peers())[1] or '-',
                 ratio_text(cell.ratio(OWN, results.peers())), time_text(floor),
                 (prototype or '-').replace('floor-', ''),
                 ratio_text(cell.ratio(OWN, results.floors())),
                 time_text(cell.figure(OWN, 'p99')), time_text(cell.figure(OWN, 'call p99')),
                 str(len(cell.runs.get(OWN, ())))]
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


def problem_lines(results):
    """What gave no figure, and why."""
    alike = {}                          # (config, collective, problem) -> columns
    for (config, collective, column), problem in results.problems.items():
        alike.setdefault((config, collective, problem), []).append(column)
    lines = ['%s %s: %s: %s' % (*where, ', '.join(columns)) for where, columns in alike.items()]
    lines += ['%s %s %s: %s' % (config, collective, size_text(count), why)
              for (config, collective, count), why in results.skipped.items()]
    return lines + ['%s: not installed: %s' % entry for entry in results.absent.items()]


def print_problems(results):
    lines = problem_lines(results)
    if lines:
        print('\n## What gave no figure\n' + '\n'.join(lines))
