#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Several runs of perf/compare as one: the rounds of all files together, so that
a figure is the median over the runs.  Prints the tables and the verdicts, or
with --markdown what docs/performance.md holds of them."""

import argparse
import json
import os
import types

import compare_plot
import compare_report
import compare_targets


def load(documents):
    results = compare_report.Results()
    for document in documents:
        results.columns += [c for c in document['columns'] if c not in results.columns]
        results.absent.update(document['absent'])
        results.versions.update(document['versions'])
        results.problems.update({tuple(p[:3]): p[3] for p in document['problems']})
        for cell in document['cells']:
            for column, rows in cell['rounds'].items():
                for figures in rows:
                    results.add(types.SimpleNamespace(name=cell['config']), cell['collective'],
                                cell['bytes'], cell['buffers'], column, figures)
    return results


def merged(documents):
    """One document with all rounds, for the plots."""
    cells = {}
    for document in documents:
        for cell in document['cells']:
            key = (cell['config'], cell['collective'], cell['bytes'], cell['buffers'])
            whole = cells.setdefault(key, dict(cell, rounds={}))
            for column, rows in cell['rounds'].items():
                whole['rounds'].setdefault(column, []).extend(rows)
    return dict(documents[0], cells=list(cells.values()))


def markdown_row(results, cell):
    ratio, time = compare_report.ratio_text, compare_report.time_text
    least, peer = cell.least_of(results.peers())
    floor, _ = cell.least_of(results.floors())
    own = compare_report.OWN
    return [compare_report.size_text(cell.bytes), cell.buffers, time(cell.time(own)),
            '%s %s' % (peer or '-', time(least)), ratio(cell.ratio(own, results.peers())),
            time(floor), ratio(cell.ratio(own, results.floors())),
            time(cell.time(own + '-registered')),
            ratio(cell.ratio(own + '-registered', results.directs()))]


def print_markdown(results):
    head = ['bytes', 'buffers', 'Peal', 'best peer', 'Peal / best', 'floor', 'Peal / floor',
            'registered', 'registered / direct']
    print('| verdict | target | cells that meet it | worst |\n|---|---|--:|---|')
    for target in compare_targets.TARGETS:
        verdict, cells, missed, worst, ratio = compare_targets.judge(target, results)
        print('| %s | %s | %d of %d | %s |' % (
            verdict, target.text, cells - missed, cells,
            '%s: %s' % (worst.name(), compare_report.ratio_text(ratio)) if worst else '-'))
    for config, collective, cells in results.groups():
        print('\n**%s, %s ranks: %s** (microseconds per call)\n' % (config[:3], config[3:],
                                                                   collective))
        print('| %s |\n|--:|---|%s' % (' | '.join(head), '--:|' * (len(head) - 2)))
        for cell in cells:
            print('| %s |' % ' | '.join(markdown_row(results, cell)))


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
        print_markdown(results)
    else:
        print(compare_report.LEGEND)
        compare_report.print_tables(results)
        compare_report.print_problems(results)
        compare_targets.print_verdicts(results)
    if options.plot:
        compare_plot.plot(merged(documents), options)


if __name__ == '__main__':
    main()
