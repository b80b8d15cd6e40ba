import {layoutDirectory} from '../support/fixtures.ts';
import {Content, serveRegistry} from './registry.ts';
import {type Case, expectEnd} from './trial.ts';

const LAYOUT = layoutDirectory('helm');
const ROUTE = `{from: 'oci:${LAYOUT}', to: 'oci:to'}`;
const head = 'version: 1\n';
const aliases = Array.from(
  {length: 9},
  (_, level) => `a${level + 1}: &a${level + 1} [${Array(10).fill(`*a${level}`).join()}]`,
).join('\n');

/** Migration files that somebody else wrote. */
const FILES: Readonly<Record<string, () => string>> = {
  'a billion laughs': () => `${head}a0: &a0 [lol]\n${aliases}\nroutes: *a9\n`,
  'a billion laughs in a route': () =>
    `${head}x: &x {from: a, to: b}\nroutes: [${Array(200_000).fill('*x').join()}]\n`,
  'an anchor within itself': () => `${head}routes: &r [*r, ${ROUTE}]\n`,
  'merge keys': () =>
    `${head}d: &d {from: 'oci:${LAYOUT}'}\nroutes: [{<<: [*d, *d, *d], to: 'oci:to'}]\n`,
  'deep lists': () => `${head}routes: ${'['.repeat(100_000)}`,
  'deep maps': () => `${head}routes: ${'{a: '.repeat(20_000)}`,
  'deep indentation': () =>
    head + Array.from({length: 3000}, (_, level) => `${' '.repeat(level)}a:\n`).join(''),
  'many documents': () => '---\nversion: 1\n'.repeat(100_000),
  'many routes': () => `${head}routes:\n${`- ${ROUTE}\n`.repeat(60_000)}`,
  'many tags': () =>
    `${head}routes: [{from: 'oci:${LAYOUT}', to: 'oci:to', tags: {include: [${Array.from({length: 300_000}, (_, at) => `t${at}`).join()}]}}]\n`,
  // Each of these is as dense as a file may be, or was once.
  'lists in each other': () =>
    `${head}routes: [${Array(40_000).fill('[[[[[[[[]]]]]]]]').join()}]\n`,
  'closing brackets': () => `${head}routes: ${']'.repeat(1_000_000)}\n`,
  'closing brackets that are read': () => `${head}routes: ${']'.repeat(37_900)}\n`,
  'lists that are read': () => `${head}routes: [${'[[[[[[[[[]]]]]]]]],'.repeat(3090)}]\n`,
  'question marks': () => `${head}routes: [${'? '.repeat(500_000)}]\n`,
  'quotes side by side': () => `${head}routes: [${'"a"'.repeat(300_000)}]\n`,
  'escapes of nothing': () => `${head}routes: ["${'\\q'.repeat(500_000)}"]\n`,
  'tags on nothing': () => `${head}routes: [${'!a '.repeat(300_000)}]\n`,
  'dashes in one line': () => `${head}routes:\n${`${'- '.repeat(17)}a\n`.repeat(29_000)}`,
  'as many values as are read': () =>
    `${head}routes: [{from: a.b/c, to: 'oci:to', tags: {include: [${Array.from({length: 37_900}, (_, at) => `tag-number-${at}`).join()}]}}]\n`,
  'a long text': () => `${head}routes: [{from: '${'a'.repeat(3_900_000)}', to: 'oci:to'}]\n`,
  'a tag with a type': () => `${head}routes: !!js/function 'function(){}'\n`,
  'variables in other places': () =>
    `${head}routes: [{from: 'oci:\${SECRET}', to: 'oci:\${HOME}/\${SECRET}'}]\n`,
  'variables by other names': () =>
    `${head}routes: [{from: 'oci:\${NAME:-\${SECRET}}', to: 'oci:$\{$NAME}'}]\n`,
  'expressions that take for ever': () =>
    `${head}routes: [{from: 'oci:${LAYOUT}', to: 'oci:to', tags: {rename: {'(a+)+b': x, '(a|a)*b': y, '.*.*.*.*.*b': z}}}]\n`,
  'globs that take for ever': () =>
    `${head}routes: [{from: 'HOST/**/a*a*a*a*a*a*a*b', to: 'oci:to'}, {from: 'HOST/app', to: 'oci:to2', tags: {include: ['*a*a*a*a*a*a*a*b', '{a*,*a}{a*,*a}{a*,*a}b', '+(a|aa)+(aa|a)*b'], exclude: ['!(a*a*)*a']}}]\n`,
  'ranges that take for ever': () =>
    `${head}routes: [{from: 'HOST/app', to: 'oci:to', tags: {semver: '${'>=1.0.0 <2.0.0 || '.repeat(50_000)}1'}}]\n`,
  'a range of one long version': () =>
    `${head}routes: [{from: 'HOST/app', to: 'oci:to', tags: {semver: '>=1.0.0-${'0.'.repeat(500_000)}'}}]\n`,
  'blanks in a range': () =>
    `${head}routes: [{from: 'HOST/app', to: 'oci:to', tags: {semver: '1.0.0${' '.repeat(500_000)}x'}}]\n`,
  'names of JavaScript': () =>
    `${head}__proto__: {routes: []}\nconstructor: {prototype: {x: 1}}\nroutes: [${ROUTE}]\n`,
  'invisible keys': () => `${head}rou\u200btes: [${ROUTE}]\n"\\u202eevil": 1\n`,
  'half a pair': () => `${head}routes: [{from: "oci:\\ud800", to: "oci:\\u0000"}]\n`,
};

export const migrations: readonly Case[] = Object.entries(FILES).map(([name, make]) => ({
  group: 'migration files',
  name,
  seconds: 60,
  run: async (trial) => {
    const content = new Content();
    const image = content.image([content.layer('layer')]);
    const tags = Object.fromEntries(
      ['a'.repeat(128), `1.0.0-${'a'.repeat(120)}`, '1.0.0'].map((tag) => [tag, image]),
    );
    const registry = trial.use(
      await serveRegistry({content, repositories: {app: tags, ['a'.repeat(200)]: tags}}),
    );
    const secret = trial.secret('variable');
    const file = await trial.plant(trial.path('m.yaml'), make().replaceAll('HOST', registry.host));
    const env = {SECRET: secret, NAME: 'SECRET'};
    for (const more of [
      ['--check'],
      ['--out', 'p.json'],
      ['--out', 'p.json', '--progress', 'json'],
    ])
      expectEnd(await trial.transship(['plan', file, ...more], {env}), [0, 1, 2, 3, 64]);
  },
}));
