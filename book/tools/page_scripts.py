"""A Sphinx extension that leaves out of each page what it has no use for, and mends a role.

The builder announces thebe, a live-code service that the book does not offer, on every page, and
twice: browsers report an error for the second announcement.
"""

from __future__ import annotations

from typing import Any


def keep_useful(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Drop thebe, repeated scripts and the second search field from a page's context."""
    kept, seen = [], set()
    for script in context.get("script_files", []):
        attributes = getattr(script, "attributes", {})
        body = str(attributes.get("body", ""))
        key = (str(getattr(script, "filename", script)), body)
        if "thebe" in key[0] or "THEBE_JS_URL" in body or key in seen:
            continue
        seen.add(key)
        kept.append(script)
    context["script_files"] = kept
    # The sidebar has the search field already; the theme's header would hold a second one.
    context["theme_navbar_persistent"] = []
    # The works cited stand in a list; a list's children must be its items.
    if "body" in context:
        context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx; late, after all others have added theirs."""
    app.connect("html-page-context", keep_useful, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
