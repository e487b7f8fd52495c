import { Failure } from "./failure";

// Calls of the gateway's JSON API. The token goes into a header and nowhere else.

export const base = import.meta.env.BASE_URL; // "/_partway/"

let token: string | null = null;
export const setToken = (t: string | null): void => {
  token = t;
};

type Options = { query?: Record<string, string | number | undefined>; body?: unknown; signal?: AbortSignal; token?: string };

/** One call; its JSON. A refusal is thrown as Failure, and so is a network that is not there. */
export async function call<T>(method: string, path: string, options: Options = {}): Promise<T> {
  const response = await send(method, base + path + queryOf(options.query), options);
  const text = await response.text();
  let answer: unknown;
  try {
    answer = text ? JSON.parse(text) : {};
  } catch {
    throw new Failure("InternalError", `The answer is no JSON (status ${response.status}).`, response.status);
  }
  const refused = answer as { code?: string; message?: string; request_id?: string; error?: unknown };
  if (!response.ok || refused.error) {
    throw new Failure(refused.code ?? "InternalError", refused.message ?? `Status ${response.status}.`, response.status, refused.request_id,
      Number(response.headers.get("retry-after")) || 0);
  }
  return answer as T;
}

/** The status of an object: 200, 404, or 403 where the token may not look. */
export async function statusOf(bucket: string, key: string, signal?: AbortSignal): Promise<number> {
  const path = key.split("/").map(encodeURIComponent).join("/");
  return (await send("HEAD", `/${bucket}/${path}`, { signal })).status;
}

async function send(method: string, url: string, options: Options): Promise<Response> {
  const headers: Record<string, string> = {};
  const bearer = options.token ?? token;
  if (bearer) headers.Authorization = `Bearer ${bearer}`;
  if (options.body !== undefined) headers["Content-Type"] = "application/json";
  try {
    return await fetch(url, {
      method,
      headers,
      body: options.body === undefined ? undefined : JSON.stringify(options.body),
      signal: options.signal,
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
    });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Failure("Network", String(error));
  }
}

function queryOf(query: Options["query"]): string {
  const q = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== "") q.set(name, String(value));
  }
  const text = q.toString();
  return text && "?" + text;
}

export type Scope = {
  bucket: string;
  prefix: string;
  actions: string[];
  max_object_bytes?: number;
  max_open_uploads?: number;
  transfer?: string[];
  no_overwrite?: boolean;
};

export type Identity = { token_id: string; tenant: string; subject: string; operator: boolean; expires_at: string; scope: Scope[] };

export const whoAmI = (bearer?: string): Promise<Identity> => call("GET", "whoami", { token: bearer });
