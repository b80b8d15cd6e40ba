import {expect, it} from 'vitest';
import {formatBytes} from '../../src/report/words.ts';

it.each([
  [0, '0 B'],
  [1, '1 B'],
  [1023, '1023 B'],
  [1023.7, '1.0 KiB'],
  [1024, '1.0 KiB'],
  [1536, '1.5 KiB'],
  [1024 ** 2 - 1, '1.0 MiB'],
  [3.4 * 1024 ** 2, '3.4 MiB'],
  [1024 ** 3, '1.0 GiB'],
  [40 * 1024 ** 3, '40.0 GiB'],
  [5 * 1024 ** 4, '5.0 TiB'],
  [5000 * 1024 ** 5, '5000.0 PiB'],
])('formats %d bytes', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});
