import {expect, test} from 'vitest';
import {TransshipError} from '../../src/model/error.ts';
import {parseNameList} from '../../src/discovery/name-list.ts';

const parse = (text: string, prefix = '') =>
  parseNameList(text, 'list.txt', 'registry.example', prefix).map(({repository}) => repository);

test('a list has a repository on each line, with its host or without, and comments', () => {
  const text = `# what to move
team/app
registry.example/team/tool   # with the host
docker://registry.example/team/tool\r

  team/deep/er
team/app
`;
  expect(parse(text)).toEqual(['team/app', 'team/tool', 'team/deep/er']);
});

test('all invalid lines are reported together', () => {
  const text = 'team/app:v1\nteam/ok\nother.example/team/app\nTeam/app\nelse/where\n';
  const failing = () => parse(text, 'team');
  expect(failing).toThrow(TransshipError);
  const wrong = [
    [1, '"team/app:v1" is not the name of a repository'],
    [3, '"other.example/team/app" is not below team'],
    [4, '"Team/app" is not the name of a repository'],
    [5, '"else/where" is not below team'],
  ] as const;
  expect(failing).toThrow(
    expect.objectContaining({
      message: 'list.txt has 4 invalid lines',
      problems: wrong.map(([line, message]) => ({file: 'list.txt', line, column: 1, message})),
    }),
  );
});
