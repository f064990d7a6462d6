"""Server-sent events: every listener gets what anybody posts.

`nylon run -c nylon.yaml` in this directory, then open http://127.0.0.1:8080/ twice; or
`curl -N http://127.0.0.1:8080/events` and `curl -d hello http://127.0.0.1:8080/events`.
"""

import asyncio
from contextlib import suppress
from pathlib import Path

from nylon import ClientGoneError, HttpError, PhaseHandler, Plugin, RequestFilterContext

PAUSE_SECONDS = 15.0
WAITING_MAX = 100

plugin = Plugin()
listeners: set[asyncio.Queue[str]] = set()


@plugin.handler("page")
class Page(PhaseHandler):
    """`GET /`: a page that listens and posts."""

    def request_filter(self, ctx: RequestFilterContext) -> None:
        ctx.response.body_html((Path(__file__).parent / "index.html").read_text())
        ctx.end()


@plugin.handler("listen")
class Listen(PhaseHandler):
    """`GET /events`: an event for each post, and a comment now and then so that nobody takes the line for dead."""

    async def request_filter(self, ctx: RequestFilterContext) -> None:
        ctx.response.set_header("Content-Type", "text/event-stream").set_header("Cache-Control", "no-store")
        posts: asyncio.Queue[str] = asyncio.Queue(WAITING_MAX)
        listeners.add(posts)
        try:
            async with ctx.response.stream() as stream:
                await stream.write(": welcome\n\n")
                while True:
                    try:
                        post = await asyncio.wait_for(posts.get(), PAUSE_SECONDS)
                    except TimeoutError:
                        await stream.write(":\n\n")
                    else:
                        await stream.write("".join(f"data: {line}\n" for line in post.splitlines()) + "\n")
        except ClientGoneError:
            return
        finally:
            listeners.discard(posts)


@plugin.handler("post")
class Post(PhaseHandler):
    """`POST /events`: the body goes to every listener of this worker."""

    async def request_filter(self, ctx: RequestFilterContext) -> None:
        text = (await ctx.request.body()).decode(errors="replace")
        if not text.strip():
            raise HttpError(400, "nothing to say")
        for posts in list(listeners):
            # who does not keep up misses it; the others do not wait
            with suppress(asyncio.QueueFull):
                posts.put_nowait(text)
        ctx.response.body_json({"listeners": len(listeners)})
        ctx.end()
