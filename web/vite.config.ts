import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// Two pages under /_partway/, with nothing inline: the gateway serves them under a strict Content-Security-Policy.
export default defineConfig({
  base: "/_partway/",
  plugins: [react()],
  worker: { format: "es" },
  build: {
    target: "es2022",
    emptyOutDir: false, // dist holds a file of the repository's
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: { input: ["index.html", "console.html"] },
  },
});
