import {expect, test} from 'vitest';
import {layoutDirectory} from '../../support/fixtures.ts';
import {startRig} from './rig.ts';

test.each(['legacy', 'metadata-db'] as const)(
  'skopeo signs in, lists, copies and deletes: %s',
  async (mode) => {
    await using rig = await startRig({mode});
    const image = `docker://${rig.host}/org/build/app/cr`;
    const login = (secret: string) =>
      rig.skopeo(['list-tags', image], `anybody:${secret}`).then(({code}) => code);
    expect([await login('ada-api'), await login('ada-old'), await login('eve-api')]).toEqual([
      0, 1, 1,
    ]);

    expect(await rig.skopeo(['copy', '--all', `${image}:v2.9.1`, `${image}:v3`])).toMatchObject({
      code: 0,
    });
    const layout = `oci:${layoutDirectory('layered')}:latest`;
    const elsewhere = `docker://${rig.host}/org/build/empty/a/b:v1`;
    const pushed = await rig.skopeo(['copy', '--all', `${image}:v3`, elsewhere]);
    expect(pushed).toMatchObject({code: 0});
    const tooDeep = `docker://${rig.host}/org/build/empty/a/b/c:v1`;
    expect((await rig.skopeo(['copy', layout, tooDeep])).code).toBe(1);

    // skopeo deletes by digest, and so deletes the other tags of the manifest as well.
    expect(await rig.skopeo(['delete', `${image}:v2.9.1`])).toMatchObject({code: 0});
    const {stdout} = await rig.skopeo(['list-tags', image]);
    expect(JSON.parse(stdout)).toMatchObject({Tags: []});
  },
);

test('the registry may have a host of its own', async () => {
  await using rig = await startRig({registryPort: 0});
  expect(rig.url).not.toContain(rig.host);
  const project = await rig.client().Projects.show('org/build/app');
  expect(project['container_registry_image_prefix']).toBe(`${rig.host}/org/build/app`);
  const listed = await rig.skopeo(['list-tags', `docker://${rig.host}/org/build/app/cr`]);
  expect(JSON.parse(listed.stdout)).toMatchObject({Tags: ['v2.9.1']});
  expect((await fetch(`${rig.url}/v2/`)).status).toBe(404);
  expect((await fetch(`http://${rig.host}/api/v4/version`)).status).toBe(404);
});

test('gitbeaker lists the images and tags, and deletes them', async () => {
  await using rig = await startRig();
  const gitlab = rig.client();
  const project = await gitlab.Projects.show('org/build/app');
  expect(project).toMatchObject({
    path_with_namespace: 'org/build/app',
    container_registry_image_prefix: `${rig.host}/org/build/app`,
  });
  const [repository] = await gitlab.ContainerRegistry.allRepositories({
    projectId: project.id,
    tagsCount: true,
  });
  expect(repository).toMatchObject({
    name: 'cr',
    location: `${rig.host}/org/build/app/cr`,
    tags_count: 1,
  });
  const id = repository?.id ?? 0;
  const tags = await gitlab.ContainerRegistry.allTags(project.id, id);
  expect(tags.map(({name}) => name)).toEqual(['v2.9.1']);
  await gitlab.ContainerRegistry.removeTag(project.id, id, 'v2.9.1');
  await expect(gitlab.ContainerRegistry.showTag(project.id, id, 'v2.9.1')).rejects.toThrow(
    '404 Tag Not Found',
  );
  await gitlab.ContainerRegistry.removeRepository(project.id, id);
  await rig.sandbox.settled();
  await expect(gitlab.ContainerRegistry.showRepository(id)).rejects.toThrow('404');
  expect(rig.sandbox.events.events.map(({kind}) => kind)).toEqual([
    'manifest-pushed',
    'tag-deleted',
    'repository-delete-asked',
    'repository-deleted',
  ]);
});

test('gitbeaker can transfer a project only after its tags are deleted', async () => {
  await using rig = await startRig({mode: 'legacy'});
  const gitlab = rig.client();
  const {id} = await gitlab.Projects.show('org/build/app');
  await expect(gitlab.Projects.transfer(id, 'new_org/build')).rejects.toThrow(
    'Project cannot be transferred, because image tags are present in its container registry',
  );
  const [repository] = await gitlab.ContainerRegistry.allRepositories({projectId: id});
  await gitlab.ContainerRegistry.removeTag(id, repository?.id ?? 0, 'v2.9.1');
  await gitlab.Projects.transfer(id, 'new_org/build');
  await gitlab.Projects.edit(id, {path: 'renamed'});
  expect(await gitlab.Projects.show(id)).toMatchObject({
    path_with_namespace: 'new_org/build/renamed',
  });
  const old = 'projects/org%2Fbuild%2Fapp';
  const moved = await rig.api('GET', `${old}/registry/repositories?page=1`);
  const location = `${rig.url}/api/v4/projects/${id}/registry/repositories?page=1`;
  expect([moved.status, moved.headers.get('location')]).toEqual([301, location]);
  expect((await rig.api('PUT', old, {body: {path: 'again'}})).status).toBe(405);
});

test('gitbeaker creates and deletes a donor project', async () => {
  await using rig = await startRig();
  const gitlab = rig.client();
  const namespace = await gitlab.Namespaces.show('new_org/build');
  const donor = await gitlab.Projects.create({path: 'donor', namespaceId: namespace.id});
  expect(donor).toMatchObject({path_with_namespace: 'new_org/build/donor', visibility: 'private'});
  await expect(gitlab.Projects.create({path: 'donor', namespaceId: namespace.id})).rejects.toThrow(
    'has already been taken',
  );
  await gitlab.Projects.remove(donor.id);
  await expect(gitlab.Projects.show(donor.id)).rejects.toThrow('404');
});
