"""Draws the panels of a dashboard as SVG, from the answers of a Prometheus: not Grafana's own picture of them."""

import html
import re

WIDTH, HEIGHT, LEFT = 380, 190, 46
COLOURS = ["#3b7dd8", "#d9822b", "#3a9d5d", "#c23b5e", "#7d5bc4", "#8a8a3a", "#2fa5a5", "#777777"]


def filled(expression):
    """A query with the dashboard's variables filled in."""
    return expression.replace("$__rate_interval", "10s").replace("$__range", "2m").replace("$instance", ".*")


def number(value):
    return f"{value:.3g}"


def legend(template, labels):
    return re.sub(r"{{(\w+)}}", lambda name: labels.get(name[1], ""), template)


def lines(panel, ask):
    """The name and points of each line, the highest first."""
    found = []
    for target in panel["targets"]:
        for series in ask(filled(target["expr"])):
            points = [(time, float(value)) for time, value in series["values"] if value != "NaN"]
            if points:
                found.append((legend(target["legendFormat"], series["metric"]), points))
    return sorted(found, key=lambda line: -max(value for _, value in line[1]))


def text(x, y, what, size=11, more=""):
    return f'<text x="{x}" y="{y}" font-size="{size}" {more}>{html.escape(what)}</text>'


def chart(panel, found):
    ends = [time for _, points in found for time, _ in points]
    first, last = min(ends), max(ends)
    top = max(value for _, points in found for _, value in points) or 1
    left, right, bottom, height = LEFT, WIDTH - 12, 122, 88
    yield text(left - 4, bottom - height + 4, number(top), 9, 'text-anchor="end"')
    yield text(left - 4, bottom + 3, "0", 9, 'text-anchor="end"')
    yield f'<path d="M{left} {bottom - height}V{bottom}H{right}" fill="none" stroke="#999"/>'
    for at, (name, points) in enumerate(found[:6]):
        place = lambda time, value: (
            f"{left + (time - first) / ((last - first) or 1) * (right - left):.0f},{bottom - value / top * height:.1f}"
        )
        colour = COLOURS[at]
        path = " ".join(place(*point) for point in points)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        x, y = 12 + at % 2 * 185, 142 + at // 2 * 16
        yield f'<rect x="{x}" y="{y - 8}" width="10" height="8" fill="{colour}"/>'
        yield text(x + 14, y, f"{name or panel['title']}: {number(points[-1][1])}", 10)


def stat(panel, found):
    name, points = found[0]
    value = points[-1][1]
    shown = {"bool_yes_no": "yes" if value else "no", "dateTimeFromNow": f"{points[-1][0] - value / 1000:.0f} s"}
    yield text(WIDTH / 2, 110, name or shown.get(panel["fieldConfig"]["defaults"]["unit"], number(value)), 30,
               'text-anchor="middle"')


def draw(dashboard, ask, path):
    parts, count = [], len(dashboard["panels"])
    for at, panel in enumerate(dashboard["panels"]):
        drawing = stat if panel["type"] == "stat" else chart
        found = lines(panel, ask)
        inner = "".join(drawing(panel, found))
        frame = f'<rect x="2" y="2" width="{WIDTH - 4}" height="{HEIGHT - 4}" rx="4" fill="white" stroke="#ccc"/>'
        title = text(12, 20, f"{panel['title']} ({panel['fieldConfig']['defaults']['unit']})", 13, 'font-weight="bold"')
        parts.append(f'<g transform="translate({at % 3 * WIDTH},{at // 3 * HEIGHT})">{frame}{title}{inner}</g>')
    size = f"0 0 {3 * WIDTH} {-(-count // 3) * HEIGHT}"
    with open(path, "w") as file:
        file.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size}" font-family="sans-serif">')
        file.write('<rect width="100%" height="100%" fill="#f4f5f6"/>' + "\n".join(parts) + "</svg>\n")
