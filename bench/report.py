"""The bench's results as a page and as JSON."""

import json
from statistics import median

LABELS = {"floor": "floor (byte relay, no HTTP)", "nginx": "nginx", "haproxy": "HAProxy", "penstock": "Penstock",
          "penstock+plugins": "Penstock, four plugins"}


def summary(rounds):
    """The medians of the rounds that count, or the reason why none is given."""
    good = [r for r in rounds if not r["void"]]
    if len(good) * 2 <= len(rounds):
        reasons = sorted({r["void"] for r in rounds if r["void"]})
        return {"void": f"{len(rounds) - len(good)} of {len(rounds)} rounds: {'; '.join(reasons)}"}
    return {"rounds": len(good), "of": len(rounds),
            **{key: {"median": median([r[key] for r in good]), "min": min(r[key] for r in good),
                     "max": max(r[key] for r in good)}
               for key in ("rate", "cpu_us", "user_us", "system_us", "p50_us", "p99_us", "core_share")}}


def ratio(summaries, name, peer):
    mine, theirs = summaries.get(name, {}), summaries.get(peer, {})
    if name == peer or "cpu_us" not in mine or "cpu_us" not in theirs:
        return "-"
    return f"{mine['cpu_us']['median'] / theirs['cpu_us']['median']:.2f}"


def show(value, scale, digits):
    return f"{value['median'] / scale:,.{digits}f} ({value['min'] / scale:,.{digits}f} to {value['max'] / scale:,.{digits}f})"


def case_table(summaries):
    lines = ["| proxy | requests/s | CPU us a request | user + system | p50 ms | p99 ms | CPU of nginx's | CPU of HAProxy's | core busy | rounds |",
             "|---|---|---|---|---|---|---|---|---|---|"]
    for name, s in summaries.items():
        if "void" in s:
            lines.append(f"| {LABELS[name]} | void, {s['void']} | | | | | | | | |")
            continue
        lines.append(
            f"| {LABELS[name]} | {show(s['rate'], 1, 0)} | {show(s['cpu_us'], 1, 2)} "
            f"| {s['user_us']['median']:.1f} + {s['system_us']['median']:.1f} | {show(s['p50_us'], 1000, 2)} "
            f"| {show(s['p99_us'], 1000, 2)} | {ratio(summaries, name, 'nginx')} | {ratio(summaries, name, 'haproxy')} "
            f"| {s['core_share']['median']:.0%} | {s['rounds']} of {s['of']} |")
    return lines


def calls_table(calls):
    lines = ["| proxy | system calls a request |", "|---|---|"]
    for name, counts in calls.items():
        if "error" in counts:
            lines.append(f"| {LABELS[name]} | not measured: {counts['error']} |")
            continue
        shown = ", ".join(f"{call} {count:.2f}" for call, count in counts.items() if count >= 0.005)
        lines.append(f"| {LABELS[name]} | {sum(counts.values()):.2f}: {shown} |")
    return lines


def page(data):
    lines = [f"# Side by side, {data['date']}, commit {data['commit']}", "",
             f"Command: `{data['command']}`. Medians of {data['rounds']} interleaved rounds of {data['seconds']} s, "
             "lowest and highest in parentheses.", "",
             "Each proxy runs alone on core 0; the load (closed loop, "
             f"{data['connections']} connections, keep-alive) and the backend share core 1. A round with an error, an "
             "answer other than 200, or a proxy's core less than 90% busy is void. CPU time is the process's own, by the "
             "scheduler. \"Four plugins\" is Penstock with version, auth, rate limit and access log; nginx and HAProxy "
             "only forward in every case. A CPU ratio below 1 is in favour of the row. Differences under 5% are noise.", ""]
    lines += ["| | |", "|---|---|"] + [f"| {key} | {value} |" for key, value in data["machine"].items()] + [""]
    for case, summaries in data["cases"].items():
        lines += [f"## {case}", "", *case_table(summaries), ""]
    lines += ["## System calls under load (strace, 1 KB)", "", *calls_table(data["system_calls"]), ""]
    return "\n".join(lines)


def write(folder, data):
    folder.mkdir(exist_ok=True)
    stem = folder / f"{data['date']}-{data['commit']}"
    stem.with_suffix(".json").write_text(json.dumps(data, indent=1) + "\n")
    stem.with_suffix(".md").write_text(page(data))
    return stem.with_suffix(".md")
