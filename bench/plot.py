"""The main cases as bars: CPU time a request, the better peer's being 1. Plain SVG."""

CASES = ("1k", "1k-1000", "100k", "10m", "post", "fresh", "tls", "tls-full", "tls-resumed")
COLOURS = {"nginx": "#8a9a5b", "haproxy": "#6a8caf", "penstock": "#c8553d"}
LEFT, WIDTH, BAR, GAP, MOST = 250, 420, 12, 16, 1.6


def bars(data, labels):
    rows, y = [], 48
    for key in CASES:
        found = data["cases"].get(key)
        if not found or not found["better"]:
            continue
        unit = found["proxies"][found["better"]]["cpu_us"]["median"]
        rows.append(f'<text x="{LEFT - 10}" y="{y + 1.5 * BAR + 4:.0f}" text-anchor="end">{found["title"]}</text>')
        for name, colour in COLOURS.items():
            s = found["proxies"].get(name, {"void": ""})
            if "void" not in s:
                share = s["cpu_us"]["median"] / unit
                rows.append(f'<rect x="{LEFT}" y="{y}" width="{min(share, MOST) / MOST * WIDTH:.1f}" height="{BAR - 1}" '
                            f'fill="{colour}"/><text x="{LEFT + min(share, MOST) / MOST * WIDTH + 5:.1f}" '
                            f'y="{y + BAR - 2}">{share:.2f}</text>')
            y += BAR
        y += GAP
    one = LEFT + WIDTH / MOST
    legend = "".join(f'<rect x="{LEFT + i * 110}" y="12" width="10" height="10" fill="{colour}"/>'
                     f'<text x="{LEFT + i * 110 + 15}" y="21">{labels[name]}</text>'
                     for i, (name, colour) in enumerate(COLOURS.items()))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 60}" height="{y + 10}" '
            f'font-family="sans-serif" font-size="11" fill="#444">'
            f'<title>CPU time a request; 1 is the better of nginx and HAProxy</title>'
            f'<rect width="100%" height="100%" fill="#fff"/>{legend}'
            f'<line x1="{one:.1f}" y1="36" x2="{one:.1f}" y2="{y}" stroke="#999" stroke-dasharray="3 3"/>'
            f'{"".join(rows)}</svg>\n')
