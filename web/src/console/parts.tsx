import { Fragment, type ReactNode } from "react";
import { sentence } from "../shared/failure";
import type { Standing } from "./types";

export function Pill({ standing }: { standing: Standing }): ReactNode {
  return <span className={"pill " + standing}>{standing}</span>;
}

export function Problem({ error }: { error: unknown }): ReactNode {
  return error ? (
    <p className="problem" role="alert">
      {sentence(error)}
    </p>
  ) : null;
}

export function Empty({ children }: { children: ReactNode }): ReactNode {
  return <p className="empty quiet">{children}</p>;
}

/** Bucket and folders quiet, the name itself not. A long one is broken behind its slashes. */
export function Key({ bucket, path }: { bucket: string; path: string }): ReactNode {
  const segments = [bucket, ...path.split("/")];
  const name = segments.pop();
  return (
    <span className="key">
      <span className="quiet">
        {segments.map((segment, i) => (
          <Fragment key={i}>
            {segment}/<wbr />
          </Fragment>
        ))}
      </span>
      {name}
    </span>
  );
}
