"""What was measured, as JSON, a plot and a section of Markdown."""

import json
import math
import re
import statistics

TARGETS = (0.95, 0.99)


def command(options):
    """The command that makes this record again, paths left to the user."""
    words = ["make bench DATA=DIRECTORY"]
    if options.pgvector_source:
        words.append("PGVECTOR_SOURCE=DIRECTORY")
    if options.quick:
        words.append("QUICK=1")
    if options.max_rows:
        words.append(f"MAX_ROWS={options.max_rows}")
    if options.shape != "parameter":
        words.append(f"SHAPE={options.shape}")
    if not options.quick:
        words.append(f"TURNS={options.turns} SECONDS_PER_RUN="
                     f"{options.seconds} ROUNDS={options.rounds}")
    if (options.m, options.ef_construction) != (16, 64):
        words.append(f"M={options.m} EF_CONSTRUCTION="
                     f"{options.ef_construction}")
    return " ".join(words)


def points(record, engine, field):
    """(recall, value) along ef_search; the median where there are rounds."""
    result = []
    for step in record["figures"]["curve"]:
        if engine in step[field]:
            value = step[field][engine]
            if isinstance(value, list):
                value = statistics.median(value)
            result.append((step["recall"][engine], value))
    return result


def at_recall(curve, target):
    """The value where the curve passes a recall, and how sure that is.

    Between two points the logarithm of the value is drawn as a straight
    line.  Where even the smallest ef_search finds more than the target, its
    value is a bound ("bound" is true); where none finds as much, None.
    """
    if not curve:
        return None, False
    if curve[0][0] >= target:
        return curve[0][1], curve[0][0] > target
    for (low, a), (high, b) in zip(curve, curve[1:]):
        if low < target <= high:
            share = (target - low) / (high - low)
            return math.exp(math.log(a) * (1 - share) +
                            math.log(b) * share), False
    return None, False


def median_of(record, figure, engine, field=None):
    """The median of a figure over its rounds, or None when not measured."""
    rounds = record["figures"].get(figure, {}).get(engine)
    if not rounds:
        return None
    return statistics.median([one[field] if field else one for one in rounds])


def rows_of(record):
    """The summary: (label, value by engine, how to print, compare?)."""
    engines = list(record["engines"])
    options = record["options"]
    rows = []

    def add(label, form, value, compare=True):
        rows.append((label, {e: value(e) for e in engines}, form, compare))

    for target in TARGETS:
        add(f"queries per second at recall {target}", "{:,.0f}",
            lambda e, t=target: at_recall(points(record, e, "qps"), t))
    add("floor of SQL, queries per second", "{:,.0f}",
        lambda e: median_of(record, "floor", e), compare=False)
    for target in TARGETS:
        add(f"shared buffers per query at recall {target}", "{:,.0f}",
            lambda e, t=target: at_recall(points(record, e, "buffers"), t))
    if "cold" in record["figures"]:
        add("queries per second with a cold cache, recall at least 0.95",
            "{:,.0f}", lambda e: median_of(record, "cold", e, "qps"))
    add("build, 2 processes, s", "{:.1f}",
        lambda e: median_of(record, "build", e, "seconds"))
    if options["low_memory"]:
        megabytes = options["low_memory"] / 1024 ** 2
        add(f"build in {megabytes:.0f} MB, s", "{:.1f}",
            lambda e: median_of(record, "low_memory_build", e, "seconds"))
    add("index size, MB", "{:.1f}",
        lambda e: scaled(median_of(record, "build", e, "bytes"), 1e6))
    count = f"{options['writes']:,}"
    add(f"{count} single-row inserts, s", "{:.2f}",
        lambda e: median_of(record, "insert", e, "seconds"))
    add("WAL per insert, just after a checkpoint, bytes", "{:,.0f}",
        lambda e: median_of(record, "insert", e, "wal_bytes"))
    add("WAL per insert, no full page images, bytes", "{:,.0f}",
        lambda e: median_of(record, "insert_no_full_pages", e, "wal_bytes"))
    add(f"{count} updates of another column, s", "{:.2f}",
        lambda e: median_of(record, "update", e, "seconds"))
    add("WAL per such update, just after a checkpoint, bytes", "{:,.0f}",
        lambda e: median_of(record, "update", e, "wal_bytes"))
    add("vacuum after deleting a tenth, s", "{:.2f}",
        lambda e: median_of(record, "vacuum", e, "seconds"))
    ef = options["vacuum_ef"]
    add(f"recall before, ef_search {ef}", "{:.4f}",
        lambda e: record["figures"]["recall_before_vacuum"].get(e))
    add(f"recall after that vacuum, ef_search {ef}", "{:.4f}",
        lambda e: median_of(record, "vacuum", e, "recall"))
    return rows


def scaled(value, unit):
    return None if value is None else value / unit


def cell(value, form):
    """One value printed; bounds are marked, what is missing is a dash."""
    bound = False
    if isinstance(value, tuple):
        value, bound = value
    if value is None:
        return "–"
    return form.format(value) + ("\\*" if bound else "")


def ratio(values, one, other):
    """How the first engine stands to the second, or a dash."""
    pair = []
    for engine in (one, other):
        value = values.get(engine)
        if isinstance(value, tuple):
            value = None if value[1] else value[0]
        pair.append(value)
    if None in pair or pair[1] == 0:
        return "–"
    return f"{pair[0] / pair[1]:.2f}"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |",
             "|---|" + "---:|" * (len(head) - 1)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def summary_table(record):
    """The figures of every engine, and the first two compared."""
    engines = list(record["engines"])
    sql = [e for e in engines if record["engines"][e]["extension"]]
    compared = len(sql) >= 2
    head = ["figure", *engines]
    if compared:
        head.append(f"{sql[0]} / {sql[1]}")
    rows = []
    for label, values, form, compare in rows_of(record):
        row = [label, *(cell(values[e], form) for e in engines)]
        if compared:
            row.append(ratio(values, *sql[:2]) if compare else "")
        rows.append(row)
    return table(head, rows)


def overview(records):
    """How the first engine stands to the second, a column for each data set.

    Of the records that have two engines with SQL.
    """
    columns = {}
    for record in records:
        sql = [e for e in record["engines"]
               if record["engines"][e]["extension"]]
        if len(sql) < 2:
            continue
        columns[record["data"]["name"]] = {
            re.sub(r"build in \d+ MB", "build in little memory", label):
            ratio(values, *sql[:2])
            for label, values, _, compare in rows_of(record) if compare}
    labels = dict.fromkeys(label for column in columns.values()
                           for label in column)
    return table(["vecdb / pgvector", *columns],
                 [[re.sub(", (s|MB|bytes)$", "", label),
                   *(column.get(label, "–") for column in columns.values())]
                  for label in labels])


def read_records(directory):
    """All records of data sets there, by name."""
    records = []
    for path in sorted(directory.glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        if "curve" in record.get("figures", {}):
            records.append(record)
    return records


def curve_table(record):
    """Recall, qps and buffers of each engine at each ef_search."""
    engines = list(record["engines"])
    head = ["ef_search"]
    for engine in engines:
        head += [f"{engine} recall", "qps"]
        if record["engines"][engine]["extension"]:
            head.append("buffers")
    rows = []
    for step in record["figures"]["curve"]:
        row = [str(step["ef_search"])]
        for engine in engines:
            row += [f"{step['recall'][engine]:.4f}",
                    f"{statistics.median(step['qps'][engine]):,.0f}"]
            if engine in step["buffers"]:
                row.append(f"{step['buffers'][engine]:,.0f}")
        rows.append(row)
    return table(head, rows)


def version_of(name, engine):
    """An engine by its extension, version and commit."""
    words = [name]
    if engine["extension"] not in (None, name):
        words.append(f"(extension {engine['extension']})")
    words.append(engine["version"])
    if engine["source"]:
        words.append(f"from {engine['source']}")
    return " ".join(words)


def section(record):
    """The Markdown of one data set."""
    data, machine = record["data"], record["machine"]
    options = record["options"]
    engines = "; ".join(version_of(name, one)
                        for name, one in record["engines"].items())
    settings = ", ".join(f"{name} = {value}" for name, value
                         in record["settings"].items())
    return "\n".join([
        f"### {data['name']}: {data['rows']:,} vectors, "
        f"{data['dimensions']} dimensions, cosine", "",
        f"![recall against queries per second](benchmarks/{data['name']}.png)",
        "", *summary_table(record), "",
        "\\* even the smallest ef_search finds more; this is its speed, and "
        "no ratio is given.", "", *curve_table(record), "",
        f"Measured on {record['date']} by `{record['command']}` on "
        f"{machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB, Linux {machine['kernel']}, load "
        f"before the start {machine['load_before']:.2f}.  "
        f"{record['postgresql']}.  {engines}.", "",
        f"Index: m = {options['m']}, ef_construction = "
        f"{options['ef_construction']}.  {data['queries']:,} queries, k = 10, "
        f"truth: {data['truth']}.  Queries per second: medians of "
        f"{options['turns']} runs of {options['seconds']} s, query vector as "
        f"{options['shape']}; the rest of {options['rounds']} round(s).  "
        f"maintenance_work_mem of the build: "
        f"{options['build_memory'] // 1024 ** 2} MB.  Settings: {settings}.",
        "", f"Raw figures: [{data['name']}.json](benchmarks/"
        f"{data['name']}.json)."])


def plot(record, path):
    """Recall against queries per second, a line per engine."""
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7.5, 5))
    markers = iter("osD^v")
    for engine in record["engines"]:
        curve = points(record, engine, "qps")
        label = engine if record["engines"][engine]["extension"] \
            else f"{engine} (in process, no SQL)"
        axes.plot(*zip(*curve), marker=next(markers), label=label)
    floors = [median_of(record, "floor", e) for e in record["engines"]
              if e in record["figures"]["floor"]]
    if floors:
        axes.axhline(max(floors), color="grey", linestyle="--",
                     label="floor of SQL")
    axes.set_yscale("log")
    axes.set_xlabel("recall@10")
    axes.set_ylabel("queries per second, one client")
    axes.grid(True, which="both", alpha=0.3)
    axes.legend()
    data = record["data"]
    axes.set_title(f"{data['name']}: {data['rows']:,} x {data['dimensions']}, "
                   f"cosine, m = {record['options']['m']}, ef_construction = "
                   f"{record['options']['ef_construction']}", fontsize=10)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def replace_section(page, name, text):
    """Put a section between its markers, after the last one if it is new."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    block = f"{begin}\n{text}\n{end}"
    content = page.read_text(encoding="utf-8")
    if begin in content:
        head, rest = content.split(begin, 1)
        tail = rest.split(end, 1)[1]
        content = head + block + tail
    else:
        mark = "<!-- results end here -->"
        if mark not in content:
            raise SystemExit(f"bench: {page} has lost its line \"{mark}\"")
        content = content.replace(mark, block + "\n\n" + mark)
    page.write_text(content, encoding="utf-8")


def write(record, options):
    """JSON, PNG, and Markdown: into the page, or a file of its own."""
    name = record["data"]["name"]
    options.output.mkdir(parents=True, exist_ok=True)
    with open(options.output / f"{name}.json", "w",
              encoding="utf-8") as file:
        json.dump(record, file, indent=1)
        file.write("\n")
    plot(record, options.output / f"{name}.png")
    text = section(record)
    if options.page:
        replace_section(options.page, name, text)
        replace_section(options.page, "overview",
                        "\n".join(overview(read_records(options.output))))
        print(f"bench: wrote {options.page}")
    else:
        (options.output / f"{name}.md").write_text(text + "\n",
                                                   encoding="utf-8")
    print("\n".join(summary_table(record)))
    print(f"bench: figures and plot in {options.output}")
