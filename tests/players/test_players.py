import dataclasses

import pytest
from player import KINDS, player_page

pytestmark = pytest.mark.asyncio(loop_scope="session")

@pytest.mark.parametrize("stream", ["four chunks with sound", "variable frame rate", "two languages", "no sound", "AV1"])
@pytest.mark.parametrize("player", KINDS)
async def test_explore(browser, players_site, api, streams, player, stream):
    import time
    s = await streams.get(stream)
    kind = KINDS[player]
    t=time.time()
    async with player_page(browser, players_site) as p:
        import asyncio
        try:
            await asyncio.wait_for(p.open(kind, api.url + s.path(kind.manifest)), 15)
            await asyncio.wait_for(p.play_to_end(8), 20)
        except Exception as e:
            print(player, stream, "FAILED", repr(e)[:300])
        r = await p.report()
        d = dataclasses.asdict(r)
        print(player, "|", stream, f"{time.time()-t:.1f}s src={s.source.duration}", d)
