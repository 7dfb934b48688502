// Follows a stream with the npm package eventsource, which reconnects by the WHATWG standard, and prints each event as a
// line of JSON: name, data, id. `node follow.mjs URL TOKEN`, in a folder that has the package.
import { EventSource } from "eventsource";

const [url, token] = process.argv.slice(2);
const withToken = (address, options) => fetch(address, { ...options, headers: { ...options.headers, "X-Auth-Token": token } });
const source = new EventSource(url, { fetch: withToken });
const print = (event) => console.log(JSON.stringify([event.type, event.data ?? "", event.lastEventId ?? ""]));
for (const name of ["message", "beat", "reset", "task", "left"]) source.addEventListener(name, print);
source.addEventListener("error", () => {
  console.log(JSON.stringify(["lost", source.readyState === EventSource.CLOSED ? "for good" : "", ""]));
});
