# SPDX-License-Identifier: BSD-3-Clause
"""Taking turns: all libraries of a configuration run at the same time, but one
works at a time, for some milliseconds.  Where the machine changes (a virtual
one's cores are neighbours now and far apart a second later), it changes for all."""

import math
import random
import statistics
import time

import compare_machine
import compare_report
import compare_run

CYCLES_LEAST, CYCLES_MOST = 5, 30       # turns of each in a row
BATCHES, BATCHES_SHORT = 2, 8           # of a turn; where one call is a short batch
SINGLES_IN = 1, 3                       # turns with a batch more, of calls timed one by one
# A batch takes so long.  Ranks that share cores are spread over them anew after each turn.
BATCH_US, CROWDED_US = 1500, 4000
LONG_US = 10000                         # a batch that is timed once a turn
KEEP_BYTES, OPEN_BYTES = 9 << 30, 2 << 30   # all libraries' buffers of a row; one library's
# Who has been so many times slower than the fastest of its kind, each at its best of so many
# turns, cannot be it.  Medians would say it of one that had the worse moments of the machine;
# short calls, which feel most how near the cores are, have more turns.
BEHIND_TURNS, BEHIND_TURNS_SHORT, BEHIND_TIMES = 3, 6, 1.5


class Row:
    """What one variant needed for a collective, size and kind of buffers; in
    microseconds per call."""

    def __init__(self, peer, calls):
        self.peer, self.calls, self.times = peer, calls, []
        self.singles = []               # (p99, longest) of calls, a pair for each such batch

    def figures(self):
        times = sorted(self.times)
        p99 = times[math.ceil(0.99 * len(times)) - 1]
        singles = [(p99, times[-1])] if self.calls == 1 else self.singles
        found = {'median': statistics.median(times), 'least': times[0], 'batches': len(times),
                 'p99': p99, 'calls': self.calls}
        if singles:
            found['call p99'] = statistics.median(s[0] for s in singles)
            found['longest call'] = max(s[1] for s in singles)
        return found


def set_bytes(collective, count, ranks):
    """Of one set of buffers, all ranks together; as side_by_side.c counts."""
    copies = {'allreduce': 2, 'allgather': 1 + ranks, 'reduce_scatter': 1 + 1 / ranks, 'barrier': 0}
    return int(ranks * count * copies.get(collective, 1))


def kind(column):
    """Those of a kind are compared for the fastest; Peal is measured to the end."""
    if compare_report.is_own(column):
        return None
    return compare_report.is_floor(column) + compare_report.is_direct(column)


class Turns:
    """The participants of one configuration in one run."""

    def __init__(self, peers, config, options, results, number):
        self.peers = [p for p in peers if any(p.serves(config, c) for c in options.collectives)]
        self.config, self.options, self.results, self.number = config, options, results, number
        self.running = {}               # peer -> Participant
        self.refused = set()            # peers that did not start
        self.draw = random.Random('%d %d %s' % (options.seed, number, config.name))
        self.collective = None

    def limit(self, peer):
        return self.options.limit * peer.patience

    def start(self, peer):
        begun = time.monotonic()
        try:
            participant = compare_run.Participant(
                peer, self.config, self.options.work, CROWDED_US if self.config.crowded else BATCH_US,
                compare_machine.last_level_cache(), self.limit(peer))
        except compare_run.Failure as failure:
            left = self.options.collectives[self.options.collectives.index(self.collective):]
            self.note(peer, failure, 'start', left)
            self.refused.add(peer)
            return
        self.results.launches.append((peer.name, self.config.name,
                                      round(time.monotonic() - begun, 3)))
        self.results.versions[peer.name] = participant.version
        self.running[peer] = participant

    def note(self, peer, failure, order, collectives):
        """It has no figures for these from here on."""
        self.running.pop(peer, None)
        for collective in collectives:
            for variant in peer.variants_for(self.config):
                if peer.serves(self.config, collective):
                    key = self.config.name, collective, peer.column(variant)
                    self.results.problems[key] = failure.problem
        self.results.note(peer.name, self.config.name, self.collective, order, failure)

    def ask(self, peer, order):
        """The answer; none from one that has failed."""
        if peer not in self.running:
            return []
        try:
            return self.running[peer].ask(order, self.limit(peer))
        except compare_run.Failure as failure:
            self.note(peer, failure, order, [self.collective])
            return []

    def measure(self):
        for self.collective in self.options.collectives:
            here = [p for p in self.peers if p.serves(self.config, self.collective)]
            for peer in here:           # those that failed before, too
                if peer not in self.running and peer not in self.refused:
                    self.start(peer)
            for count in [0] if self.collective == 'barrier' else self.options.sizes:
                for buffers in ('warm', 'cold'):
                    self.measure_row(here, count, buffers)
        for peer, participant in self.running.items():
            try:
                participant.end(self.options.limit)
            except compare_run.Failure as failure:      # its figures have been taken
                self.results.problems[self.config.name, 'end', peer.name] = failure.problem
                self.results.note(peer.name, self.config.name, self.collective, 'end', failure)

    def measure_row(self, peers, count, buffers):
        pass_bytes = set_bytes(self.collective, count, self.config.ranks)
        cold = 4 * compare_machine.last_level_cache()
        bytes_each = max(pass_bytes, cold + 2 * pass_bytes if buffers == 'cold' and
                         pass_bytes <= cold else 0)
        if pass_bytes > OPEN_BYTES:
            self.results.skipped[self.config.name, self.collective, count] = \
                'not measured: the ranks\' buffers are over %d GiB' % (OPEN_BYTES >> 30)
            return
        row = OpenRow(self, '%s %d %s' % (self.collective, count, buffers), peers,
                      bytes_each * (len(peers) + 2) <= KEEP_BYTES)
        row.measure(0.7 if self.options.quick else 1.5)
        key = self.config.name, self.collective, count, buffers
        for column, found in row.rows.items():
            if found.times and found.peer in self.running:      # verified at the end, too
                self.results.add(key, column, self.number, found.figures())


class OpenRow:
    """One collective, size and kind of buffers."""

    def __init__(self, turns, what, peers, keep):
        self.turns, self.what, self.peers, self.keep = turns, what, peers, keep
        self.rows = {}                  # column -> Row
        self.pace = {}                  # peer -> microseconds of its longest batch
        self.left_out = set()           # columns

    def open(self, peer):
        for words in self.turns.ask(peer, 'open ' + self.what):
            variant, calls, batch_us = words[1], int(words[2]), float(words[3])
            self.rows.setdefault(peer.column(variant), Row(peer, calls))
            self.pace[peer] = max(self.pace.get(peer, 0), batch_us)

    def run(self, peer, singles):
        variants = peer.variants_for(self.turns.config)
        mask = sum(1 << i for i, v in enumerate(variants)
                   if peer.column(v) in self.rows and peer.column(v) not in self.left_out)
        if not mask:
            return
        if not self.keep:
            self.open(peer)
        batches = 1 if self.pace[peer] > LONG_US else BATCHES
        if self.pace[peer] < BATCH_US / 4:
            batches = BATCHES_SHORT
        for words in self.turns.ask(peer, 'run %d %d %d' % (mask, batches, singles)):
            row, found = self.rows[peer.column(words[1])], [float(w) for w in words[2:]]
            if words[0] == 'times':
                row.times += found
            else:
                row.singles.append(found)
        if not self.keep:
            self.turns.ask(peer, 'close')

    def leave_out(self, cycles):
        """Those that are too far behind to matter."""
        least = {c: min(r.times) for c, r in self.rows.items() if r.times and kind(c) is not None}
        for column, mine in least.items():
            needed = BEHIND_TURNS if self.rows[column].calls == 1 else BEHIND_TURNS_SHORT
            best = min(t for c, t in least.items() if kind(c) == kind(column))
            if cycles >= needed and mine > BEHIND_TIMES * best:
                self.left_out.add(column)

    def measure(self, seconds):
        for peer in self.peers:
            self.open(peer)
            if not self.keep:
                self.turns.ask(peer, 'close')
        begun = time.monotonic()
        for cycle in range(CYCLES_MOST if self.rows else 0):
            if cycle >= CYCLES_LEAST and time.monotonic() - begun > seconds:
                break
            order = self.peers[:]
            self.turns.draw.shuffle(order)
            for peer in order:
                self.run(peer, cycle in SINGLES_IN)
            self.leave_out(cycle + 1)
        if self.keep:
            for peer in self.peers:
                self.turns.ask(peer, 'close')
