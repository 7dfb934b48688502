// Uses the types that openapi-typescript makes of our documents, with openapi-fetch:
// `node generated.js EDGE VIEW AGENT-TOKEN READER-TOKEN`. Prints what it saw as one JSON object.
import createClient from "openapi-fetch";
import type { components, paths as EdgePaths } from "./edge.js";
import type { paths as ViewPaths } from "./view.js";

const [edgeUrl, viewUrl, agent, reader] = process.argv.slice(2);
const edge = createClient<EdgePaths>({ baseUrl: edgeUrl, headers: { "X-Auth-Token": agent } });
const view = createClient<ViewPaths>({ baseUrl: viewUrl, headers: { "X-Auth-Token": reader } });

const report: components["schemas"]["ProgressReport"] = {
  subtask_name: "MIGRATE_LINUX_FILE", progress: 42, replicatesize: 1_000, totalsize: 100_000, process_trace: "copying",
};
const task = (task_id: string) => ({ params: { path: { task_id } } });
const progress = "/v3/tasks/{task_id}/progress";
const ready = await edge.GET("/readyz");
const reported = await edge.PUT(progress, { ...task("from generated/TypeScript"), body: report, parseAs: "text" });
const relayed = await edge.POST("/v3/progress", {
  body: [{ task_id: "relayed", ...report }, { task_id: "relayed", ...report }],
});
const refused = await edge.PUT(progress, { ...task("too far"), body: { ...report, progress: 101 } });
const listed = await view.GET("/tasks", { params: { query: { health: ["OK", "SLOW"] } } });
const shown = await view.GET("/tasks/{task_id}", task("with space ü"));
const fleet = await view.GET("/fleet");
const vendors = await view.GET("/v3/tasks");
const vendor = await view.GET("/v3/tasks/{task_id}", task("with space ü"));
const missing = await view.GET("/tasks/{task_id}", task("nobody"));

const number: number | undefined = shown.data?.progress;
console.log(JSON.stringify({
  ready: ready.data?.status,
  report: [reported.response.status, reported.response.headers.has("X-Event-Id")],
  relayed: relayed.data?.map((each) => each.status),
  refused: [refused.error?.error_code, refused.error?.errors?.[0]?.field],
  listed: listed.data?.tasks.map((each) => [each.task_id, each.health]),
  shown: [shown.data?.task_id, number, shown.data?.subtasks.map((each) => each.subtask_name)],
  fleet: fleet.data?.tasks,
  vendors: vendors.data?.tasks.map((each) => [each.id, each.state, each.sub_tasks.length]),
  vendor: vendor.data?.sub_tasks[0]?.progress,
  missing: missing.error?.status,
}));
