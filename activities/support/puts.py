"""Puts that find their own work: the bytes arrived, the answer was lost, and what is tried again is there already."""

import asyncio
from pathlib import Path

from streamforge.storage import AlreadyThere, Storage


async def put_file(storage: Storage, name: str, path: Path, *, replace: bool = True) -> None:
    """Without `replace` it raises AlreadyThere where there are other bytes; the same ones are as good as put."""
    try:
        await storage.put_file(name, path, replace=replace)
    except AlreadyThere:
        if not await _holds(storage, name, await asyncio.to_thread(path.read_bytes)):
            raise


async def put_bytes(storage: Storage, name: str, data: bytes, *, replace: bool = True) -> None:
    """As put_file."""
    try:
        await storage.put_bytes(name, data, replace=replace)
    except AlreadyThere:
        if not await _holds(storage, name, data):
            raise


async def _holds(storage: Storage, name: str, data: bytes) -> bool:
    found = await storage.stat(name)
    return found is not None and found.size_bytes == len(data) and await storage.get_bytes(name) == data
