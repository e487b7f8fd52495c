import { createRoot } from "react-dom/client";
import "../shared/base.css";
import { Session } from "../shared/session";
import { Uploader } from "./Uploader";
import "./uploader.css";

createRoot(document.getElementById("root")!).render(<Session page="upload">{(who, signOut) => <Uploader who={who} signOut={signOut} />}</Session>);
