#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Several runs of perf/compare as one: every round of every file is a run, a
figure is the median over the runs, and a ratio the median of the ratios within
each.  Prints the tables and the verdicts, or with --markdown what
docs/performance.md holds of them."""

import argparse
import json
import os

import compare_plot
import compare_report
import compare_targets

MACHINE = ('processor', 'caches', 'kernel', 'TCP congestion control', 'settings of the caller')


def add_cells(results, document, first):
    """Number the runs of one file from `first`; returns the next number.  In files
    without numbers a column's rounds are the runs, in order."""
    following = first + document.get('rounds', 0)
    for cell in document['cells']:
        key = cell['config'], cell['collective'], cell['bytes'], cell['buffers']
        for column, rows in cell['rounds'].items():
            for index, figures in enumerate(rows):
                run = first + figures.get('round', index)
                results.add(key, column, run, figures)
                following = max(following, run + 1)
    return following


def load(documents):
    results, following = compare_report.Results(), 0
    for document in documents:
        results.columns += [c for c in document['columns'] if c not in results.columns]
        results.absent.update(document['absent'])
        results.versions.update(document['versions'])
        for peer, settings in document['settings'].items():
            results.settings.setdefault(peer, {}).update(settings)
        results.problems.update({tuple(p[:3]): p[3] for p in document['problems']})
        results.skipped.update({tuple(s[:3]): s[3] for s in document.get('skipped', ())})
        following = add_cells(results, document, following)
    return results


def merged(results):
    """One document with all runs, for the plots."""
    cells = [{'config': c.config, 'collective': c.collective, 'bytes': c.bytes,
              'buffers': c.buffers,
              'rounds': {column: list(runs.values()) for column, runs in c.runs.items()}}
             for c in results.cells.values()]
    return {'columns': results.columns, 'cells': cells}


class MarkdownTable:
    """What stands in the columns of one transport's tables."""

    def __init__(self, results, config):
        self.results = results
        own, peers, floors = compare_report.OWN, results.peers(), results.floors()
        time, ratio = compare_report.time_text, compare_report.ratio_text
        self.columns = {
            'Peal': lambda c: time(c.time(own)),
            'best peer': lambda c: '%s %s' % (c.least_of(peers)[1] or '-',
                                              time(c.least_of(peers)[0])),
            'Peal / best': lambda c: ratio(c.ratio(own, peers)),
            'floor': lambda c: time(c.least_of(floors)[0]),
            'Peal / floor': lambda c: ratio(c.ratio(own, floors)),
            'registered': lambda c: time(c.time(own + '-registered')),
            'registered / direct': lambda c: ratio(c.ratio(own + '-registered',
                                                           results.directs())),
            "Peal, system's control": lambda c: time(c.time(own + '-system')),
            'p99 of batches': lambda c: time(c.figure(own, 'p99')),
            'p99 of calls': lambda c: time(c.figure(own, 'call p99')),
            'runs': lambda c: str(len(c.runs.get(own, ()))),
        }
        for name in ["Peal, system's control"] if config.startswith('shm') else [
                'registered', 'registered / direct']:
            del self.columns[name]

    def lines(self, cells):
        yield '| bytes | buffers | %s |' % ' | '.join(self.columns)
        yield '|--:|---|' + '--:|' * len(self.columns)
        for cell in cells:
            yield '| %s | %s | %s |' % (
                compare_report.size_text(cell.bytes), cell.buffers,
                ' | '.join(text(cell) for text in self.columns.values()))


def runs_of(results):
    """{config: {peer: runs}}, of those that gave a figure."""
    found = {}
    for cell in results.cells.values():
        for peer in results.settings:
            for column, runs in cell.runs.items():
                if column == peer or column.startswith('floor-') and peer == 'floor':
                    found.setdefault(cell.config, {}).setdefault(peer, set()).update(runs)
    return {config: {peer: len(runs) for peer, runs in peers.items()}
            for config, peers in found.items()}


def print_verdicts(results):
    print('| verdict | target | cells that meet it | worst |\n|---|---|--:|---|')
    for target in compare_targets.TARGETS:
        verdict, cells, missed, worst, ratio = compare_targets.judge(target, results)
        print('| %s | %s | %d of %d | %s |' % (
            verdict, target.text, cells - missed, cells,
            '%s: %s' % (worst.name(), compare_report.ratio_text(ratio)) if worst else '-'))
    runs = []
    for config, peers in sorted(runs_of(results).items()):
        most = max(peers.values())
        fewer = ['%s in %d' % (peer, n) for peer, n in peers.items() if n < most]
        runs.append('%s %d%s' % (config, most, ' (%s)' % ', '.join(fewer) if fewer else ''))
    print('\nRuns: %s.' % '; '.join(runs))
    problems = compare_report.problem_lines(results)
    print('\nWhat gave no figure: ' + ('; '.join(' '.join(line.split()) for line in problems)
                                       if problems else 'nothing') + '.')


def print_libraries(results, machine):
    """With what everything was measured."""
    print('\n**With what it was measured**\n')
    for name in MACHINE:
        if name in machine:
            print('* %s: %s' % (name, machine[name]))
    print('\n| library | version | settings |\n|---|---|---|')
    measured = {peer for peers in runs_of(results).values() for peer in peers}
    for peer, by_config in results.settings.items():
        alike = {}                      # text -> configurations
        for config, text in by_config.items():
            alike.setdefault(text, []).append(config)
        if peer in measured:
            print('| %s | %s | %s |' % (
                peer, ' '.join(results.versions.get(peer, '?').split()).replace('|', '/'),
                '; '.join('%s: `%s`' % (', '.join(configs), text.replace('|', '/'))
                          for text, configs in alike.items())))


def print_markdown(results, machine):
    print_verdicts(results)
    for config, collective, cells in results.groups():
        print('\n**%s, %s ranks: %s** (microseconds per call)\n' % (config[:3], config[3:],
                                                                   collective))
        print('\n'.join(MarkdownTable(results, config).lines(cells)))
    print_libraries(results, machine)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('files', nargs='+', metavar='FILE.json')
    parser.add_argument('--markdown', action='store_true')
    parser.add_argument('--plot', metavar='DIR')
    parser.add_argument('--peers-dir', metavar='DIR', help='where a matplotlib may be found',
                        default=os.path.expanduser('~/.cache/peal-peers'))
    options = parser.parse_args()
    documents = []
    for path in options.files:
        with open(path) as file:
            documents.append(json.load(file))
    results = load(documents)
    if options.markdown:
        print_markdown(results, documents[-1]['machine'])
    else:
        print(compare_report.LEGEND)
        compare_report.print_tables(results)
        compare_report.print_problems(results)
        compare_targets.print_verdicts(results)
    if options.plot:
        compare_plot.plot(merged(results), options)


if __name__ == '__main__':
    main()
