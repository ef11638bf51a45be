"""What `speed.py` measured: kept in a CSV file as it goes, and shown as Markdown."""

import csv
import dataclasses
import json
import pathlib
import statistics

KEY = ("cell", "budget", "unroll", "depth")
FIELDS = (*KEY, "params", "units", "inputs", "operations", "way", "trials", "check_steps", "off")
FIELDS += ("rates", "sgemm", "bytes", "compile_seconds", "note")
TEXTS = ("cell", "way", "note")


@dataclasses.dataclass
class Results:
    """Rows of the table, each a list of lines, one a way; every row that is added is on the disk at once.

    Args:
        path: a CSV file, whose first line has the setting; None: nothing is kept.
        setting: machine, versions, and how it is measured; a file with another is not gone on with.

    Raises:
        ValueError: the file is of another setting.
    """

    path: pathlib.Path | None
    setting: dict
    rows: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if self.path is None or not self.path.exists():
            return
        with self.path.open(newline="") as file:
            known = json.loads(file.readline().removeprefix("# "))
            lines = [{name: _value(name, text) for name, text in line.items()} for line in csv.DictReader(file)]
        if different := [name for name in {**known, **self.setting} if known.get(name) != self.setting.get(name)]:
            there = ", ".join(f"{name} {known.get(name)!r} (here {self.setting.get(name)!r})" for name in different)
            raise ValueError(f"out: {str(self.path)!r} given; it must be a new file, for this one has {there}")
        for line in lines:
            self.rows.setdefault(tuple(line[name] for name in KEY), []).append(line)

    def add(self, key, lines):
        # As they are read from the file, or a table made of them now might round otherwise than one made later.
        kept = lambda name, value: _value(name, _text(value)) if isinstance(value, list) else value
        self.rows[key] = [{name: kept(name, value) for name, value in line.items()} for line in lines]
        if self.path is None:
            return
        beside = self.path.with_name(self.path.name + ".part")
        with beside.open("w", newline="") as file:
            file.write(f"# {json.dumps(self.setting)}\n")
            writer = csv.DictWriter(file, FIELDS)
            writer.writeheader()
            writer.writerows(
                {name: _text(value) for name, value in line.items()} for row in self.rows.values() for line in row
            )
        beside.rename(self.path)


def _text(value):
    return " ".join(f"{v:.6g}" for v in value) if isinstance(value, list) else value


def _value(name, text):
    if name in TEXTS:
        return text
    if name in ("rates", "sgemm"):
        return [float(v) for v in text.split()]
    return None if not text else float(text) if name in ("off", "compile_seconds") else int(text)


def rates_table(rows, ways):
    """Trials x steps per second of each way, medians; what was not measured says why."""
    notes, lines = [], []
    for row in rows:
        by_way = {line["way"]: line for line in reversed(row)}  # of the project's widths the first, the others' K
        most = max(line["trials"] for line in by_way.values())
        lines.append(_first_columns(row[0]) | {"K": most} | {way: _rate(by_way.get(way), notes) for way in ways})
    return markdown(lines) + "".join(f"\n[{n}] {note}" for n, note in enumerate(notes, 1))


def _rate(line, notes):
    if line is None:
        return "-"
    if line.get("rates"):
        return number(statistics.median(line["rates"]))
    if line["note"] not in notes:
        notes.append(line["note"])
    return f"[{notes.index(line['note']) + 1}]"


def project_table(rows, ways):
    """The project over each other way, round by round, medians and range; and what it needs."""
    lines = []
    for row in rows:
        others = {line["way"]: line for line in row if line["way"] != "project"}
        for line in row:
            if line["way"] != "project" or not line.get("rates"):
                continue
            rate, sgemm = line["rates"], line["sgemm"]
            share = statistics.median(line["operations"] * r / s for r, s in zip(rate, sgemm, strict=True))
            lines.append(
                _first_columns(line)
                | {"K": line["trials"], "project": number(statistics.median(rate))}
                | {f"over {way}": _ratio(rate, others.get(way)) for way in ways if way != "project"}
                | {"of sgemm": f"{100 * share:.2g} %", "KiB a trial": number(line["bytes"] / 1024)}
                | {"compile s": f"{line['compile_seconds']:.1f}"}
            )
    return markdown(lines)


def _ratio(rates, other):
    if other is None or not other.get("rates"):
        return "-"
    ratios = [a / b for a, b in zip(rates, other["rates"], strict=True)]
    return f"**{number(statistics.median(ratios))}** ({number(min(ratios))} to {number(max(ratios))})"


def _first_columns(line):
    return {name: line[name] for name in ("cell", "params", "units", "inputs")} | {
        "T": line["unroll"],
        "depth": line["depth"],
    }


def number(value):
    """Three digits, and no more than are whole above that."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def markdown(lines):
    """Dicts with the same keys as a Markdown table."""
    if not lines:
        return "(nothing measured)"
    cells = [list(lines[0]), ["---"] * len(lines[0]), *(list(line.values()) for line in lines)]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in cells)
