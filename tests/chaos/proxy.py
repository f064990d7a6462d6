"""A TCP proxy in front of NATS that delays, stops or breaks what passes."""

import asyncio
import threading
from collections.abc import Callable


class Proxy:
    """Listens on a free port for as long as the process lives; every connection goes to `port`."""

    def __init__(self, port: int) -> None:
        self.port, self.address = port, ""
        self.delay = 0.0
        self._open = asyncio.Event()
        self._open.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()
        self._ready.wait(10)

    @property
    def url(self) -> str:
        return f"nats://{self.address}"

    def partition(self) -> None:
        """Nothing passes any more, and nobody is told."""
        self._call(self._open.clear)

    def heal(self) -> None:
        self.delay = 0.0
        self._call(self._open.set)

    def cut(self) -> None:
        """Break every connection."""
        self._call(lambda: [writer.transport.abort() for writer in list(self._writers)])

    def _call(self, what: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(what)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", 0))
        host, port = server.sockets[0].getsockname()[:2]
        self.address = f"{host}:{port}"
        self._ready.set()
        self._loop.run_forever()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        await asyncio.gather(self._pass(reader, far_writer), self._pass(far_reader, writer))
        self._writers -= {writer, far_writer}

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await self._open.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass  # whoever is behind it may break off: that is what this is for
        writer.transport.abort()
