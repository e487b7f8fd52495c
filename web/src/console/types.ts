import type { Scope } from "../shared/gateway";

// What the gateway's JSON API answers: docs in docs/browser.md and /_partway/openapi.json.

export type Page<T> = { items: T[]; next_cursor: string };

export type Progress = { parts_landed: number; bytes_landed: number; parts_granted: number; bytes_granted: number; granted_until?: string };

export type Upload = {
  id: string;
  tenant: string;
  subject: string;
  bucket: string;
  key: string;
  state: "open" | "paused" | "completing" | "completed" | "aborting" | "aborted" | "superseded" | "unknown";
  created_at: string;
  updated_at: string;
  expires_at: string;
  bytes: number;
  parts: number;
  etag?: string;
  checksum_algorithm?: string;
  result_code?: string;
  stalled?: boolean;
  progress?: Progress;
};

export type Part = { part_number: number; bytes_declared: number; road: string; until?: string; landed?: { bytes: number } };

export type Event = {
  id: string;
  time: string;
  tenant: string;
  subject: string;
  operation: string;
  bucket: string;
  key: string;
  part_number?: number;
  bytes_declared?: number;
  bytes?: number;
  parts?: number;
  road: string;
  reason?: string;
  outcome: string;
  status: number;
  duration_ms: number;
  client_address: string;
  user_agent?: string;
};

export type Token = {
  id: string;
  class: string;
  tenant: string;
  subject: string;
  operator: boolean;
  scope: Scope[];
  issued_by: string;
  created_at: string;
  expires_at: string;
  revoked_at?: string;
};

export type Standing = "open" | "stalled" | "completed" | "failed" | "aborted";

/** What people want to know of an upload. The gateway says which are stalled: under way, and 15 minutes without anything in the audit trail. */
export function standing(u: Upload): Standing {
  switch (u.state) {
    case "completed":
      return "completed";
    case "aborted":
    case "aborting":
      return "aborted";
    case "superseded":
    case "unknown":
      return "failed";
  }
  return u.stalled ? "stalled" : "open";
}

export const underWay = "open,paused,completing";
