"""For who runs the server."""

from typing import Any
from urllib.parse import quote

from streamforge.client.answers import AuditPage, Readiness
from streamforge.client.errors import ServerUnreachable
from streamforge.client.methods import Methods
from streamforge.client.transport import body_of, present, refuse_errors
from streamforge.contracts.worker_view import WorkerView


class OperationMethods(Methods):
    async def queue(self) -> dict[str, Any]:
        """How much there is to do, as `GET /queue/stats` says it."""
        return await self._object("/queue/stats")

    async def workers(self) -> list[WorkerView]:
        answer = await self._ask("GET", "/workers")
        return [WorkerView.model_validate(worker) for worker in answer.json()["workers"]]

    async def drain(self, worker: str) -> WorkerView:
        """Have a worker stop."""
        answer = await self._ask("POST", f"/workers/{quote(worker, safe='@')}/drain")
        return WorkerView.model_validate_json(answer.content)

    async def usage(self, *, owner: str | None = None) -> dict[str, Any]:
        """What was used of the limits by whoever asks; administrators may name another."""
        return await self._object("/usage", owner=owner)

    async def audit(self, /, *, cursor: str | None = None, limit: int = 50, **filters: str) -> AuditPage:
        """A page of what administrators did and what was refused, the newest first."""
        params = present(limit=limit, cursor=cursor, **filters)
        return AuditPage.model_validate_json((await self._ask("GET", "/audit", params=params)).content)

    async def health(self) -> dict[str, Any]:
        """That the process lives, and its version."""
        return await self._object("/health")

    async def ready(self) -> Readiness:
        """Whether everything is well that the server needs, or what is not."""
        response = await self._transport.answer("GET", "/ready")
        match body_of(response):
            case {"checks": _} as told:
                return Readiness.model_validate(told)
        await refuse_errors(response)
        raise ServerUnreachable(f"What answers at {self._transport.url} is no StreamForge.")

    async def metrics(self) -> str:
        """In the text format of Prometheus."""
        return (await self._ask("GET", "/metrics")).text

    async def index(self) -> dict[str, Any]:
        """Every address, and what it does."""
        return await self._object("/")

    async def openapi(self) -> dict[str, Any]:
        """The description of the API in OpenAPI 3.1."""
        return await self._object("/openapi.json")

    async def documentation(self) -> str:
        """The same as a page for people."""
        return (await self._ask("GET", "/docs")).text

    async def _object(self, path: str, **parameters: object) -> dict[str, Any]:
        return dict((await self._ask("GET", path, params=present(**parameters))).json())
