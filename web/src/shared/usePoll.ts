import { useCallback, useEffect, useRef, useState } from "react";

export type Polled<T> = { data: T | null; error: unknown; at: number; again: () => void };

/** Asks now, on every change of `key`, and every `ms` while the page is looked at. What was asked before a change of key is dropped. */
export function usePoll<T>(ask: (signal: AbortSignal) => Promise<T>, key: string, ms: number): Polled<T> {
  const [state, setState] = useState<{ key: string; data: T | null; error: unknown; at: number }>({ key, data: null, error: null, at: 0 });
  const [turn, setTurn] = useState(0);
  const latest = useRef(ask);
  latest.current = ask;
  useEffect(() => {
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    const round = async (): Promise<void> => {
      if (!document.hidden) {
        try {
          const data = await latest.current(stop.signal);
          if (!stop.signal.aborted) setState({ key, data, error: null, at: Date.now() });
        } catch (error) {
          if (!stop.signal.aborted) setState((s) => ({ key, data: s.key === key ? s.data : null, error, at: s.at }));
        }
      }
      if (!stop.signal.aborted) timer = setTimeout(() => void round(), ms);
    };
    void round();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [key, ms, turn]);
  const again = useCallback(() => setTurn((t) => t + 1), []);
  return { data: state.key === key ? state.data : null, error: state.error, at: state.at, again };
}
