const UNITS = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** Bytes for people, in IEC units with one decimal: `1023 B`, `1.0 KiB`, `3.4 MiB`. Fractions of a byte are rounded. */
export function formatBytes(bytes: number): string {
  if (Math.round(bytes) < 1024) return `${Math.round(bytes)} B`;
  let size = bytes / 1024;
  let unit = 0;
  // 1023.95 would be printed as 1024.0.
  while (size >= 1023.95 && unit < UNITS.length - 1) {
    size /= 1024;
    unit++;
  }
  return `${size.toFixed(1)} ${UNITS[unit]}`;
}
