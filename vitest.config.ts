import {defineConfig} from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/setup/tools.ts'],
    sequence: {shuffle: true},
    testTimeout: 60_000,
    hookTimeout: 180_000,
  },
});
