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
# A batch takes so long.  Ranks that share cores are spread over them anew after each turn.
BATCH_US, CROWDED_US = 1500, 4000
LONG_US = 10000                         # a batch that is timed once a turn
KEEP_BYTES, OPEN_BYTES = 9 << 30, 2 << 30   # all libraries' buffers of a row; one library's
# Who is so many times behind the fastest of its kind after so many turns cannot be it.
BEHIND = ((1, 4.0), (3, 1.5))


class Row:
    """What one variant needed for a collective, size and kind of buffers; in
    microseconds per call."""

    def __init__(self, calls):
        self.calls, self.times = calls, []

    def figures(self):
        times = sorted(self.times)
        return {'median': statistics.median(times), 'least': times[0], 'batches': len(times),
                'p99': times[math.ceil(0.99 * len(times)) - 1], 'calls': self.calls}


def set_bytes(collective, count, ranks):
    """Of one set of buffers, all ranks together; as side_by_side.c counts."""
    return ranks * count * {'allreduce': 2, 'allgather': 1 + ranks, 'barrier': 0}.get(collective, 1)


def kind(column):
    """Those of a kind are compared for the fastest; Peal is measured to the end."""
    if compare_report.is_own(column):
        return None
    return compare_report.is_floor(column) + compare_report.is_direct(column)


class Turns:
    """The participants of one configuration."""

    def __init__(self, peers, config, options, results):
        self.peers = [p for p in peers if any(p.serves(config, c) for c in options.collectives)]
        self.config, self.options, self.results = config, options, results
        self.running = {}               # peer -> Participant
        self.refused = set()            # peers that did not start
        self.draw = random.Random(config.name)
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
            self.note(peer, failure, 'start')
            self.refused.add(peer)
            return
        self.results.launches.append((peer.name, self.config.name,
                                      round(time.monotonic() - begun, 3)))
        self.results.versions[peer.name] = participant.version
        self.running[peer] = participant

    def note(self, peer, failure, order):
        """It has no figures for this collective from here on."""
        self.running.pop(peer, None)
        for variant in peer.variants_for(self.config):
            key = self.config.name, self.collective, peer.column(variant)
            self.results.problems[key] = failure.problem
        self.results.note(peer.name, self.config.name, self.collective, order, failure)

    def ask(self, peer, order):
        """The answer; none from one that has failed."""
        if peer not in self.running:
            return []
        try:
            return self.running[peer].ask(order, self.limit(peer))
        except compare_run.Failure as failure:
            self.note(peer, failure, order)
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
                self.results.note(peer.name, self.config.name, self.collective, 'end', failure)

    def measure_row(self, peers, count, buffers):
        pass_bytes = set_bytes(self.collective, count, self.config.ranks)
        cold = 4 * compare_machine.last_level_cache()
        bytes_each = max(pass_bytes, cold + 2 * pass_bytes if buffers == 'cold' and
                         pass_bytes <= cold else 0)
        if pass_bytes > OPEN_BYTES:
            return
        row = OpenRow(self, '%s %d %s' % (self.collective, count, buffers), peers,
                      bytes_each * (len(peers) + 2) <= KEEP_BYTES)
        row.measure(0.7 if self.options.quick else 1.5)
        for column, found in row.rows.items():
            if found.times:
                self.results.add(self.config, self.collective, count, buffers, column,
                                 found.figures())


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
            self.rows.setdefault(peer.column(variant), Row(calls))
            self.pace[peer] = max(self.pace.get(peer, 0), batch_us)

    def run(self, peer):
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
        for words in self.turns.ask(peer, 'run %d %d' % (mask, batches)):
            self.rows[peer.column(words[1])].times += [float(w) for w in words[2:]]
        if not self.keep:
            self.turns.ask(peer, 'close')

    def leave_out(self, cycles):
        """Those that are too far behind to matter."""
        medians = {c: statistics.median(r.times) for c, r in self.rows.items() if r.times}
        for column, median in medians.items():
            best = min(m for c, m in medians.items() if kind(c) == kind(column))
            if kind(column) is not None and any(
                    cycles >= after and median > times * best for after, times in BEHIND):
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
                self.run(peer)
            self.leave_out(cycle + 1)
        if self.keep:
            for peer in self.peers:
                self.turns.ask(peer, 'close')
