"""`kubectl voice ls`: the sessions as a table, once or live."""

import json
import sys
from typing import Final

from voicesession_cli import times
from voicesession_cli.api import SESSIONS, Api, path
from voicesession_cli.options import Ls
from voicesession_cli.sight import Sight, table
from voicesession_cli.table import Screen, columns
from voicesession_cli.watching import LISTED, Change, Json, Pump, apply, changes

TICK_SECONDS: Final = 1.0
WIDTHS: Final = (16, 10, 8, 6, 8, 5, 6, 15, 24, 4)
"""For lines that are printed one by one: nobody knows yet how wide the next one is."""
NAMESPACE_WIDTH: Final = 12


def ls(options: Ls) -> int:
    """Returns the exit code. Raises CommandError."""
    api = Api(options.context)
    namespace = "" if options.all_namespaces else options.namespace or api.namespace
    place = path(SESSIONS, namespace)
    if options.watch:
        return _watch(options, Pump(changes(api, "voicesessions", place)))
    sights = [Sight.of(raw) for raw in api.items("voicesessions", place)]
    if options.json_output:
        now = times.now()
        print(json.dumps([sight.render(now) for sight in sights], indent=2))
    elif sights:
        print(*columns(table(sights, times.now(), with_namespace=options.all_namespaces)), sep="\n")
    else:
        print(f"no voicesessions in {namespace or 'any namespace'}", file=sys.stderr)
    return 0


def _watch(options: Ls, pump: Pump) -> int:
    if sys.stdout.isatty() and not options.json_output:
        return _redraw(pump, with_namespace=options.all_namespaces)
    headed = False
    while True:
        change = pump.next(TICK_SECONDS)
        if change is None:
            continue
        if options.json_output:
            _print_json(change)
            continue
        rows = table([Sight.of(raw) for raw in change.objects], times.now(), with_namespace=options.all_namespaces)
        widths = (NAMESPACE_WIDTH, *WIDTHS) if options.all_namespaces else WIDTHS
        lines = columns(rows, widths)
        print(*(lines[1:] if headed else lines), sep="\n", flush=True)
        headed = True


def _redraw(pump: Pump, *, with_namespace: bool) -> int:
    """Ages and talks grow between changes, so it draws each second."""
    screen, known = Screen(), dict[str, Json]()
    while True:
        change = pump.next(TICK_SECONDS)
        if change is not None:
            apply(known, change)
        rows = table([Sight.of(raw) for raw in known.values()], times.now(), with_namespace=with_namespace)
        screen.draw(columns(rows))


def _print_json(change: Change) -> None:
    """One line for each session; those that were there already are told as ADDED."""
    now = times.now()
    kind = "ADDED" if change.kind == LISTED else change.kind
    for raw in change.objects:
        print(json.dumps({"type": kind, "session": Sight.of(raw).render(now)}), flush=True)
