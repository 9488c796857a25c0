import { dump } from 'js-yaml'

export interface KubeconfigOptions {
  /** Such as `https://127.0.0.1:6443`. */
  readonly server: string
  /** PEM of the authority that signed the server's certificate. */
  readonly ca: string
  /** PEM of the user's certificate; give it with `key`, or give `token`. */
  readonly cert?: string | undefined
  readonly key?: string | undefined
  readonly token?: string | undefined
  /** Name of cluster and context; default `centaurus`. */
  readonly name?: string | undefined
  /** Default `admin`. */
  readonly user?: string | undefined
  readonly namespace?: string | undefined
}

/** A kubeconfig (YAML) with one cluster, one user and one current context; certificates are inside. */
export function createKubeconfig(options: KubeconfigOptions): string {
  const { server, ca, cert, key, token, name = 'centaurus', user = 'admin', namespace } = options
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': name,
    clusters: [{ name, cluster: { server, 'certificate-authority-data': toBase64(ca) } }],
    contexts: [{ name, context: { cluster: name, user, ...(namespace === undefined ? {} : { namespace }) } }],
    users: [
      {
        name: user,
        user: {
          ...(cert === undefined ? {} : { 'client-certificate-data': toBase64(cert) }),
          ...(key === undefined ? {} : { 'client-key-data': toBase64(key) }),
          ...(token === undefined ? {} : { token }),
        },
      },
    ],
  }
  return dump(config, { lineWidth: -1 })
}

function toBase64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64')
}
