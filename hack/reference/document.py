"""The reference as one document."""

import re

from hack.reference import gateway, metrics, resources, values, vocabulary

INTRODUCTION = """# Reference

Written by `make docs` from the CRDs, the chart's values and the source; a test fails when it is out of date.
`kubectl explain voicesession.spec` shows the same descriptions in a terminal."""


def render() -> str:
    """The whole of docs/reference.md."""
    body = "\n\n".join(part.render() for part in (resources, vocabulary, values, gateway, metrics))
    return "\n\n".join([INTRODUCTION, _contents(body), body]) + "\n"


def _contents(body: str) -> str:
    titles = re.findall(r"^## (.+)$", body, flags=re.MULTILINE)
    return "\n".join(f"- [{title}](#{anchor(title)})" for title in titles)


def anchor(title: str) -> str:
    """How links name a heading."""
    return re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")
