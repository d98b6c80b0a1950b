"""A Milvus server for tests. Run as a program, this file is that server, in the network it was started in.

The package ``milvus`` holds a whole server, but one that listens on all addresses of a machine whatever it is told. So it
gets a network of its own (Linux), and its port is handed on from a free one of this machine's loopback.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

ALONE = ["unshare", "--user", "--map-root-user", "--net"]
PORT = 19530


@contextmanager
def milvus_server() -> Iterator[str]:
    """Host and port of a server with a folder that is thrown away.

    It stops when its standard input ends, which it does when this process dies too.
    """
    if not shutil.which("unshare") or subprocess.run([*ALONE, "true"], capture_output=True).returncode:
        pytest.skip("a Milvus server listens on all addresses, and no network of its own can be made for it here")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port, handed = listening.getsockname()[1], listening.fileno()
            command = [*ALONE, sys.executable, __file__, str(handed), folder]
            server = subprocess.Popen(command, pass_fds=[handed], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            assert server.stdout.readline() == b"ready\n"
            yield f"127.0.0.1:{port}"
        finally:
            server.stdin.close()
            server.wait(30)
            server.stdout.close()


def loopback() -> None:
    """Switch on the loopback of a new network, which is all it has."""
    import fcntl

    with socket.socket() as any_socket:
        _, flags = struct.unpack("16sh22x", fcntl.ioctl(any_socket, 0x8913, struct.pack("16sh22x", b"lo", 0)))  # SIOCGIFFLAGS
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh22x", b"lo", flags | 1))  # SIOCSIFFLAGS, IFF_UP


async def hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def between(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(asyncio.CancelledError):  # at the end
        its_reader, its_writer = await asyncio.open_connection("127.0.0.1", PORT)
        await asyncio.gather(hand_on(reader, its_writer), hand_on(its_reader, writer))


async def serve(handed: int) -> None:
    await asyncio.start_server(between, sock=socket.socket(fileno=handed))
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)


def main(handed: str, folder: str) -> None:
    from milvus import MilvusServer, MilvusServerConfig

    loopback()
    server = MilvusServer(MilvusServerConfig(data_dir=folder, proxy_port=PORT))
    server.start()
    try:
        asyncio.run(serve(int(handed)))
    finally:
        server.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
