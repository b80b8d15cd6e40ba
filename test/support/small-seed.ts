import {parseSeed} from '../../src/sandbox/gitlab/seed.ts';

/** A GitLab with the project `acme/app` of `ada`, whose password is `ada-password`. */
export const SMALL_SEED = parseSeed({
  users: [
    {name: 'root', admin: true},
    {name: 'ada', password: 'ada-password'},
  ],
  groups: [{path: 'acme', members: {ada: 'owner'}}],
  projects: [{path: 'acme/app'}],
});
