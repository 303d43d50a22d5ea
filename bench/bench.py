"""./dev bench [--quick]: nginx, HAProxy and Penstock side by side on this machine, interleaved over rounds.

Standard library only. cases.py says what is measured, the files in peers/ are the configurations, measure.py says
when a round is void. As root it runs in a network namespace of its own with the Reno congestion control (pacing of
others ruins latencies on loopback); otherwise it says with which one it ran.
"""

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import measure
import proxies
import report
from cases import ANY_LOAD, H2, H2_TO_H2, PLAIN, Case, cases, h2, kept

ROOT = proxies.HERE.parent
CONGESTION = Path("/proc/sys/net/ipv4/tcp_congestion_control")
COUNTED = ("nginx", "haproxy", "penstock", "penstock+plugins")
# Idle connections: how many, what the 64 active ones beside them do, and of whom.
IDLE = {"plain": (10_000, {}, PLAIN), "TLS": (10_000, {"tls": "full"}, PLAIN), "HTTP/2": (2_000, h2(64, 1), H2)}


def parse_options():
    parser = argparse.ArgumentParser(prog="./dev bench")
    parser.add_argument("--quick", action="store_true", help="4 rounds of the main cases, under three minutes")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="of each measurement")
    parser.add_argument("--cases", help="keys of cases, with commas between")
    parser.add_argument("--only", help="names of proxies, with commas between")
    parser.add_argument("--skip-extras", action="store_true",
                        help="no system calls, instructions, idle memory or second worker")
    parser.add_argument("--build", default=str(ROOT / "build" / "release"), help="the bench's own programs")
    parser.add_argument("--gateway", default=str(ROOT / "build" / "optimized"), help="Penstock and its plugins")
    parser.add_argument("--results", default=str(proxies.HERE / "results"))
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    # The machine's speed may change by a third within seconds: many short rounds say more than few long ones.
    options.rounds = options.rounds or (4 if options.quick else 11)
    options.seconds = max(1.2, options.seconds or (1.3 if options.quick else 1.5))
    return options


def enter_namespace(options):
    """Starts this program again inside a network namespace of its own, where Reno can be set for it alone."""
    if options.inside:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        if CONGESTION.read_text().strip() != "reno":
            CONGESTION.write_text("reno\n")
        # New connections a request leave thousands of ports in TIME_WAIT behind.
        Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("1024 65535\n")
    elif os.geteuid() == 0 and subprocess.run(["unshare", "--net", "true"], stderr=subprocess.DEVNULL).returncode == 0:
        os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv, "--inside"])
    else:
        print(f"bench: no network namespace without root; congestion control stays {CONGESTION.read_text().strip()}")


def output_of(*command):
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    return (done.stdout + done.stderr).strip()


def commit():
    if not shutil.which("git") or not (ROOT / ".git").exists():
        return "unknown"
    name = output_of("git", "rev-parse", "--short=10", "HEAD")
    changed = output_of("git", "status", "--porcelain", "--untracked-files=no")
    return name + ("-changed" if changed else "")


def machine(build):
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    release = re.search(r'PRETTY_NAME="(.*)"', Path("/etc/os-release").read_text())
    versions = {"nginx": ["nginx", "-v"], "HAProxy": ["haproxy", "-v"], "nghttpx": ["nghttpx", "-v"],
                "h2load": ["h2load", "--version"], "Envoy": [proxies.envoy(build), "--version"],
                "OpenSSL": ["openssl", "version"]}
    said = {name: output_of(*command) if command[0] and shutil.which(command[0]) else "not here"
            for name, command in versions.items()}
    return {"processor": f"{cpu[1] if cpu else platform.machine()}, {os.cpu_count()} cores",
            "system": f"{release[1] if release else '?'}, Linux {platform.release()}",
            "congestion control": CONGESTION.read_text().strip(),
            # Envoy's begins with its path.
            **{name: text.splitlines()[0].split("/_bin/")[-1] if text else "?" for name, text in said.items()}}


class Run:
    """The proxies that run, and what was found so far."""

    def __init__(self, options, bench):
        self.options, self.bench, self.started = options, bench, {}
        self.lacking = proxies.missing(bench.build)

    def wanted(self, name, load=()):
        program, _, variant = name.partition("+")
        needs = {program} | ({"nghttpd"} if variant == "h2" else set()) | ({"h2load"} if "streams" in load else set())
        return needs.isdisjoint(self.lacking) and (not self.options.only or name in self.options.only.split(","))

    def proxy(self, name):
        if name not in self.started:
            self.started[name] = self.bench.start(name)
        return self.started[name]

    def end(self):
        for proxy in self.started.values():
            proxy.stop()

    def rates(self):
        """30% and 70% of what the better peer can do now; of Penstock when there is no peer."""
        case = Case("", "", kept(), ())
        names = [n for n in ("nginx", "haproxy") if self.wanted(n)] or ["penstock"]
        most = max(measure.measure(self.proxy(name), case, 2)["rate"] for name in names)
        return [round(most * share, -2).__int__() for share in (0.3, 0.7)]

    def rounds(self, chosen):
        results = {case.key: {name: [] for name in case.proxies if self.wanted(name, case.load)} for case in chosen}
        for number in range(1, self.options.rounds + 1):
            for case in chosen:
                # Every other round runs backwards, so that a machine that gets slower favours nobody.
                for name in list(results[case.key])[:: 1 if number % 2 else -1]:
                    proxy = self.proxy(name)
                    if number == 1:  # connections, caches and the backend's answers warm
                        measure.result_of(measure.start_load(proxy, seconds=0.5, **case.load), 1)
                    result = measure.measure(proxy, case, self.options.seconds)
                    results[case.key][name].append(result)
                    note = f"   VOID: {result['void']}" if result["void"] else ""
                    print(f"round {number}  {case.title:38} {name:17} {result['rate']:9,.0f}/s  {result['cpu_us']:8.2f} us"
                          f" CPU  p99 {result['p99_us'] / 1000:7.2f} ms  core {result['core_share']:4.0%}{note}", flush=True)
        return results

    def h2_system_calls(self):
        load = h2(16, 16)
        return {name: measure.system_calls(self.proxy(name), **load) for name in H2 + H2_TO_H2
                if self.wanted(name, load) and "strace" not in self.lacking}

    def instructions(self):
        counted = {}
        for name in COUNTED:
            if not self.wanted(name) or "callgrind_control" in self.lacking:
                continue
            out = self.bench.folder / f"{name}.callgrind"
            proxy = self.bench.start(name, under=("valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"))
            try:
                counted[name] = measure.instructions(proxy, self.bench.folder)
            finally:
                proxy.stop()
            print(f"instructions  {name:17} {counted[name]:9,.0f} a request", flush=True)
        return counted

    def idle_memory(self):
        found = {}
        for kind, (count, load, names) in IDLE.items():
            for name in names:
                if not self.wanted(name, load):
                    continue
                proxy = self.bench.start(name)
                try:
                    found.setdefault(kind, {})[name] = measure.idle_memory(proxy, load, count)
                finally:
                    proxy.stop()
                print(f"idle {kind:6}  {name:17} {found[kind][name]}", flush=True)
        return found

    def second_worker(self, rate):
        """CPU time a request with two workers as a share of that with one, both on both cores, at one rate, by round.
        HAProxy's tells what the machine makes of two threads that get half of the requests each."""
        case = Case("", "", kept(rate=rate), (), busy=ANY_LOAD)
        found = {name: [] for name in ("penstock", "haproxy") if self.wanted(name)}
        started = {}
        try:
            for name, workers in ((name, workers) for name in found for workers in (1, 2)):
                started[name, workers] = self.bench.start(name, cores="0,1", workers=workers)
            for _ in range(self.options.rounds):
                for name in found:
                    one, two = (measure.measure(started[name, workers], case, self.options.seconds) for workers in (1, 2))
                    if not any(r["bad_status"] or r["errors"] or not r["requests"] for r in (one, two)):
                        found[name].append(two["cpu_us"] / one["cpu_us"])
        finally:
            for proxy in started.values():
                proxy.stop()
        return found


def main():
    options = parse_options()
    if (os.cpu_count() or 1) < 2:
        raise SystemExit("bench: this needs two cores, one for the proxy and one for the load")
    enter_namespace(options)
    command = " ".join(["./dev bench", *[a for a in sys.argv[1:] if a != "--inside"]])
    with tempfile.TemporaryDirectory() as temporary:
        bench = proxies.Bench(Path(options.build).resolve(), Path(temporary), Path(options.gateway).resolve())
        run = Run(options, bench)
        for name, use in run.lacking.items():
            print(f"bench: {name} is not here ({use}): its figures are missing", flush=True)
        extras = {}
        try:
            bench.prepare()
            rates = run.rates()
            chosen = [c for c in cases(rates) if (c.key in options.cases.split(",") if options.cases
                                                  else c.quick or not options.quick)]
            results = run.rounds(chosen)
            if not options.skip_extras:
                extras["system_calls"] = {name: measure.system_calls(run.proxy(name)) for name in
                                          ("floor", *COUNTED) if run.wanted(name) and "strace" not in run.lacking}
            if not options.skip_extras and not options.quick:
                extras.update(h2_system_calls=run.h2_system_calls(), instructions=run.instructions(), idle=run.idle_memory(),
                              workers=run.second_worker(rates[0]))
        finally:
            run.end()
            bench.end()
        data = {"date": time.strftime("%Y-%m-%d"), "commit": commit(), "command": command,
                "rounds": options.rounds, "seconds": options.seconds, "machine": machine(bench.build),
                "lacking": run.lacking, **extras, "cases": report.summaries(chosen, results), "all_rounds": results}
    path = report.write(Path(options.results), data, chosen, not (options.quick or options.cases or options.only))
    print(f"\n{path.read_text()}\nwritten: {os.path.relpath(path, ROOT)} and .json")
    return report.voids(data) > 0


if __name__ == "__main__":
    sys.exit(main())
