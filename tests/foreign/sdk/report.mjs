// Reports the progress of a task with the core of the official Node.js SDK: `node report.mjs URL AK SK PROJECT TASK`.
// It prints the status, or that of the refusal.
import { BasicCredentials } from "@huaweicloud/huaweicloud-sdk-core/auth/BasicCredentials.js";
import { ClientBuilder } from "@huaweicloud/huaweicloud-sdk-core/ClientBuilder.js";

const [url, ak, sk, project, task] = process.argv.slice(2);
const credentials = new BasicCredentials().withAk(ak).withSk(sk).withProjectId(project);
const client = new ClientBuilder((each) => each, "BasicCredentials")
  .withCredential(credentials).withEndpoint(url).build();
const body = { subtask_name: "SYNC_LINUX_FILE", progress: 10, replicatesize: 1, totalsize: 2, process_trace: "é" };
const options = {
  url: "/v3/tasks/{task_id}/progress", method: "PUT", contentType: "application/json",
  queryParams: {}, pathParams: { task_id: task }, headers: {}, data: body,
};
try {
  const response = await client.sendRequest(options);
  console.log(response.httpStatusCode);
} catch (error) {
  console.log(error.httpStatusCode ?? error.message);
}
