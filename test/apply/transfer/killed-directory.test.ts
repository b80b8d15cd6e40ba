import {testKilledRuns} from './killed.ts';

testKilledRuns('directory');
