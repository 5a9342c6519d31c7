// Follows a stream with npm's EventSource, prints each event as a line of JSON, and ends when the server says so.
import { EventSource } from "eventsource";

const events = new EventSource(process.argv[2]);
const tell = (event) => console.log(JSON.stringify({ event: event.type, id: event.lastEventId, data: event.data }));
for (const name of ["status", "progress", "reset"]) events.addEventListener(name, tell);
events.addEventListener("done", (event) => {
  tell(event);
  if (process.argv[3] === "close") events.close();
});
events.addEventListener("error", (event) => {
  console.log(JSON.stringify({ event: "error", code: event.code ?? null, closed: events.readyState === 2 }));
});
