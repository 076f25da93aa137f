"""A crawler: the job reads a page and asks for the pages that it links to, each once.

The block ends when nothing is left to read: it waits for what jobs ask for as well. The request buffer has no limit,
because only the jobs that fill it could empty it.
"""

import math
import tempfile
from html.parser import HTMLParser
from pathlib import Path

import trio

from trio_jobs import Submission, Succeeded, job, open_processor

SITE = {
    "index.html": '<a href="news.html">News</a> <a href="team.html">Team</a>',
    "news.html": '<a href="index.html">Home</a> <a href="old-news.html">Older</a>',
    "team.html": '<a href="ann.html">Ann</a> <a href="bob.html">Bob</a> <a href="news.html">News</a>',
    "ann.html": "<p>Nothing leads from here.</p>",
    "old-news.html": '<a href="lost.html">Lost</a>',
}


class Links(HTMLParser):
    """Collects where the links of a page lead."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if (tag, name) == ("a", "href") and value]


async def crawl(folder: Path) -> dict[str, list[str] | None]:
    """Each page that can be reached from index.html with its links; None for one that cannot be read."""
    asked_for = {"index.html"}
    pages: dict[str, Submission[list[str]]] = {}

    @job
    async def visit(name: str) -> list[str]:
        links = Links(await trio.Path(folder, name).read_text()).found
        for link in links:
            if link not in asked_for:
                asked_for.add(link)
                pages[link] = await processor.submit(link, detached=True)
        return links

    async with open_processor(visit, request_buffer_size=math.inf) as processor:
        pages["index.html"] = await processor.submit("index.html", detached=True)
    answers = {name: await page.wait() for name, page in pages.items()}
    return {name: answer.value if isinstance(answer, Succeeded) else None for name, answer in sorted(answers.items())}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in SITE.items():
            Path(folder, name).write_text(text)
        pages = trio.run(crawl, Path(folder))
    for name, links in pages.items():
        print(f"{name:14}", "broken" if links is None else ", ".join(links) or "no links")


if __name__ == "__main__":
    main()
