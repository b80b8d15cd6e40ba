import {GROUP, testKilledRuns} from './kill-matrix.ts';

const options = {...GROUP.options, donor: 'project', freeze: true} as const;

testKilledRuns('the move of a group', {...GROUP, options, killed: 'apply'});

testKilledRuns('the way back of a group', {
  ...GROUP,
  options: {...options, mode: 'metadata-db'},
  killed: 'rollback',
});
