import { CRC64 } from "../shared/crc64";

// Reads a slice of a file piece by piece: however large a part is, this holds little of it.
addEventListener("message", async (event: MessageEvent<{ id: number; slice: Blob }>) => {
  const { id, slice } = event.data;
  try {
    const crc = new CRC64();
    const reader = slice.stream().getReader();
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) crc.update(piece.value);
    postMessage({ id, checksum: crc.digest() });
  } catch (error) {
    postMessage({ id, error: error instanceof Error ? error.name : "Error" });
  }
});
