import {defineConfig} from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/setup/tools.ts', 'test/setup/build.ts'],
    sequence: {shuffle: true},
    // The default leaves a core free, which of two is half of them.
    maxWorkers: '100%',
    testTimeout: 60_000,
    hookTimeout: 180_000,
  },
});
