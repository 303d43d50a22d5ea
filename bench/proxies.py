"""The proxies of the bench as processes: started on core 0 from the files in peers/, asked for their CPU time."""

import hashlib
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
API_KEY = "bench-key-0123456789abcdef"
PROXY_CORE, LOAD_CORE = "0", "1"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def on_core(core, command, log):
    return subprocess.Popen(["taskset", "-c", core, *command], stdout=log, stderr=log, stdin=subprocess.DEVNULL)


def await_port(process, port, name):
    end = time.monotonic() + 15
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"bench: {name} does not answer on port {port}; its output is in the log beside its configuration")


def cpu_nanoseconds(pid):
    """CPU time of all threads of a process, from the scheduler's own count."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except OSError:
            pass  # a thread that ended meanwhile
    return total


def user_and_system_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    tick = os.sysconf("SC_CLK_TCK")
    return int(fields[11]) / tick, int(fields[12]) / tick


class Proxy:
    """One started process; `headers` go with every request to it, which `build`'s load generator makes."""

    def __init__(self, name, command, folder, port, build, headers=()):
        self.name, self.port, self.build, self.headers = name, port, build, list(headers)
        self.log = open(folder / f"{name}.log", "wb")
        self.process = on_core(PROXY_CORE, command, self.log)
        await_port(self.process, port, name)

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        stop(self.process)
        self.log.close()


def stop(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(3)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def filled(template, folder, port, backend):
    text = (HERE / "peers" / template).read_text()
    values = {"PORT": port, "BACKEND": backend, "FOLDER": folder,
              "KEY_SHA256": hashlib.sha256(API_KEY.encode()).hexdigest()}
    path = folder / template
    path.write_text(re.sub(r"@([A-Z_0-9]+)@", lambda m: str(values[m[1]]), text))
    return str(path)


def start_backend(build, folder):
    port = free_port()
    log = open(folder / "backend.log", "wb")
    process = on_core(LOAD_CORE, [str(build / "penstock_echo"), "--listen", f"127.0.0.1:{port}"], log)
    await_port(process, port, "backend")
    return process, port


def starters(build, folder, backend):
    """Name -> how to start it. Penstock stands here twice: bare, and with its four plugins."""

    def floor(name):
        port = free_port()
        return Proxy(name, [str(build / "penstock_floor"), str(port), str(backend)], folder, port, build)

    def nginx(name):
        port = free_port()
        return Proxy(name, ["nginx", "-c", filled("nginx.conf", folder, port, backend)], folder, port, build)

    def haproxy(name):
        port = free_port()
        return Proxy(name, ["haproxy", "-db", "-f", filled("haproxy.cfg", folder, port, backend)], folder, port, build)

    def penstock(template, headers):
        def start(name):
            port = free_port()
            config = filled(template, folder, port, backend)
            return Proxy(name, [str(build / "penstock"), "run", "-c", config], folder, port, build, headers)
        return start

    found = {"floor": floor, "nginx": nginx, "haproxy": haproxy}
    if (build / "penstock").exists():
        found["penstock"] = penstock("penstock.yaml", [])
        found["penstock+plugins"] = penstock("penstock-plugins.yaml", [f"x-api-key: {API_KEY}"])
    return found
