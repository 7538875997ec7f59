# SPDX-License-Identifier: BSD-3-Clause
"""One SVG per configuration from the JSON of perf/compare, with a field for each
collective: time of a call against size.  Drawn by matplotlib, of this Python or of
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


def draw(axes, collective, cells, columns, colours):
    for (label, buffers), points in series(cells, labels(columns)).items():
        points.sort()
        look = style(label, colours)
        if len(points) == 1:
            look['marker'] = 'o'
        axes.plot(*zip(*points), linestyle='-' if buffers == 'warm' else ':',
                  label=label if buffers == 'warm' else '_' + label, **look)
    axes.set_xscale('log', base=2)
    axes.set_yscale('log')
    axes.xaxis.set_major_formatter(lambda value, _: size_label(value))
    axes.set_title(collective)
    axes.grid(True, which='major', alpha=0.3)


def draw_config(pyplot, config, groups, columns, path):
    """One figure of a configuration, one field per collective."""
    peers = [c for c in columns if not c.startswith(('peal', 'floor'))]
    colours = {c: pyplot.get_cmap('tab10')(i % 10) for i, c in enumerate(peers)}
    rows = (len(groups) + 2) // 3
    figure, fields = pyplot.subplots(rows, 3, figsize=(15, 4.5 * rows), squeeze=False)
    known = {}
    for axes, (collective, cells) in zip(fields.flat, groups.items()):
        draw(axes, collective, cells, columns, colours)
        known.update(zip(*reversed(axes.get_legend_handles_labels())))
    for axes in list(fields.flat)[len(groups):]:
        axes.set_axis_off()
    figure.suptitle('%s, %s ranks: microseconds per call against bytes per rank '
                    '(dotted: cold buffers)' % (config[:3], config[3:]))
    figure.legend(known.values(), known.keys(), loc='lower center', ncol=7)
    figure.tight_layout(rect=(0, 0.07, 1, 1))
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
    matplotlib.rcParams['svg.fonttype'] = 'none'
    groups = {}
    for cell in document['cells']:
        collectives = groups.setdefault(cell['config'], {})
        collectives.setdefault(cell['collective'], []).append(cell)
    for config, collectives in groups.items():
        draw_config(pyplot, config, collectives, document['columns'],
                    os.path.join(directory, config + '.svg'))


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
