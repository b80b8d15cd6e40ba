import {availableParallelism} from 'node:os';
import {defineConfig} from 'vitest/config';

/** Tests of timers that libraries hold in their modules: each of these files needs modules of its own. */
const ISOLATED = ['test/http/client-timeouts.test.ts'];

/** What any registry has to pass; with TRANSSHIP_TEST_REGISTRY nothing else runs, and against that registry. */
const OF_REGISTRIES = ['test/places/every-place.test.ts', 'test/registry/any-registry.test.ts'];
const isOfRegistry = Boolean(process.env['TRANSSHIP_TEST_REGISTRY']);

export default defineConfig({
  test: {
    globalSetup: ['test/setup/tools.ts', 'test/setup/build.ts'],
    sequence: {shuffle: true},
    // Many tests wait for a process or a timeout, so that a worker for each core leaves some of it idle. As a number: of
    // a percentage Vitest takes no more than the cores.
    maxWorkers: Math.ceil(availableParallelism() * 1.5),
    // Of what tests allocate, little lives long. With V8's own size of the young generation (it begins with 1 MiB, and has
    // 16 at most), collecting it takes a sixth of the CPU time of the whole run.
    execArgv: ['--min-semi-space-size=32', '--max-semi-space-size=32'],
    testTimeout: 60_000,
    hookTimeout: 180_000,
    projects: [
      {
        extends: true,
        // Loading the modules anew for each file takes a third of the time of the whole run.
        test: {
          name: 'shared',
          include: isOfRegistry ? OF_REGISTRIES : ['test/**/*.test.ts'],
          exclude: ISOLATED,
          isolate: false,
        },
      },
      ...(isOfRegistry
        ? []
        : [{extends: true as const, test: {name: 'isolated', include: ISOLATED}}]),
    ],
  },
});
