# SPDX-License-Identifier: BSD-3-Clause
"""Starting a library's timing loop and giving it orders, in bounded time."""

import atexit
import os
import select
import signal
import subprocess
import tempfile
import time

MARK = 'PERF_COMPARE_LAUNCH'
ORDER_BYTES = 64


class Failure(Exception):
    """Why a library can go on no longer: 'timeout', 'wrong result' or 'failed'."""

    def __init__(self, problem, text):
        super().__init__(problem)
        self.problem, self.text = problem, text


def marked_processes(mark):
    """Processes of a launch, wherever its launcher has put them: those that
    inherited the mark in their environment."""
    wanted = ('%s=%s' % (MARK, mark)).encode()
    found = []
    for entry in os.listdir('/proc'):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            with open('/proc/%s/environ' % entry, 'rb') as file:
                if wanted in file.read().split(b'\0'):
                    found.append(int(entry))
        except OSError:
            pass
    return found


def end_processes(mark):
    """No rank may go on spinning beside the next library."""
    for _ in range(100):
        left = marked_processes(mark)
        if not left:
            return
        for process in left:
            try:
                os.kill(process, signal.SIGKILL)
            except OSError:
                pass
        time.sleep(0.02)


def problem_of(text, timed_out):
    if 'wrong result' in text:
        return 'wrong result'
    return 'timeout' if timed_out else 'failed'


class Started:
    """A launch with its output in files, whose processes can all be found again."""

    def __init__(self, launch, arguments):
        self.mark = '%d-%.6f' % (os.getpid(), time.monotonic())
        self.out = tempfile.TemporaryFile('w+', errors='replace')
        self.err = tempfile.TemporaryFile('w+', errors='replace')
        environment = dict(os.environ, **launch.environment)
        environment[MARK] = self.mark
        self.process = subprocess.Popen(launch.argv + arguments, env=environment, stdout=self.out,
                                        stderr=self.err, stdin=subprocess.DEVNULL,
                                        start_new_session=True)
        atexit.register(self.kill)

    def kill(self):
        atexit.unregister(self.kill)
        end_processes(self.mark)
        self.process.kill()
        self.process.wait()

    def said(self):
        """(standard output, standard error) so far."""
        self.out.seek(0)
        self.err.seek(0)
        return self.out.read(), self.err.read()


def run(launch, arguments, limit):
    """Standard output of `launch` + `arguments`, which may take `limit` seconds."""
    started = Started(launch, arguments)
    timed_out = False
    try:
        started.process.wait(limit)
    except subprocess.TimeoutExpired:
        timed_out = True
    finally:
        if started.process.returncode != 0:
            started.kill()
    output, text = started.said()
    if timed_out or started.process.returncode:
        raise Failure(problem_of(text, timed_out), text)
    return output


class Participant:
    """A library that has been started and waits for orders (side_by_side.c)."""

    def __init__(self, peer, config, directory, batch_us, cache_bytes, limit):
        self.peer, self.variants, self.ranks = peer, peer.variants_for(config), config.ranks
        self.version = None
        fifos = [os.path.join(directory, peer.name + end) for end in ('.orders', '.answers')]
        for fifo in fifos:
            if os.path.exists(fifo):
                os.unlink(fifo)
            os.mkfifo(fifo)
        # For both ends: then there is no end of file while nobody is there.
        self.orders, self.answers = (os.open(fifo, os.O_RDWR | os.O_NONBLOCK) for fifo in fifos)
        self.unread = b''
        self.started = Started(peer.launch(config), fifos + [
            ','.join(self.variants), str(batch_us), str(cache_bytes)])
        for words in self.answer(limit):
            if words[0] == 'version':
                self.version = ' '.join(words[1:])

    def ask(self, order, limit):
        """The lines of the answer, in words."""
        os.write(self.orders, order.encode().ljust(ORDER_BYTES, b'\0') * self.ranks)
        return self.answer(limit)

    def answer(self, limit):
        deadline, lines = time.monotonic() + limit, []
        while True:
            line, newline, rest = self.unread.partition(b'\n')
            if newline:
                self.unread = rest
                words = line.decode(errors='replace').split()
                if words == ['done']:
                    return lines
                lines.append(words)
                continue
            left = deadline - time.monotonic()
            if left <= 0:
                self.fail(True)
            if select.select([self.answers], [], [], min(left, 0.2))[0]:
                self.unread += os.read(self.answers, 1 << 16)
            elif self.started.process.poll() is not None:
                self.fail(False)

    def fail(self, timed_out):
        self.leave()
        text = self.started.said()[1]
        raise Failure(problem_of(text, timed_out), text)

    def leave(self):
        """Whatever it is doing."""
        self.started.kill()
        os.close(self.orders)
        os.close(self.answers)

    def end(self, limit):
        self.ask('end', limit)
        try:
            self.started.process.wait(limit)
        except subprocess.TimeoutExpired:
            pass
        self.leave()
