import { createRoot } from "react-dom/client";
import "../shared/base.css";
import { Session } from "../shared/session";

createRoot(document.getElementById("root")!).render(<Session page="console">{(who) => <p>{who.tenant}</p>}</Session>);
