# SPDX-License-Identifier: BSD-3-Clause
"""What the figures of perf/compare depend on: processor, caches, kernel, load."""

import glob
import os
import platform

CACHES = '/sys/devices/system/cpu/cpu0/cache/index*'
OF_A_SERVER = 32 << 20          # assumed where the kernel does not tell
# Settings of the libraries: what the caller's environment holds of them goes through.
PASSED_ON = ('PEAL_', 'OMPI_', 'PMIX_', 'PRTE_', 'MPIR_', 'MPICH_', 'HYDRA_', 'I_MPI_', 'CCL_', 'UCX_',
             'FI_', 'GLOO_', 'OMP_')
_load = []


def _read(path, default=''):
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return default


def _bytes(text):
    return int(text[:-1]) << {'K': 10, 'M': 20}[text[-1]] if text[-1:] in 'KM' and text else 0


def caches():
    """[(level, type, text, bytes)] of the first processor."""
    found = []
    for path in sorted(glob.glob(CACHES)):
        text = _read(path + '/size')
        found.append((int(_read(path + '/level', '0')), _read(path + '/type'), text, _bytes(text)))
    return found


def last_level_cache():
    return max((c[3] for c in sorted(caches())[-1:]), default=0) or OF_A_SERVER


class Probe:
    """Lines of floors/machine.c, one run of it in every round."""

    def __init__(self):
        self.figures = {}                   # name -> (unit, [values])

    def add(self, text):
        for line in text.splitlines():
            if line.startswith('machine '):
                name, _, figure = line[len('machine '):].rpartition(': ')
                value, unit = figure.split()
                self.figures.setdefault(name, (unit, []))[1].append(float(value))

    def facts(self):
        """Least and greatest of the rounds: they differ where a virtual machine
        is moved about, and with them everything else."""
        return {name: ('%g %s' % (values[0], unit) if min(values) == max(values) else
                       '%g to %g %s' % (min(values), max(values), unit))
                for name, (unit, values) in self.figures.items()}


def note_load():
    """Call once before measuring: afterwards the load is our own."""
    _load.append('%.2f %.2f %.2f' % os.getloadavg())


def facts():
    models = [line.partition(':')[2].strip() for line in _read('/proc/cpuinfo').splitlines()
              if line.startswith('model name')]
    return {
        'processor': '%d x %s' % (os.cpu_count() or 0, models[0] if models else platform.machine()),
        'caches': ', '.join('L%d %s %s' % c[:3] for c in caches()) or 'unknown',
        'kernel': platform.platform(),
        'huge pages': _read('/sys/kernel/mm/transparent_hugepage/enabled', 'unknown'),
        'TCP congestion control': _read('/proc/sys/net/ipv4/tcp_congestion_control', 'unknown'),
        'settings of the caller': ' '.join(
            '%s=%s' % e for e in sorted(os.environ.items()) if e[0].startswith(PASSED_ON)) or 'none',
        'load before': _load[0] if _load else 'not noted',
    }
