import type {SeenManifest} from '../model/manifest.ts';

/**
 * The media types that GitLab's registry accepts with its metadata database: of manifests, of configs and as
 * `artifactType` of images; it does not check those of layers (GitLab container registry:
 * docs/supported-media-types.md, 4.32). Two are misspelt there as well.
 */
const KNOWN = new Set(
  `
/application/vnd.acme.rocket.config
appliciation/vnd.sylabs.sif.layer.tar
application/json
application/octet-stream
application/sap-cnudie+tar
application/spdx+json
application/tar+gzip
application/vnd.acme.rocket.config
application/vnd.acme.rocket.docs.layer.v1+tar
application/vnd.ansible.collection
application/vnd.aquasec.trivy.config.v1+json
application/vnd.aquasec.trivy.db.layer.v1.tar+gzip
application/vnd.buildkit.cacheconfig.v0
application/vnd.cnab.bundle.config.v1+json
application/vnd.cnab.config.v1+json
application/vnd.cncf.artifacthub.config.v1+yaml
application/vnd.cncf.artifacthub.repository-metadata.layer.v1.yaml
application/vnd.cncf.falco.plugin.config.v1+json
application/vnd.cncf.falco.plugin.layer.v1+tar.gz
application/vnd.cncf.falco.rulesfile.config.v1+json
application/vnd.cncf.falco.rulesfile.layer.v1+tar.gz
application/vnd.cncf.flux.config.v1+json
application/vnd.cncf.flux.content.v1.tar+gzip
application/vnd.cncf.helm.chart.content.layer.v1+tar
application/vnd.cncf.helm.chart.content.v1.tar+gzip
application/vnd.cncf.helm.chart.meta.layer.v1+json
application/vnd.cncf.helm.chart.provenance.v1.prov
application/vnd.cncf.helm.config.v1+json
application/vnd.cncf.openpolicyagent.config.v1+json
application/vnd.cncf.openpolicyagent.data.layer.v1+json
application/vnd.cncf.openpolicyagent.manifest.layer.v1+json
application/vnd.cncf.openpolicyagent.policy.layer.v1+rego
application/vnd.cue.module.v1+json
application/vnd.cue.modulefile.v1
application/vnd.cyclonedx
application/vnd.cyclonedx+json
application/vnd.cyclonedx+xml
application/vnd.dev.cosign.artifact.sbom.v1+json
application/vnd.dev.cosign.artifact.sig.v1+json
application/vnd.dev.cosign.simplesigning.v1+json
application/vnd.dev.sigstore.bundle.v0.3+json
application/vnd.devcontainers
application/vnd.devcontainers.layer.v1+tar
application/vnd.docker.attestation.manifest.v1+json
application/vnd.docker.compose.config.empty.v1+json
application/vnd.docker.compose.envfile
application/vnd.docker.compose.file+yaml
application/vnd.docker.compose.project
application/vnd.docker.container.image.rootfs.diff+x-gtar
application/vnd.docker.container.image.v1+json
application/vnd.docker.distribution.manifest.list.v2+json
application/vnd.docker.distribution.manifest.v1+json
application/vnd.docker.distribution.manifest.v1+prettyjws
application/vnd.docker.distribution.manifest.v2+json
application/vnd.docker.image.rootfs.diff.tar
application/vnd.docker.image.rootfs.diff.tar.gzip
application/vnd.docker.image.rootfs.foreign.diff.tar.gzip
application/vnd.docker.plugin.v1+json
application/vnd.dsse.envelope.v1+json
application/vnd.gardener.cloud.cnudie.component-descriptor.v2+json
application/vnd.gardener.cloud.cnudie.component-descriptor.v2+yaml+tar
application/vnd.gardener.cloud.cnudie.component.config.v1+json
application/vnd.gardener.landscaper.blueprint.v1+tar+gzip
application/vnd.gardener.landscaper.componentdefinition.v1+json
application/vnd.gitlab.packages.npm.config.v2+json
application/vnd.in-toto+json
application/vnd.module.wasm.config.v1+json
application/vnd.module.wasm.content.layer.v1+wasm
application/vnd.oci.empty.v1+json
application/vnd.oci.image.config.v1+json
application/vnd.oci.image.index.v1+json
application/vnd.oci.image.layer.nondistributable.v1.tar
application/vnd.oci.image.layer.nondistributable.v1.tar+gzip
application/vnd.oci.image.layer.v1.tar
application/vnd.oci.image.layer.v1.tar+encrypted
application/vnd.oci.image.layer.v1.tar+gzip
application/vnd.oci.image.layer.v1.tar+gzip+encrypted
application/vnd.oci.image.layer.v1.tar+zstd
application/vnd.oci.image.manifest.v1+json
application/vnd.opentofu.modulepkg
application/vnd.opentofu.provider
application/vnd.opentofu.provider-target
application/vnd.oras.config.v1+json
application/vnd.spack.package
application/vnd.syft+json
application/vnd.sylabs.sif.config.v1
application/vnd.sylabs.sif.config.v1+json
application/vnd.sylabs.sif.layer.v1.sif
application/vnd.timoni.config.v1+json
application/vnd.timoni.content.v1.tar+gzip
application/vnd.unknown.config.v1+json
application/vnd.vivsoft.enbuild.config.v1+json
application/vnd.wasm.config.v1+json
application/vnd.wasm.content.layer.v1+wasm
application/vnd.zarf.config.v1+json
application/vnd.zarf.layer.v1.blob
application/x-yaml
binary/octet-stream
text/html; charset=utf-8
text/plain; charset=utf-8
text/spdx
text/spdx+json
text/spdx+xml
`
    .trim()
    .split('\n'),
);

/**
 * The types of these manifests, except of their layers, that GitLab's registry with its database may refuse. It does
 * not read the `artifactType` of an index (GitLab container registry: registry/handlers/manifests.go,
 * `dbPutManifestList`).
 */
export function unknownMediaTypes(manifests: Iterable<SeenManifest>): readonly string[] {
  const unknown = new Set<string>();
  for (const {descriptor, view} of manifests) {
    const own = view.kind === 'schema1' || view.kind === 'index' ? undefined : view.artifactType;
    const config = view.kind === 'image' ? view.config.mediaType : undefined;
    for (const type of [descriptor.mediaType, config, own])
      if (type !== undefined && !KNOWN.has(type)) unknown.add(type);
  }
  return [...unknown].toSorted();
}
