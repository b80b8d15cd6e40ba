/**
 * The rows of the table `media_types` of GitLab's registry (GitLab container registry: docs/supported-media-types.md,
 * registry/datastore/migrations), grouped by prefix. Misspellings are those of the table.
 */
const ROWS: Readonly<Record<string, string>> = {
  '': 'application/json application/octet-stream application/x-yaml binary/octet-stream',
  'text/': 'spdx spdx+json spdx+xml',
  'application/': 'sap-cnudie+tar spdx+json tar+gzip',
  '/application/vnd.acme.': 'rocket.config',
  'appliciation/vnd.sylabs.': 'sif.layer.tar',
  'application/vnd.acme.rocket.': 'config docs.layer.v1+tar',
  'application/vnd.ansible.': 'collection',
  'application/vnd.aquasec.trivy.': 'config.v1+json db.layer.v1.tar+gzip',
  'application/vnd.buildkit.': 'cacheconfig.v0',
  'application/vnd.cnab.': 'bundle.config.v1+json config.v1+json',
  'application/vnd.cncf.artifacthub.': 'config.v1+yaml repository-metadata.layer.v1.yaml',
  'application/vnd.cncf.falco.plugin.': 'config.v1+json layer.v1+tar.gz',
  'application/vnd.cncf.falco.rulesfile.': 'config.v1+json layer.v1+tar.gz',
  'application/vnd.cncf.flux.': 'config.v1+json content.v1.tar+gzip',
  'application/vnd.cncf.helm.': 'config.v1+json',
  'application/vnd.cncf.helm.chart.':
    'content.layer.v1+tar content.v1.tar+gzip meta.layer.v1+json provenance.v1.prov',
  'application/vnd.cncf.openpolicyagent.':
    'config.v1+json data.layer.v1+json manifest.layer.v1+json policy.layer.v1+rego',
  'application/vnd.cue.': 'module.v1+json modulefile.v1',
  'application/vnd.cyclonedx': ' +json +xml',
  'application/vnd.dev.cosign.': 'artifact.sbom.v1+json artifact.sig.v1+json simplesigning.v1+json',
  'application/vnd.dev.sigstore.': 'bundle.v0.3+json',
  'application/vnd.devcontainers': ' .layer.v1+tar',
  'application/vnd.docker.': 'attestation.manifest.v1+json plugin.v1+json',
  'application/vnd.docker.compose.': 'config.empty.v1+json envfile file+yaml project',
  'application/vnd.docker.container.image.': 'rootfs.diff+x-gtar v1+json',
  'application/vnd.docker.distribution.manifest.': 'list.v2+json v1+json v1+prettyjws v2+json',
  'application/vnd.docker.image.rootfs.': 'diff.tar diff.tar.gzip foreign.diff.tar.gzip',
  'application/vnd.dsse.': 'envelope.v1+json',
  'application/vnd.gardener.cloud.cnudie.':
    'component-descriptor.v2+json component-descriptor.v2+yaml+tar component.config.v1+json',
  'application/vnd.gardener.landscaper.': 'blueprint.v1+tar+gzip componentdefinition.v1+json',
  'application/vnd.gitlab.packages.': 'npm.config.v2+json',
  'application/vnd.': 'in-toto+json spack.package syft+json unknown.config.v1+json',
  'application/vnd.module.wasm.': 'config.v1+json content.layer.v1+wasm',
  'application/vnd.oci.': 'empty.v1+json',
  'application/vnd.oci.image.': 'config.v1+json index.v1+json manifest.v1+json',
  'application/vnd.oci.image.layer.v1.': 'tar tar+encrypted tar+gzip tar+gzip+encrypted tar+zstd',
  'application/vnd.oci.image.layer.nondistributable.v1.': 'tar tar+gzip',
  'application/vnd.opentofu.': 'modulepkg provider provider-target',
  'application/vnd.oras.': 'config.v1+json',
  'application/vnd.sylabs.sif.': 'config.v1 config.v1+json layer.v1.sif',
  'application/vnd.timoni.': 'config.v1+json content.v1.tar+gzip',
  'application/vnd.vivsoft.': 'enbuild.config.v1+json',
  'application/vnd.wasm.': 'config.v1+json content.layer.v1+wasm',
  'application/vnd.zarf.': 'config.v1+json layer.v1.blob',
};

const MEDIA_TYPES: ReadonlySet<string> = new Set([
  ...Object.entries(ROWS).flatMap(([start, ends]) => ends.split(' ').map((end) => start + end)),
  'text/html; charset=utf-8',
  'text/plain; charset=utf-8',
]);

/** Whether the registry accepts configs and artifacts of this type; it does not check the types of layers. */
export function isKnownMediaType(mediaType: string): boolean {
  return MEDIA_TYPES.has(mediaType);
}
