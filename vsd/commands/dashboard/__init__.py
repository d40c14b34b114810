"""A page of a W&B project, by questions: ``vsd dashboard ENTITY/PROJECT``

Saves a workspace: which setting is fastest, what looseness costs, where the time goes, how far drafts are accepted,
which tokens were kept, whether it is exact. With --report it saves a report of the same, for sharing. Needs
``pip install "vsd[dashboard]"`` and, to save, a login (``wandb login``). Examples:

  vsd dashboard me/vsd                        the workspace of the project vsd
  vsd dashboard me/vsd --report               a report
  vsd dashboard me/vsd --print                what it would show; saves nothing and asks no network
  vsd dashboard me/vsd --json page.json       what would be saved, in W&B's own form
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vsd.run import disk
from vsd.run.app import UsageError
from vsd.run.tracking.login import has_login, server
from vsd.run.tracking.patience import answers
from vsd.utils.validation import reason

_PART = r"[\w.-]+"


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 saved or shown, 1 the server did not take it, 2 refused."""
    parser = argparse.ArgumentParser(
        prog="vsd dashboard", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("project", metavar="ENTITY/PROJECT")
    parser.add_argument("--report", action="store_true", help="a report in place of a workspace")
    parser.add_argument("--name", default="vsd", help="of the page (default: vsd)")
    parser.add_argument("--print", action="store_true", dest="only_print", help="say what it shows, save nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what would be saved, save nothing")
    args = parser.parse_args(argv)
    try:
        page = _page(args.project, args.name, report=args.report)
        if args.only_print or args.json:
            return _show(page, args.json, only_print=args.only_print)
        if not has_login():
            raise UsageError("wandb login: must be done before a page is saved (or WANDB_API_KEY set), got no login")
    except (UsageError, disk.CannotWrite) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return _save(page, args.project)


def _page(place: str, name: str, *, report: bool) -> Any:
    """The page. Raises UsageError for a project that cannot be one, and without the package."""
    if not re.fullmatch(f"{_PART}/{_PART}", place):
        raise UsageError(f"ENTITY/PROJECT: must be two names with a slash between them, got {place!r}")
    if find_spec("wandb_workspaces") is None:
        raise UsageError('wandb-workspaces: must be installed for this (pip install ".[dashboard]"), got nothing')
    from vsd.commands.dashboard import pages

    entity, _, project = place.partition("/")
    try:
        return (pages.report if report else pages.workspace)(entity, project, name)
    except ValueError as error:  # W&B's own rules for names
        raise UsageError(f"--name: must be a name that W&B takes, got {name!r} ({reason(error)})") from error


def _show(page: Any, file: Path | None, *, only_print: bool) -> int:
    from vsd.commands.dashboard import pages

    if only_print:
        print("\n".join(pages.outline(page)))
    if file:
        if file.is_dir():
            raise UsageError(f"--json: must be a file, got the folder {str(file)!r}")
        disk.write_whole(file, json.dumps(pages.as_json(page), indent=2))
        print(file)
    return 0


def _save(page: Any, place: str) -> int:
    """Whatever the server or the way to it does is one line."""
    if not answers(address := server()):  # W&B itself would try for a long time
        print(f"error: {place}: could not be saved: {address} does not answer", file=sys.stderr)
        return 1
    try:
        page.save()
    except Exception as error:
        print(f"error: {place}: could not be saved: {reason(error)}", file=sys.stderr)
        return 1
    print(page.url)
    return 0


if __name__ == "__main__":
    sys.exit(main())
