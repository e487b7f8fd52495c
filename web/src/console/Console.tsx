import { useEffect, useRef, useState, type ReactNode } from "react";
import type { Identity } from "../shared/gateway";
import { Header } from "../shared/session";
import { Detail } from "./Detail";
import { Tokens } from "./Tokens";
import { Traffic } from "./Traffic";
import { Uploads } from "./Uploads";

const place = (): string => location.hash.replace(/^#\/?/, "");

/** The console's views, by the address behind the "#". */
export function Console({ who, signOut }: { who: Identity; signOut: () => void }): ReactNode {
  const [at, setAt] = useState(place);
  const main = useRef<HTMLElement>(null);
  const moved = useRef(false);
  useEffect(() => {
    const move = (): void => {
      moved.current = true;
      setAt(place());
    };
    addEventListener("hashchange", move);
    return () => removeEventListener("hashchange", move);
  }, []);
  useEffect(() => {
    if (moved.current) main.current?.focus(); // so that keyboard and screen reader are where the eye is
  }, [at]);

  const [view = "", id = ""] = at.split("/");
  const tabs = [["", "Uploads"], ["traffic", "Traffic"], ...(who.operator ? [["tokens", "Tokens"]] : [])] as [string, string][];
  const current = view === "uploads" ? "" : view;
  return (
    <>
      <Header who={who} page="console" signOut={signOut} />
      <main className="console" ref={main} tabIndex={-1}>
        <nav className="tabs" aria-label="Console">
          {tabs.map(([to, label]) => (
            <a key={to} href={"#/" + to} aria-current={current === to ? "page" : undefined}>
              {label}
            </a>
          ))}
        </nav>
        {view === "uploads" && id ? (
          <Detail key={id} id={decodeURIComponent(id)} who={who} />
        ) : view === "traffic" ? (
          <Traffic who={who} />
        ) : view === "tokens" && who.operator ? (
          <Tokens />
        ) : (
          <Uploads who={who} />
        )}
      </main>
    </>
  );
}
