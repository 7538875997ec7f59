# SPDX-License-Identifier: BSD-3-Clause
"""One SVG per configuration and collective from the JSON of perf/compare:
time of a call against size.  Drawn by matplotlib, of this Python or of
tools/install-peers; by itself:  compare_plot.py FILE.json DIR"""

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile


def series(cells, columns):
    """{column: [(bytes, fastest time of the columns)]}, warm and cold apart."""
    found = {}
    for cell in cells:
        for label, members in columns.items():
            times = [statistics.median(r['median'] for r in cell['rounds'][c])
                     for c in members if c in cell['rounds']]
            if times:
                key = (label, cell['buffers'])
                found.setdefault(key, []).append((max(cell['bytes'], 4), min(times)))
    return found


def labels(columns):
    """Columns that make one line: the floors together."""
    lines = {c: [c] for c in columns if not c.startswith('floor')}
    direct = [c for c in columns if c.startswith('floor-direct')]
    lines['floor'] = [c for c in columns if c.startswith('floor') and c not in direct]
    lines['floor, buffers mapped'] = direct
    return lines


def style(label, colours):
    if label == 'peal':
        return {'color': 'black', 'linewidth': 2.4, 'zorder': 5}
    if label.startswith('peal'):
        return {'color': 'black', 'linewidth': 1, 'marker': '.' if 'pers' in label else '+'}
    if label.startswith('floor'):
        return {'color': 'grey', 'linewidth': 1.6 if label == 'floor' else 0.8}
    return {'color': colours[label], 'linewidth': 1.2, 'marker': 'o', 'markersize': 3}


def draw(pyplot, config, collective, cells, columns, path):
    lines = labels(columns)
    peers = [c for c in columns if not c.startswith(('peal', 'floor'))]
    colours = {c: pyplot.get_cmap('tab10')(i % 10) for i, c in enumerate(peers)}
    figure, axes = pyplot.subplots(figsize=(8, 5.4))
    for (label, buffers), points in series(cells, lines).items():
        points.sort()
        look = style(label, colours)
        if len(points) == 1:
            look['marker'] = 'o'
        axes.plot(*zip(*points), linestyle='-' if buffers == 'warm' else ':',
                  label=label if buffers == 'warm' else '_' + label, **look)
    axes.set_xscale('log', base=2)
    axes.set_yscale('log')
    axes.xaxis.set_major_formatter(lambda value, _: size_label(value))
    axes.set_xlabel('bytes per rank (dotted: cold buffers)')
    axes.set_ylabel('microseconds per call')
    axes.set_title('%s, %s ranks, %s' % (config[:3], config[3:], collective))
    axes.grid(True, which='major', alpha=0.3)
    axes.legend(fontsize=8, ncol=2)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def size_label(value):
    for unit, letter in ((1 << 20, 'M'), (1 << 10, 'K')):
        if value >= unit:
            return '%g%s' % (value / unit, letter)
    return '%g' % value


def draw_all(document, directory):
    import matplotlib
    matplotlib.use('svg')
    from matplotlib import pyplot

    os.makedirs(directory, exist_ok=True)
    groups = {}
    for cell in document['cells']:
        groups.setdefault((cell['config'], cell['collective']), []).append(cell)
    for (config, collective), cells in groups.items():
        draw(pyplot, config, collective, cells, document['columns'],
             os.path.join(directory, '%s-%s.svg' % (config, collective)))


def plot(document, options):
    if importlib.util.find_spec('matplotlib'):
        draw_all(document, options.plot)
        return
    python = os.path.join(options.peers_dir, 'plot', 'bin', 'python')
    if not os.path.exists(python):
        sys.stderr.write('perf/compare: no plots: no matplotlib; run tools/install-peers\n')
        return
    with tempfile.NamedTemporaryFile('w', suffix='.json') as file:
        json.dump(document, file)
        file.flush()
        subprocess.run([python, os.path.abspath(__file__), file.name, options.plot], check=True)


if __name__ == '__main__':
    with open(sys.argv[1]) as source:
        draw_all(json.load(source), sys.argv[2])
