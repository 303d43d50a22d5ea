"""One measurement: load on one proxy for some seconds, and what the proxy spent on it."""

import json
import re
import signal
import subprocess
import time

from proxies import LOAD_CORE, PROXY_CORE, cpu_nanoseconds, user_and_system_seconds

SATURATED = 0.90  # below that share of its core a proxy was waiting for the load, and the round says nothing


def load_command(proxy, path, connections, seconds):
    return ["taskset", "-c", LOAD_CORE, str(proxy.build / "penstock_load"), str(proxy.port), path, str(connections),
            str(seconds), *proxy.headers]


def result_of(load, seconds):
    output, _ = load.communicate(timeout=seconds + 30)
    found = re.search(r"^RESULT (.*)$", output, re.M)
    if not found:
        raise SystemExit(f"bench: the load generator gave no result:\n{output}")
    return json.loads(found[1])


def start_load(proxy, path, connections, seconds):
    return subprocess.Popen(load_command(proxy, path, connections, seconds), stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True)


def busy_share(run):
    """Runs `run` and tells which share of the proxies' core was busy meanwhile, whoever used it."""
    def ticks():
        line = next(l for l in open("/proc/stat") if l.startswith(f"cpu{PROXY_CORE} "))
        values = [int(v) for v in line.split()[1:9]]
        return sum(values), values[3] + values[4]
    all0, idle0 = ticks()
    run()
    all1, idle1 = ticks()
    return 1 - (idle1 - idle0) / max(all1 - all0, 1)


def measure(proxy, path, connections, seconds):
    """Requests/s, CPU us a request, latency; `void` says why a round does not count."""
    user0, system0 = user_and_system_seconds(proxy.pid)
    cpu0 = cpu_nanoseconds(proxy.pid)
    load = start_load(proxy, path, connections, seconds)
    time.sleep(0.3)  # the share of the core is taken in the middle, without start and end
    begin, cpu_begin = time.monotonic_ns(), cpu_nanoseconds(proxy.pid)
    busy = busy_share(lambda: time.sleep(seconds - 0.6))
    share = (cpu_nanoseconds(proxy.pid) - cpu_begin) / (time.monotonic_ns() - begin)
    result = result_of(load, seconds)
    cpu = cpu_nanoseconds(proxy.pid) - cpu0
    user, system = (b - a for a, b in zip((user0, system0), user_and_system_seconds(proxy.pid)))
    requests = max(result["requests"], 1)
    result.update(rate=result["requests"] / (result["microseconds"] / 1e6), cpu_us=cpu / 1e3 / requests,
                  user_us=user * 1e6 / requests, system_us=system * 1e6 / requests, core_share=share, others_share=max(0.0, busy - share))
    result["void"] = why_void(result)
    return result


def why_void(result):
    if result["bad_status"] or result["errors"]:
        return f"{result['bad_status']} answers other than 200, {result['errors']} errors"
    if result["core_share"] < SATURATED:
        others = f", others took {result['others_share']:.0%}" if result["others_share"] > 0.05 else ""
        return f"core {result['core_share']:.0%} busy{others}"
    return None


def system_calls(proxy, path, connections, seconds):
    """System calls a request by name, by strace over a whole run of load."""
    strace = subprocess.Popen(["strace", "-c", "-f", "-p", str(proxy.pid)], stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True)
    first = strace.stderr.readline()
    if "attached" not in first:
        strace.wait()
        return {"error": first.strip()}
    result = result_of(start_load(proxy, path, connections, seconds), seconds)
    strace.send_signal(signal.SIGINT)
    _, table = strace.communicate(timeout=20)
    calls = {}
    for line in table.splitlines():
        row = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?([a-z_0-9]+)$", line)
        if row and row[2] != "total":
            calls[row[2]] = int(row[1]) / max(result["requests"], 1)
    return dict(sorted(calls.items(), key=lambda item: -item[1]))
