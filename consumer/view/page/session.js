// The session of a browser in which somebody signed in with the provider of the view. Its cookie is not for scripts.

import { fetchJson, sendJson } from "./api.js";

// {provider: {name} or null, session: {name, project_id, roles, expires_at_ms} or null}
export function readSession() {
  return fetchJson("session");
}

export function endSession() {
  return sendJson("DELETE", "session", {}, null);
}

// Leaves the page for the provider, which sends the browser back to this list or task.
export function signInWithProvider() {
  location.assign(`oidc/start?${new URLSearchParams({ to: location.search })}`);
}
