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

/** Reads a size with a unit of 1024 if there is one, such as `32MiB`, in bytes. Undefined: it is none, or it is zero. */
export function parseByteSize(text: string): number | undefined {
  const match = /^(\d{1,15})(|[KMGT]|[KMGT]iB)$/.exec(text);
  const bytes = Number(match?.[1]) * (UNITS[match?.[2] ?? ''] ?? Number.NaN);
  return Number.isSafeInteger(bytes) && bytes > 0 ? bytes : undefined;
}
