import {describe, expect, test} from 'vitest';
import type {ErrorCode} from '../../src/model/error-codes.ts';
import {sendJson} from '../support/http-server.ts';
import {CALL, projectJson, scripted} from './client.ts';

const TAGS = 'tags are present in its container registry';
const DRY_RUN = 'Cannot rename project, the container registry path rename validation failed';

describe('a refused transfer is recognized by its message', () => {
  test.each<[string, ErrorCode]>([
    [`Project cannot be transferred because ${TAGS}`, 'TRANSFER_TAGS_PRESENT'],
    [`Project cannot be transferred, because ${TAGS}`, 'TRANSFER_TAGS_PRESENT'],
    [`Project cannot be transferred, because image ${TAGS}`, 'TRANSFER_TAGS_PRESENT'],
    [
      `Project cannot be transferred to a different top-level namespace, because image ${TAGS}`,
      'TRANSFER_TAGS_PRESENT',
    ],
    [
      'Project cannot be transferred because of a container registry error: Bad Request',
      'REGISTRY_RENAME_UNSUPPORTED',
    ],
    [
      'Project cannot be transferred because of a container registry error: Name Taken',
      'NAME_TAKEN',
    ],
    ['Project with same name or path in target namespace already exists', 'NAME_TAKEN'],
    ["You don't have permission to transfer this project.", 'TRANSFER_FORBIDDEN'],
    ["You don't have permission to transfer projects into that namespace.", 'TRANSFER_FORBIDDEN'],
    [
      "Root namespace can't be updated if the project has NPM packages scoped to the current root level namespace.",
      'TRANSFER_PACKAGES_PRESENT',
    ],
    ['Something that no version ever said', 'GITLAB_REFUSED'],
  ])('%s', async (words, code) => {
    for (const wrapped of [`{:new_namespace=>["${words}"]}`, `{new_namespace: ["${words}"]}`]) {
      await using rig = await scripted(({method}, response) => {
        if (method === 'GET') return sendJson(response, 200, projectJson('a/b/c'));
        sendJson(response, 400, {message: `Failed to transfer project ${wrapped}`});
      });
      await expect(rig.gitlab.projects.transfer(9, 77, CALL)).rejects.toMatchObject({
        code,
        side: 'gitlab',
        status: 400,
        message: expect.stringContaining(words) as string,
      });
      expect(rig.server.requests.filter(({method}) => method === 'PUT')).toHaveLength(1);
    }
  });
});

describe('a refused change is recognised in every form', () => {
  test.each<[object | string, number, ErrorCode]>([
    [
      {
        message: {
          base: [
            'Cannot update the path because there are projects under this group that contain Docker images in their Container Registry. Please remove the images from your projects first and try again.',
          ],
        },
      },
      400,
      'TRANSFER_REPOSITORIES_PRESENT',
    ],
    [
      {
        message:
          'Transfer failed: Cannot transfer group because there are projects in this group that contain Docker images in their Container Registry.',
      },
      400,
      'TRANSFER_REPOSITORIES_PRESENT',
    ],
    [
      {
        message:
          'Namespace build (4) cannot be moved because at least one project (e.g. P (7)) has tags in container registry',
      },
      400,
      'TRANSFER_TAGS_PRESENT',
    ],
    [
      {
        message:
          'Namespace cannot be moved, because at least one project has tags in container registry',
      },
      400,
      'TRANSFER_TAGS_PRESENT',
    ],
    [{message: `${DRY_RUN}: Name Taken`}, 400, 'NAME_TAKEN'],
    [{message: `${DRY_RUN}: Rename Not Supported`}, 400, 'REGISTRY_RENAME_UNSUPPORTED'],
    [
      {message: 'Cannot rename project because it contains container registry tags!'},
      400,
      'TRANSFER_TAGS_PRESENT',
    ],
    [{message: {path: ['has already been taken']}}, 400, 'NAME_TAKEN'],
    [{message: {path: ['wikis is a reserved name']}}, 400, 'NAME_RESERVED'],
    [
      {
        error: 'insufficient_scope',
        error_description: 'The request requires higher privileges',
        scope: 'api',
      },
      403,
      'TOKEN_SCOPE_MISSING',
    ],
    [{message: '403 Forbidden'}, 403, 'TRANSFER_FORBIDDEN'],
    [
      {message: '403 Forbidden - Deleting protected container repository forbidden.'},
      403,
      'PROTECTED',
    ],
    [
      {
        message: {
          username: ['cannot be changed if a personal project has container registry tags.'],
        },
      },
      400,
      'TRANSFER_TAGS_PRESENT',
    ],
    [
      {message: 'This request has already been made. You can run this at most once an hour'},
      400,
      'RATE_LIMITED',
    ],
    [{message: "Transfer failed: You don't have enough permissions."}, 400, 'TRANSFER_FORBIDDEN'],
    [{message: '401 Unauthorized'}, 401, 'UNAUTHORIZED'],
    [{message: '404 Group Not Found'}, 404, 'GROUP_NOT_FOUND'],
    ['Retry later\n', 429, 'RATE_LIMITED'],
    ['<html><title>502 Bad Gateway</title></html>', 503, 'GITLAB_UNAVAILABLE'],
    ['<!DOCTYPE html><title>Welcome</title>', 404, 'NOT_GITLAB'],
  ])('%j', async (body, status, code) => {
    await using rig = await scripted(({method}, response) => {
      if (method === 'GET') {
        return sendJson(response, 200, {
          id: 4,
          name: 'b',
          path: 'b',
          full_path: 'a/b',
          parent_id: 1,
        });
      }
      // A pause longer than the client waits for.
      const headers = status === 429 ? {'retry-after': '3600'} : {};
      if (typeof body !== 'string') return sendJson(response, status, body, headers);
      response.writeHead(status, {'content-type': 'text/plain', ...headers}).end(body);
    });
    await expect(rig.gitlab.groups.transfer(4, 8, CALL)).rejects.toMatchObject({code, status});
  });
});

test('a protected tag is distinguished from a missing permission', async () => {
  const answers = ['403 Forbidden - cannot delete protected tag(s)', '403 Forbidden'];
  await using rig = await scripted((_request, response) =>
    sendJson(response, 403, {message: answers.shift()}),
  );
  const remove = () => rig.gitlab.repositories.deleteTag({id: 1, projectId: 9}, 'v1', CALL);
  await expect(remove()).rejects.toMatchObject({code: 'PROTECTED'});
  await expect(remove()).rejects.toMatchObject({code: 'FORBIDDEN'});
});
