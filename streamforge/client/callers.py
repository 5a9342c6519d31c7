"""Who asks, and what opens addresses without a key."""

from streamforge.client.answers import Caller, Ticket
from streamforge.client.methods import Methods


class CallerMethods(Methods):
    async def who_am_i(self) -> Caller:
        return Caller.model_validate_json((await self._ask("GET", "/session")).content)

    async def ticket(self, path: str) -> Ticket:
        """For something that can send no header, such as a player: `path` with a ticket that opens it, for a minute and once."""
        return Ticket.model_validate_json((await self._ask("POST", "/tickets", json={"path": path})).content)

    async def sign_in(self) -> Caller:
        """Begin a session. Its cookie is kept by this client, beside the key."""
        return Caller.model_validate_json((await self._ask("POST", "/session")).content)

    async def sign_out(self) -> None:
        """End it, also one that was over."""
        await self._ask("DELETE", "/session")
        self._transport.http.cookies.clear()
