"""What every answer tells a client of tus, refusals among them."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streamforge.api.resumable.protocol import VERSION
from streamforge.errors import UnsupportedTusVersion


class SpeaksTus:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_version(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Tus-Resumable"] = VERSION
                if message["status"] == UnsupportedTusVersion.http_status:
                    headers["Tus-Version"] = VERSION
            await send(message)

        await self.app(scope, receive, send_with_version)
