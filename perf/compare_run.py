# SPDX-License-Identifier: BSD-3-Clause
"""Starting one library's timing loop, in bounded time, and reading its rows."""

import os
import signal
import subprocess
import tempfile
import time

MARK = 'PERF_COMPARE_LAUNCH'


class Row:
    """One line of the timing loop; times in microseconds."""

    def __init__(self, words):
        self.variant, self.collective = words[0], words[1]
        self.bytes, self.buffers = int(words[2]), words[3]
        self.median, self.p99, self.least = (float(w) for w in words[4:7])
        self.batches, self.calls = int(words[7]), int(words[8])


class Outcome:
    """What a launch gave: rows (also of one that ended badly later), `problem`
    None, 'timeout', 'wrong result' or 'failed', and what it said."""

    def __init__(self, output, problem, text, seconds):
        self.rows, self.version = read_rows(output)
        self.output, self.problem = output, problem
        self.text, self.seconds = text, seconds


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


def read_rows(text):
    rows, version = [], None
    for line in text.splitlines():
        words = line.split()
        if len(words) == 10 and words[0] == 'row':
            rows.append(Row(words[1:]))
        elif words and words[0] == 'version':
            version = line.partition(' ')[2].strip()
    return rows, version


def run(launch, arguments, limit):
    """Run `launch` + `arguments` for at most `limit` seconds."""
    mark = '%d-%.6f' % (os.getpid(), time.monotonic())
    environment = dict(os.environ, **launch.environment)
    environment[MARK] = mark
    timed_out = False
    start = time.monotonic()
    with tempfile.TemporaryFile('w+', errors='replace') as out, \
            tempfile.TemporaryFile('w+', errors='replace') as err:
        process = subprocess.Popen(launch.argv + arguments, env=environment, stdout=out,
                                   stderr=err, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            timed_out, status = True, -1
        finally:
            if timed_out or process.returncode != 0:
                end_processes(mark)
                process.kill()
                process.wait()
        seconds = time.monotonic() - start
        out.seek(0)
        err.seek(0)
        output, text = out.read(), err.read()
    problem = None
    if 'wrong result' in text:
        problem = 'wrong result'
    elif timed_out:
        problem = 'timeout'
    elif status:
        problem = 'failed'
    return Outcome(output, problem, text, seconds)
