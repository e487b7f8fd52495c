import { createRoot } from "react-dom/client";
import "../shared/base.css";
import { Session } from "../shared/session";
import { Console } from "./Console";
import "./console.css";

createRoot(document.getElementById("root")!).render(<Session page="console">{(who, signOut) => <Console who={who} signOut={signOut} />}</Session>);
