const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  K: 2 ** 10,
  KiB: 2 ** 10,
  M: 2 ** 20,
  MiB: 2 ** 20,
  G: 2 ** 30,
  GiB: 2 ** 30,
  T: 2 ** 40,
  TiB: 2 ** 40,
};

/** Parses a size such as `32MiB`; units are powers of 1024, and none means bytes. Undefined: not a size, or zero. */
export function parseByteSize(text: string): number | undefined {
  const match = /^(\d{1,15})(|[KMGT]|[KMGT]iB)$/.exec(text);
  const bytes = Number(match?.[1]) * (UNITS[match?.[2] ?? ''] ?? Number.NaN);
  return Number.isSafeInteger(bytes) && bytes > 0 ? bytes : undefined;
}
